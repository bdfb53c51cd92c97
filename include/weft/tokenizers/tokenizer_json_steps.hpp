#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/formats/json.hpp>
#include <weft/tokenizers/base64.hpp>
#include <weft/tokenizers/decoder.hpp>
#include <weft/tokenizers/normalizer.hpp>
#include <weft/tokenizers/post_processor.hpp>
#include <weft/tokenizers/precompiled_charsmap.hpp>
#include <weft/tokenizers/pretokenizer.hpp>
#include <weft/tokenizers/regex.hpp>
#include <weft/tokenizers/tokenizer_config.hpp>
#include <weft/tokenizers/unicode.hpp>

namespace weft::inline v0 {

namespace detail {

[[noreturn]] inline void unsupported_component(const Json& json, std::string_view what) {
  raise<UnsupportedError>(json.location(), ": the ", what, " ", json.at("type").as_string(), " is not supported");
}

inline std::string one_character(const Json& json) {
  const std::string_view text = json.as_string();
  if (text.empty() || first_code_point(text).bytes != text.size())
    raise<FormatError>(json.location(), ": expected one character, found \"", text, "\"");
  return std::string(text);
}

inline std::string from_base64(const Json& json) {
  if (auto bytes = from_base64(json.as_string())) return *std::move(bytes);
  raise<FormatError>(json.location(), ": not base64");
}

/// {"String": "..."} calls `text`, {"Regex": "..."} calls `regex`.
template <class OnText, class OnRegex>
void read_pattern(const Json& json, OnText&& text, OnRegex&& regex) {
  if (const Json* pattern = json.find("Regex")) {
    regex(Regex(pattern->as_string(), pattern->location()));
    return;
  }
  const Json& pattern = json.at("String");
  if (pattern.as_string().empty()) raise<FormatError>(pattern.location(), ": the pattern is empty");
  text(std::string(pattern.as_string()));
}

inline BertNormalizer read_bert_normalizer(const Json& json) {
  BertNormalizer bert;
  bert.clean_text = json.get_or("clean_text", true);
  bert.handle_chinese_chars = json.get_or("handle_chinese_chars", true);
  bert.lowercase = json.get_or("lowercase", true);
  bert.strip_accents = json.get_or("strip_accents", bert.lowercase);
  return bert;
}

inline void read_normalizer(const Json& json, std::vector<Normalizer>& out) {
  const std::string_view type = json.at("type").as_string();
  if (type == "Sequence") {
    for (const Json& step : json.at("normalizers").as_array()) read_normalizer(step, out);
  } else if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
    out.emplace_back(UnicodeForm{.compatibility = type.size() == 4, .composed = type.back() == 'C'});
  } else if (type == "Lowercase") {
    out.emplace_back(Lowercase{});
  } else if (type == "Strip") {
    out.emplace_back(StripWhiteSpace{json.at("strip_left").as_bool(), json.at("strip_right").as_bool()});
  } else if (type == "StripAccents") {
    out.emplace_back(StripAccents{});
  } else if (type == "Replace") {
    const std::string content(json.at("content").as_string());
    read_pattern(
        json.at("pattern"),
        [&](std::string text) {
          out.emplace_back(ReplaceText{std::move(text), content});
        },
        [&](Regex regex) {
          out.emplace_back(ReplaceMatches{std::move(regex), content});
        });
  } else if (type == "Prepend") {
    out.emplace_back(Prepend{std::string(json.at("prepend").as_string())});
  } else if (type == "BertNormalizer") {
    out.emplace_back(read_bert_normalizer(json));
  } else if (type == "Precompiled") {
    const Json* rules = json.given("precompiled_charsmap");
    if (rules && !rules->as_string().empty())
      out.emplace_back(PrecompiledCharsmap(from_base64(*rules), rules->location()));
  } else if (type == "Nmt") {
    out.emplace_back(Nmt{});
  } else if (type == "ByteLevel") {
    out.emplace_back(ByteLevelNormalizer{});
  } else {
    unsupported_component(json, "normalizer");
  }
}

inline SplitBehavior read_behavior(const Json& json) {
  constexpr std::array<std::pair<std::string_view, SplitBehavior>, 5> names{
      {{"Removed", SplitBehavior::removed},
       {"Isolated", SplitBehavior::isolated},
       {"MergedWithPrevious", SplitBehavior::merged_with_previous},
       {"MergedWithNext", SplitBehavior::merged_with_next},
       {"Contiguous", SplitBehavior::contiguous}}};
  for (const auto& [name, behavior] : names)
    if (json.as_string() == name) return behavior;
  raise<UnsupportedError>(json.location(), ": the behavior ", json.as_string(), " is not supported");
}

inline Metaspace read_metaspace(const Json& json) {
  Metaspace step;
  step.replacement = one_character(json.at("replacement"));
  const std::string_view scheme = json.get_or("prepend_scheme", "always");
  if (scheme == "first") {
    step.prepend = Metaspace::Prepend::first;
  } else if (scheme == "never" || !json.get_or("add_prefix_space", true)) {
    step.prepend = Metaspace::Prepend::never;
  } else if (scheme != "always") {
    raise<UnsupportedError>(json.location(), ": the prepend_scheme ", scheme, " is not supported");
  }
  step.split = json.get_or("split", true);
  return step;
}

inline void read_pre_tokenizer(const Json& json, std::vector<PreTokenizer>& out) {
  const std::string_view type = json.at("type").as_string();
  if (type == "Sequence") {
    for (const Json& step : json.at("pretokenizers").as_array()) read_pre_tokenizer(step, out);
  } else if (type == "ByteLevel") {
    ByteLevelPreTokenizer step{.add_prefix_space = json.at("add_prefix_space").as_bool()};
    if (json.get_or("use_regex", true)) step.pattern.emplace_back(WordPattern::gpt2, json.location());
    out.emplace_back(std::move(step));
  } else if (type == "Split") {
    const SplitBehavior behavior = read_behavior(json.at("behavior"));
    const bool invert = json.at("invert").as_bool();
    read_pattern(
        json.at("pattern"),
        [&](std::string text) {
          out.emplace_back(SplitText{std::move(text), behavior, invert});
        },
        [&](Regex regex) {
          out.emplace_back(SplitMatches{std::move(regex), behavior, invert});
        });
  } else if (type == "Whitespace") {
    out.emplace_back(SplitWords{});
  } else if (type == "WhitespaceSplit") {
    out.emplace_back(SplitWhiteSpace{});
  } else if (type == "Punctuation") {
    const Json* behavior = json.given("behavior");
    out.emplace_back(SplitPunctuation{behavior ? read_behavior(*behavior) : SplitBehavior::isolated});
  } else if (type == "Digits") {
    out.emplace_back(SplitDigits{json.at("individual_digits").as_bool()});
  } else if (type == "BertPreTokenizer") {
    out.emplace_back(BertPreTokenizer{});
  } else if (type == "Metaspace") {
    out.emplace_back(read_metaspace(json));
  } else if (type == "CharDelimiterSplit") {
    out.emplace_back(SplitCharacter{first_code_point(one_character(json.at("delimiter"))).value});
  } else {
    unsupported_component(json, "pre-tokenizer");
  }
}

/// Reads one decoder or a sequence. After the tokens are one text only what looks at its beginning can be done on a
/// stream.
class DecoderReader {
 public:
  TokenDecoder read(const Json& json) {
    add(json);
    return std::move(decoder_);
  }

 private:
  void add(const Json& json) {
    const std::string_view type = json.at("type").as_string();
    if (type == "Sequence") {
      for (const Json& step : json.at("decoders").as_array()) add(step);
    } else if (type == "Fuse") {
      fused_ = true;
    } else if (fused_ && type == "Strip" && json.at("start").as_size() <= 1 && json.at("stop").as_size() == 0) {
      if (json.at("start").as_size() == 0) return;
      if (needs_first_) unsupported_component(json, "decoder");
      decoder_.start = TokenDecoder::Start::strip;
      decoder_.stripped = one_character(json.at("content"));
    } else if (fused_) {
      unsupported_component(json, "decoder");
    } else {
      add_step(json, type);
    }
  }

  void add_step(const Json& json, std::string_view type) {
    if (type == "ByteLevel") {
      decode_byte_level(decoder_);
      fused_ = true;
    } else if (type == "ByteFallback" && !decoder_.byte_fallback) {
      decoder_.byte_fallback = true;
    } else if (type == "WordPiece") {
      steps().emplace_back(DecodeWordPiece{std::string(json.at("prefix").as_string()), json.at("cleanup").as_bool()});
      needs_first_ = true;
    } else if (type == "Metaspace") {
      const Metaspace metaspace = read_metaspace(json);
      steps().emplace_back(DecodeMetaspace{metaspace.replacement, metaspace.prepend != Metaspace::Prepend::never});
      needs_first_ = true;
    } else if (type == "BPEDecoder" && steps().empty() && !decoder_.byte_fallback) {
      decoder_.start = TokenDecoder::Start::word;
      decoder_.suffix = json.at("suffix").as_string();
      fused_ = true;
    } else if (type == "Replace") {
      const std::string content(json.at("content").as_string());
      read_pattern(
          json.at("pattern"),
          [&](std::string text) {
            steps().emplace_back(DecodeReplace{std::move(text), content});
          },
          [&](Regex regex) {
            steps().emplace_back(DecodeReplaceMatches{std::move(regex), content});
          });
    } else if (type == "Strip") {
      steps().emplace_back(
          DecodeStrip{one_character(json.at("content")), json.at("start").as_size(), json.at("stop").as_size()});
    } else {
      unsupported_component(json, "decoder");
    }
  }

  std::vector<DecodeStep>& steps() noexcept { return decoder_.byte_fallback ? decoder_.text_steps : decoder_.steps; }

  TokenDecoder decoder_;
  bool fused_ = false;
  bool needs_first_ = false;
};

/// Reads one post-processor or a sequence, of which at most one adds tokens.
class PostProcessorReader {
 public:
  PostProcessor read(const Json& json) {
    add(json);
    return std::move(processor_);
  }

 private:
  using Piece = PostProcessor::Piece;

  void add(const Json& json) {
    const std::string_view type = json.at("type").as_string();
    if (type == "Sequence") {
      for (const Json& step : json.at("processors").as_array()) add(step);
      return;
    }
    if (type == "ByteLevel" || type == "RobertaProcessing") {
      processor_.trim_offsets = json.at("trim_offsets").as_bool();
      processor_.add_prefix_space = json.at("add_prefix_space").as_bool();
    }
    if (type == "ByteLevel") return;
    if (std::exchange(adds_, true)) unsupported_component(json, "second post-processor");
    const Piece first{Piece::Kind::first};
    if (type == "BertProcessing") {
      const Piece cls = named(json.at("cls"), 0);
      processor_.single = {cls, first, named(json.at("sep"), 0)};
      processor_.pair = {cls, first, named(json.at("sep"), 0), {Piece::Kind::second, {}, 1}, named(json.at("sep"), 1)};
    } else if (type == "RobertaProcessing") {
      const Piece cls = named(json.at("cls"), 0);
      const Piece sep = named(json.at("sep"), 0);
      processor_.single = {cls, first, sep};
      processor_.pair = {cls, first, sep, sep, {Piece::Kind::second}, sep};
    } else if (type == "TemplateProcessing") {
      processor_.single = read_template(json, "single", false);
      processor_.pair = read_template(json, "pair", true);
    } else {
      unsupported_component(json, "post-processor");
    }
  }

  /// ["[CLS]", 101]
  static Piece named(const Json& json, std::int32_t type_id) {
    return PostProcessor::added({token_id(json.as_array().at(1))}, type_id);
  }

  static PostProcessor::Template read_template(const Json& json, const char* key, bool is_pair) {
    PostProcessor::Template out;
    for (const Json& piece : json.at(key).as_array()) {
      if (const Json* sequence = piece.find("Sequence")) {
        const std::string_view id = sequence->at("id").as_string();
        if (id != "A" && (id != "B" || !is_pair))
          raise<FormatError>(sequence->location(), ": the template has no text ", id);
        // The library gives the template's types to what is kept alone.
        const bool first = id == "A";
        out.push_back({first ? Piece::Kind::first : Piece::Kind::second, {}, type_id(*sequence), first ? 0 : 1});
      } else {
        const Json& special = piece.at("SpecialToken");
        const Json& token = json.at("special_tokens").at(special.at("id").as_string());
        std::vector<TokenId> ids;
        for (const Json& id : token.at("ids").as_array()) ids.push_back(token_id(id));
        out.push_back(PostProcessor::added(std::move(ids), type_id(special)));
      }
    }
    return out;
  }
  static std::int32_t type_id(const Json& json) { return json.get_or("type_id", std::int32_t{0}); }

  PostProcessor processor_;
  bool adds_ = false;
};

}  // namespace detail

}  // namespace weft::inline v0
