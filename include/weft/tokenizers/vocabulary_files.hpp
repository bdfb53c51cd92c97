#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/file_set.hpp>
#include <weft/formats/json.hpp>
#include <weft/tokenizers/bpe.hpp>
#include <weft/tokenizers/byte_level_recipes.hpp>
#include <weft/tokenizers/pipeline_tokenizer.hpp>
#include <weft/tokenizers/tokenizer_config.hpp>
#include <weft/tokenizers/tokenizer_json.hpp>
#include <weft/tokenizers/vocabulary.hpp>
#include <weft/tokenizers/wordpiece.hpp>

namespace weft::inline v0 {

namespace detail {

/// The lines of a text file, without their line ends. Throws FormatError for what is not UTF-8.
inline std::vector<std::string> read_lines(const Source& file) {
  const Source::Bytes bytes = file.bytes();
  std::string_view text = bytes.text();
  if (const std::size_t bad = first_invalid_byte(text); bad != text.size())
    raise<FormatError>(file.name(), ": byte ", bad, " is not UTF-8");
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// Those of the tokens that the vocabulary has, as special tokens.
inline std::vector<AddedToken> special_tokens(const Vocabulary& vocabulary,
                                              std::initializer_list<std::string_view> tokens) {
  std::vector<AddedToken> out;
  for (const std::string_view token : tokens)
    if (const auto id = vocabulary.find(token))
      out.push_back({.content = std::string(token), .id = *id, .special = true, .strip_left = token == "<mask>"});
  return out;
}

/// The id of a token that a template needs.
inline TokenId required_token(const Vocabulary& vocabulary, const std::optional<AddedToken>& role,
                              std::string_view usual) {
  const std::string_view token = role ? std::string_view(role->content) : usual;
  if (const auto id = vocabulary.find(token)) return *id;
  raise<FormatError>(vocabulary.source(), ": the token \"", token, "\" is missing");
}

}  // namespace detail

/// The WordPiece tokenizer of BERT over a vocabulary: cleaning and lower case as the configuration says, [CLS] and
/// [SEP] around texts.
inline TokenizerParts bert_parts(Vocabulary words, const TokenizerConfig& config) {
  using Piece = PostProcessor::Piece;
  TokenizerParts parts;
  BertNormalizer normalizer;
  normalizer.lowercase = config.do_lower_case.value_or(true);
  normalizer.strip_accents = config.strip_accents.value_or(normalizer.lowercase);
  normalizer.handle_chinese_chars = config.tokenize_chinese_chars.value_or(true);
  parts.normalizers.emplace_back(normalizer);
  parts.pre_tokenizers.emplace_back(BertPreTokenizer{});
  const Piece cls = PostProcessor::added({detail::required_token(words, config.cls, "[CLS]")});
  const Piece sep = PostProcessor::added({detail::required_token(words, config.sep, "[SEP]")});
  parts.post_processor.single = {cls, {Piece::Kind::first}, sep};
  parts.post_processor.pair = {cls, {Piece::Kind::first}, sep, {Piece::Kind::second, {}, 1}, sep};
  parts.post_processor.pair.back().type_id = 1;
  parts.decoder.steps.emplace_back(DecodeWordPiece{});
  std::vector<AddedToken> added = detail::special_tokens(words, {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"});
  WordPieceOptions options;
  if (config.unk) options.unk_token = config.unk->content;
  parts.model = std::make_shared<const WordPieceModel>(std::move(words), std::move(options));
  detail::set_tokens(config, std::move(added), parts);
  return parts;
}

/// The tokenizer of a vocab.txt, one token a line.
inline TokenizerParts read_vocab_txt(const FileSet& files, const TokenizerConfig& config) {
  const std::vector<std::string> lines = detail::read_lines(files.open("vocab.txt"));
  Vocabulary words(lines.size(), files.location_of("vocab.txt"));
  for (std::size_t i = 0; i < lines.size(); ++i) words.add(lines[i], static_cast<std::int64_t>(i));
  return bert_parts(std::move(words), config);
}

namespace detail {

/// How a vocab.json with merges.txt is used.
enum class BpeFamily { gpt2, qwen2, roberta, clip };

inline BpeFamily bpe_family(const TokenizerConfig& config, const Vocabulary& words) {
  std::string_view name = config.tokenizer_class;
  if (name.ends_with("Fast")) name.remove_suffix(4);
  if (name.empty()) {
    if (words.find("!</w>")) return BpeFamily::clip;
    return words.find("<s>") == 0 && words.find("</s>") == 2 ? BpeFamily::roberta : BpeFamily::gpt2;
  }
  for (const std::string_view known : {"GPT2Tokenizer", "CodeGenTokenizer"})
    if (name == known) return BpeFamily::gpt2;
  for (const std::string_view known : {"RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer"})
    if (name == known) return BpeFamily::roberta;
  if (name == "Qwen2Tokenizer") return BpeFamily::qwen2;
  if (name == "CLIPTokenizer") return BpeFamily::clip;
  raise<UnsupportedError>(words.source(), ": the tokenizer class ", config.tokenizer_class,
                          " is not supported for vocab.json with merges.txt");
}

inline void set_bpe_family(BpeFamily family, const Vocabulary& words, const TokenizerConfig& config,
                           TokenizerParts& parts) {
  using Piece = PostProcessor::Piece;
  constexpr std::string_view clip_pattern =
      R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";
  const std::string& where = words.source();
  const bool prefix = config.add_prefix_space.value_or(false);
  if (family == BpeFamily::clip) {
    parts.normalizers = {UnicodeForm{.composed = true}, ReplaceMatches{Regex(R"(\s+)", where), " "}, Lowercase{}};
    parts.pre_tokenizers = {SplitMatches{Regex(clip_pattern, where), SplitBehavior::removed, true},
                            ByteLevelPreTokenizer{.add_prefix_space = false}};
    parts.decoder.start = TokenDecoder::Start::word;
    parts.decoder.suffix = "</w>";
  } else if (family == BpeFamily::qwen2) {
    parts.normalizers = {UnicodeForm{.composed = true}};
    parts.pre_tokenizers = byte_level_steps(find_byte_level_recipe("qwen2")->patterns, prefix);
  } else {
    parts.pre_tokenizers = {ByteLevelPreTokenizer{prefix, {Regex(WordPattern::gpt2, where)}}};
  }
  decode_byte_level(parts.decoder);
  if (family != BpeFamily::roberta && family != BpeFamily::clip) return;
  const bool clip = family == BpeFamily::clip;
  const Piece begin =
      PostProcessor::added({required_token(words, clip ? config.bos : config.cls, clip ? "<|startoftext|>" : "<s>")});
  const Piece end =
      PostProcessor::added({required_token(words, clip ? config.eos : config.sep, clip ? "<|endoftext|>" : "</s>")});
  parts.post_processor.single = {begin, {Piece::Kind::first}, end};
  parts.post_processor.pair = {begin, {Piece::Kind::first}, end, end, {Piece::Kind::second}, end};
  parts.post_processor.trim_offsets = !clip;
  parts.post_processor.add_prefix_space = prefix;
}

}  // namespace detail

/// The byte-level BPE tokenizer of a vocab.json and a merges.txt: of GPT-2, Qwen2, RoBERTa or CLIP, by the
/// tokenizer_class of the configuration, else by the tokens there are.
inline TokenizerParts read_vocab_json(const FileSet& files, const TokenizerConfig& config) {
  Vocabulary words = detail::read_vocabulary(parse_json(files.open("vocab.json")));
  const detail::BpeFamily family = detail::bpe_family(config, words);
  const Source merges = files.open("merges.txt");
  const std::vector<std::string> lines = detail::read_lines(merges);
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  for (const std::string& line : lines)
    if (!line.empty() && !line.starts_with("#version")) pairs.push_back(detail::split_merge(line, merges.name()));
  TokenizerParts parts;
  detail::set_bpe_family(family, words, config, parts);
  std::vector<AddedToken> added =
      detail::special_tokens(words, {"<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|startoftext|>", "<|endoftext|>"});
  BpeOptions options;
  if (family == detail::BpeFamily::clip) {
    options.end_of_word_suffix = "</w>";
    options.unk_token = config.unk ? config.unk->content : "<|endoftext|>";
  }
  const std::vector<BpeMerge> resolved = resolve_merges(words, pairs);
  parts.model = std::make_shared<const BpeModel>(std::move(words), resolved, std::move(options));
  detail::set_tokens(config, std::move(added), parts);
  detail::set_bos_eos(config, parts);
  return parts;
}

}  // namespace weft::inline v0
