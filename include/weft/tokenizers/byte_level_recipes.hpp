#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/tokenizers/normalizer.hpp>
#include <weft/tokenizers/pretokenizer.hpp>
#include <weft/tokenizers/regex.hpp>
#include <weft/tokenizers/word_pattern.hpp>

namespace weft::inline v0 {

/// How a family of byte-level BPE tokenizers treats text: GGUF files give only the name (tokenizer.ggml.pre). The
/// patterns are those of the tokenizer.json files the names were made from, applied one after the other.
struct ByteLevelRecipe {
  std::string_view name;
  std::array<std::string_view, 4> patterns;  ///< the last ones may be empty
  bool ignore_merges = false;
  bool add_bos = false;  ///< where the file does not say
  bool nfc = false;
};

namespace detail {

inline constexpr std::string_view gpt2_pattern = WordPattern::gpt2;
inline constexpr std::string_view llama3_pattern = WordPattern::llama3;
inline constexpr std::string_view qwen2_pattern = WordPattern::qwen2;
inline constexpr std::string_view qwen35_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s+(?!\S)|\s+)";
inline constexpr std::string_view o200k_pattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view tekken_pattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view deepseek3_pattern =
    R"re([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)re"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view bloom_pattern = R"( ?[^(\s|.,!?…。，、।۔،)]+)";
inline constexpr std::string_view punctuation_pattern = R"([\p{P}$+<=>\^~|`]+)";
inline constexpr std::string_view chinese_japanese_pattern = "[一-龥぀-ゟ゠-ヿ]+";

inline constexpr std::array byte_level_recipes{
    ByteLevelRecipe{"gpt-2", {gpt2_pattern}},
    ByteLevelRecipe{"phi-2", {gpt2_pattern}},
    ByteLevelRecipe{"roberta-bpe", {gpt2_pattern}},
    ByteLevelRecipe{"jina-v1-en", {gpt2_pattern}},
    ByteLevelRecipe{"jina-v2-code", {gpt2_pattern}},
    ByteLevelRecipe{"jina-v2-es", {gpt2_pattern}},
    ByteLevelRecipe{"jina-v2-de", {gpt2_pattern}},
    ByteLevelRecipe{"modern-bert", {gpt2_pattern}, false, false, true},
    ByteLevelRecipe{"mpt", {gpt2_pattern}, false, false, true},
    ByteLevelRecipe{"olmo", {gpt2_pattern}, false, false, true},
    ByteLevelRecipe{"jais", {gpt2_pattern}},
    ByteLevelRecipe{"exaone4", {gpt2_pattern}},
    ByteLevelRecipe{"starcoder", {R"(\p{N})", gpt2_pattern}},
    ByteLevelRecipe{"refact", {R"(\p{N})", gpt2_pattern}},
    ByteLevelRecipe{"command-r", {R"(\p{N})", gpt2_pattern}, false, false, true},
    ByteLevelRecipe{"smollm", {R"(\p{N})", gpt2_pattern}},
    ByteLevelRecipe{"codeshell", {R"(\p{N})", gpt2_pattern}},
    ByteLevelRecipe{"exaone", {R"(\p{N})", gpt2_pattern}},
    ByteLevelRecipe{"minerva-7b", {R"(\p{N})", gpt2_pattern}},
    ByteLevelRecipe{"falcon", {punctuation_pattern, gpt2_pattern, "[0-9][0-9][0-9]"}},
    ByteLevelRecipe{"default", {punctuation_pattern, gpt2_pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
    ByteLevelRecipe{"llama-bpe", {llama3_pattern}, true, true},
    ByteLevelRecipe{"llama3", {llama3_pattern}, true, true},
    ByteLevelRecipe{"llama-v3", {llama3_pattern}, true, true},
    ByteLevelRecipe{"falcon3", {llama3_pattern}, true, true},
    ByteLevelRecipe{"pixtral", {llama3_pattern}, true, true},
    ByteLevelRecipe{"lfm2", {llama3_pattern}, true, true},
    ByteLevelRecipe{"dbrx", {llama3_pattern}},
    ByteLevelRecipe{"smaug-bpe", {llama3_pattern}},
    ByteLevelRecipe{"glm4", {llama3_pattern}},
    ByteLevelRecipe{"chatglm-bpe", {llama3_pattern}},
    ByteLevelRecipe{"qwen2", {qwen2_pattern}, false, false, true},
    ByteLevelRecipe{"deepseek-r1-qwen", {qwen2_pattern}, false, false, true},
    ByteLevelRecipe{"megrez", {qwen2_pattern}, false, false, true},
    ByteLevelRecipe{"qwen35", {qwen35_pattern}, false, false, true},
    ByteLevelRecipe{"stablelm2", {qwen2_pattern}},
    ByteLevelRecipe{"hunyuan", {qwen2_pattern}},
    ByteLevelRecipe{"grok-2", {qwen2_pattern}},
    ByteLevelRecipe{"gpt-4o", {o200k_pattern}},
    ByteLevelRecipe{"llama4", {o200k_pattern}},
    ByteLevelRecipe{"tekken", {tekken_pattern}, true, true},
    ByteLevelRecipe{"deepseek-v3", {R"(\p{N}{1,3})", chinese_japanese_pattern, deepseek3_pattern}},
    ByteLevelRecipe{"hunyuan-dense", {R"(\p{N}{1,3})", chinese_japanese_pattern, deepseek3_pattern}},
    ByteLevelRecipe{"bloom", {bloom_pattern}},
    ByteLevelRecipe{"gpt3-finnish", {bloom_pattern}},
    ByteLevelRecipe{"poro-chat", {bloom_pattern}},
    ByteLevelRecipe{"viking", {bloom_pattern, R"(\p{N})"}},
};

}  // namespace detail

/// The recipe of a name; null for a name that is not known.
inline const ByteLevelRecipe* find_byte_level_recipe(std::string_view name) noexcept {
  for (const ByteLevelRecipe& recipe : detail::byte_level_recipes)
    if (recipe.name == name) return &recipe;
  return nullptr;
}

/// The steps that cut a text by these patterns and spell it in the byte-level alphabet.
inline std::vector<PreTokenizer> byte_level_steps(std::span<const std::string_view> patterns,
                                                  bool add_prefix_space = false) {
  std::vector<PreTokenizer> steps;
  for (const std::string_view pattern : patterns)
    if (!pattern.empty()) steps.emplace_back(SplitMatches{Regex(pattern, "a built-in pattern")});
  steps.emplace_back(ByteLevelPreTokenizer{.add_prefix_space = add_prefix_space});
  return steps;
}

}  // namespace weft::inline v0
