#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/token_id.hpp>
#include <weft/formats/json.hpp>
#include <weft/tokenizers/added_tokens.hpp>
#include <weft/tokenizers/bpe.hpp>
#include <weft/tokenizers/pipeline_tokenizer.hpp>
#include <weft/tokenizers/tokenizer_config.hpp>
#include <weft/tokenizers/tokenizer_json_steps.hpp>
#include <weft/tokenizers/unigram.hpp>
#include <weft/tokenizers/vocabulary.hpp>
#include <weft/tokenizers/wordpiece.hpp>

namespace weft::inline v0 {

namespace detail {

/// {"token": id, ...}
inline Vocabulary read_vocabulary(const Json& json) {
  Vocabulary vocabulary(json.as_object().size(), std::string(json.source()));
  for (const Json& id : json) vocabulary.add(id.key(), id.as_int());
  return vocabulary;
}

/// "left right", one merge of a merges.txt or of an older tokenizer.json.
inline std::pair<std::string_view, std::string_view> split_merge(std::string_view merge, std::string_view where) {
  const std::size_t space = merge.find(' ');
  if (space == merge.npos || merge.find(' ', space + 1) != merge.npos)
    raise<FormatError>(where, ": expected two tokens with a space between them, found \"", merge, "\"");
  return {merge.substr(0, space), merge.substr(space + 1)};
}

inline std::shared_ptr<const SubwordModel> read_bpe(const Json& json) {
  if (json.get_or("dropout", 0.0) > 0)
    raise<UnsupportedError>(json.at("dropout").location(), ": random merges (dropout) are not supported");
  BpeOptions options;
  if (const Json* unk = json.given("unk_token")) options.unk_token = unk->as_string();
  options.fuse_unk = json.get_or("fuse_unk", false);
  options.byte_fallback = json.get_or("byte_fallback", false);
  options.ignore_merges = json.get_or("ignore_merges", false);
  options.continuing_subword_prefix = json.get_or("continuing_subword_prefix", "");
  options.end_of_word_suffix = json.get_or("end_of_word_suffix", "");

  Vocabulary vocabulary = read_vocabulary(json.at("vocab"));
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  pairs.reserve(json.at("merges").as_array().size());
  for (const Json& merge : json.at("merges")) {
    if (!merge.is_string()) {
      pairs.emplace_back(merge.as_array().at(0).as_string(), merge.at(1).as_string());
    } else if (!merge.as_string().starts_with("#version")) {
      pairs.push_back(split_merge(merge.as_string(), json.source()));
    }
  }
  const std::vector<BpeMerge> merges = resolve_merges(vocabulary, pairs, options.continuing_subword_prefix);
  return std::make_shared<const BpeModel>(std::move(vocabulary), merges, std::move(options));
}

inline std::shared_ptr<const SubwordModel> read_unigram(const Json& json) {
  const Json& list = json.at("vocab").as_array();
  Vocabulary vocabulary(list.size(), std::string(json.source()));
  std::vector<double> scores;
  for (const Json& token : list) {
    vocabulary.add(token.as_array().at(0).as_string(), static_cast<std::int64_t>(scores.size()));
    scores.push_back(token.at(1).as_double());
  }
  std::optional<TokenId> unk;
  if (const Json* id = json.given("unk_id")) unk = token_id(*id);
  return std::make_shared<const UnigramModel>(std::move(vocabulary), std::move(scores), unk,
                                              json.get_or("byte_fallback", false));
}

inline std::shared_ptr<const SubwordModel> read_word_piece(const Json& json) {
  WordPieceOptions options;
  options.unk_token = json.at("unk_token").as_string();
  options.continuing_subword_prefix = json.at("continuing_subword_prefix").as_string();
  options.max_input_chars_per_word = json.at("max_input_chars_per_word").as_size();
  return std::make_shared<const WordPieceModel>(read_vocabulary(json.at("vocab")), std::move(options));
}

inline std::shared_ptr<const SubwordModel> read_subword_model(const Json& json) {
  std::string_view type = json.get_or("type", "");
  if (type.empty())  // files of before the type was written
    type = json.contains("merges")                     ? "BPE"
           : json.contains("max_input_chars_per_word") ? "WordPiece"
           : json.at("vocab").is_array()               ? "Unigram"
                                                       : "WordLevel";
  if (type == "BPE") return read_bpe(json);
  if (type == "Unigram") return read_unigram(json);
  if (type == "WordPiece") return read_word_piece(json);
  if (type == "WordLevel")
    return std::make_shared<const WordLevelModel>(read_vocabulary(json.at("vocab")), json.at("unk_token").as_string());
  unsupported_component(json, "model");
}

/// Brings together the vocabulary, the added tokens and what the files beside it say about them.
class AddedTokenList {
 public:
  explicit AddedTokenList(const Vocabulary& vocabulary) : vocabulary_(vocabulary), next_(vocabulary.end_id()) {}

  /// A token of the vocabulary or of the list keeps its id. Throws FormatError for an id that is another token's.
  void add(AddedToken token, bool has_id) {
    if (token.content.empty()) return;
    if (const auto known = find(token.content)) {
      token.id = *known;
    } else if (!has_id) {
      token.id = static_cast<TokenId>(next_);
    } else if (vocabulary_.contains(token.id)) {
      raise<FormatError>(vocabulary_.source(), ": the added token \"", token.content, "\" has the id ", token.id,
                         " of \"", vocabulary_.token(token.id), "\"");
    }
    if (static_cast<std::size_t>(token.id) > vocabulary_.end_id() + (std::size_t{1} << 24))
      raise<FormatError>(vocabulary_.source(), ": the added token \"", token.content, "\" has the id ", token.id,
                         " in a vocabulary of ", vocabulary_.size());
    next_ = std::max(next_, static_cast<std::size_t>(token.id) + 1);
    ids_[token.content] = token.id;
    tokens_.push_back(std::move(token));
  }
  std::optional<TokenId> find(std::string_view content) const {
    const auto found = ids_.find(std::string(content));
    return found != ids_.end() ? std::optional(found->second) : vocabulary_.find(content);
  }
  /// The first special token of the list that has one of the spellings.
  std::optional<TokenId> find_special(std::span<const std::string_view> spellings) const {
    for (const std::string_view spelling : spellings)
      for (const AddedToken& token : tokens_)
        if (token.special && token.content == spelling) return token.id;
    return std::nullopt;
  }
  std::vector<AddedToken> take() { return std::move(tokens_); }

 private:
  const Vocabulary& vocabulary_;
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, TokenId> ids_;
  std::size_t next_;
};

/// BOS and EOS around texts as add_bos_token and add_eos_token ask for them, where the files have them.
inline void set_bos_eos(const TokenizerConfig& config, TokenizerParts& parts) {
  if (!config.add_bos && !config.add_eos) return;
  using Piece = PostProcessor::Piece;
  const auto with = [&](PostProcessor::Template& out, Piece text, std::int32_t type_id) {
    if (config.add_bos.value_or(false) && parts.bos) out.push_back(PostProcessor::added({*parts.bos}, type_id));
    out.push_back(std::move(text));
    if (config.add_eos.value_or(false) && parts.eos) out.push_back(PostProcessor::added({*parts.eos}, type_id));
  };
  PostProcessor& processor = parts.post_processor;
  processor.single.clear();
  with(processor.single, {Piece::Kind::first, {}, 0}, 0);
  processor.pair = processor.single;
  with(processor.pair, {Piece::Kind::second, {}, 1}, 1);
}

/// The added tokens and the roles of tokens. Roles that the files do not state are taken from the spellings that are
/// usual, where a special added token has one.
inline void set_tokens(const TokenizerConfig& config, std::vector<AddedToken> added, TokenizerParts& parts) {
  AddedTokenList list(parts.model->vocabulary());
  for (AddedToken& token : added) list.add(std::move(token), true);
  for (const AddedToken& token : config.added) list.add(token, true);
  const auto place = [&](const AddedToken& token) {
    if (!list.find_special(std::array{std::string_view(token.content)})) list.add(token, false);
  };
  const auto role = [&](const char* name, const std::optional<AddedToken>& token,
                        std::span<const std::string_view> usual) -> std::optional<TokenId> {
    if (token) place(*token);
    if (token) return list.find(token->content);
    const bool stated = std::find(config.without.begin(), config.without.end(), name) != config.without.end();
    return stated ? std::nullopt : list.find_special(usual);
  };
  constexpr std::array<std::string_view, 5> bos{"<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>",
                                                "<|endoftext|>"};
  constexpr std::array<std::string_view, 4> eos{"</s>", "<eos>", "<|end_of_text|>", "<|endoftext|>"};
  constexpr std::array<std::string_view, 2> unk{"<unk>", "[UNK]"};
  constexpr std::array<std::string_view, 2> pad{"<pad>", "[PAD]"};
  parts.bos = role("bos", config.bos, bos);
  parts.eos = role("eos", config.eos, eos);
  parts.unk = role("unk", config.unk, unk);
  parts.pad = role("pad", config.pad, pad);
  for (const auto* other : {&config.sep, &config.cls, &config.mask})
    if (*other) place(**other);
  for (const AddedToken& token : config.additional) place(token);
  parts.added = list.take();
  parts.split_special_tokens = config.split_special_tokens;
}

/// Throws FormatError where a template adds an id that is no token's.
inline void check_added_ids(const TokenizerParts& parts, std::string_view source) {
  std::size_t end = parts.model->vocabulary().end_id();
  for (const AddedToken& token : parts.added) end = std::max(end, static_cast<std::size_t>(token.id) + 1);
  for (const auto* pieces : {&parts.post_processor.single, &parts.post_processor.pair})
    for (const PostProcessor::Piece& piece : *pieces)
      for (const TokenId id : piece.ids)
        if (static_cast<std::size_t>(id) >= end)
          raise<FormatError>(source, ": post_processor adds the id ", id, " in a vocabulary of ", end, " tokens");
}

}  // namespace detail

/// What tokenizer.json says, with what the configuration beside it adds: added tokens, roles, add_bos_token and
/// add_eos_token (which replace the file's own template, as in transformers 5). `truncation` and `padding` of the file
/// are not applied: TokenizeOptions asks for them. Throws FormatError naming file and key for what is malformed,
/// UnsupportedError for a component that is not built.
inline TokenizerParts read_tokenizer_json(const Json& json, const TokenizerConfig& config) {
  if (json.as_object().get_or("version", "1.0") != "1.0")
    raise<UnsupportedError>(json.at("version").location(), ": the version ", json.at("version").as_string(),
                            " is not supported; expected 1.0");
  TokenizerParts parts;
  if (const Json* normalizer = json.given("normalizer")) detail::read_normalizer(*normalizer, parts.normalizers);
  if (const Json* pre_tokenizer = json.given("pre_tokenizer"))
    detail::read_pre_tokenizer(*pre_tokenizer, parts.pre_tokenizers);
  parts.model = detail::read_subword_model(json.at("model").as_object());
  if (const Json* post_processor = json.given("post_processor"))
    parts.post_processor = detail::PostProcessorReader().read(*post_processor);
  if (const Json* decoder = json.given("decoder")) {
    parts.decoder = detail::DecoderReader().read(*decoder);
    if (decoder->at("type").as_string() == "ByteLevel" && !parts.model->end_of_word_suffix().empty()) {  // CLIP's
      parts.decoder.start = TokenDecoder::Start::word;
      parts.decoder.suffix = parts.model->end_of_word_suffix();
    }
  } else {
    parts.decoder.steps.emplace_back(DecodeJoined{});
  }
  std::vector<AddedToken> added;
  if (const Json* tokens = json.given("added_tokens"))
    for (const Json& token : tokens->as_array()) {
      added.push_back(detail::read_added_token(token));
      added.back().id = detail::token_id(token.at("id"));
    }
  detail::set_tokens(config, std::move(added), parts);
  detail::set_bos_eos(config, parts);
  detail::check_added_ids(parts, json.source());
  return parts;
}
inline TokenizerParts read_tokenizer_json(const std::filesystem::path& file, const TokenizerConfig& config) {
  return read_tokenizer_json(parse_json_file(file.string()), config);
}

}  // namespace weft::inline v0
