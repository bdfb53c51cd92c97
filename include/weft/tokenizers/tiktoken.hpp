#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/source.hpp>
#include <weft/core/token_id.hpp>
#include <weft/tokenizers/added_tokens.hpp>
#include <weft/tokenizers/base64.hpp>
#include <weft/tokenizers/bpe.hpp>
#include <weft/tokenizers/byte_level.hpp>
#include <weft/tokenizers/byte_level_recipes.hpp>
#include <weft/tokenizers/pipeline_tokenizer.hpp>
#include <weft/tokenizers/tokenizer_config.hpp>
#include <weft/tokenizers/vocabulary.hpp>
#include <weft/tokenizers/vocabulary_files.hpp>

namespace weft::inline v0 {

namespace detail {

/// "aGVsbG8= 15339": the bytes of a token, and its rank, which is its id. Nothing for other lines.
inline std::optional<std::pair<std::string, TokenId>> read_tiktoken_line(std::string_view line) {
  const std::size_t space = line.find(' ');
  if (space == 0 || space == line.npos) return std::nullopt;
  auto bytes = from_base64(line.substr(0, space));
  TokenId rank = 0;
  const char* const end = line.data() + line.size();
  const auto read = std::from_chars(line.data() + space + 1, end, rank);
  if (!bytes || bytes->empty() || read.ec != std::errc() || read.ptr != end || rank < 0) return std::nullopt;
  return std::pair(*std::move(bytes), rank);
}

/// Whether a file is a list of "base64 rank" lines, the byte-level vocabulary that Llama 3 also calls tokenizer.model.
inline bool is_tiktoken_file(const Source& file) {
  const Source::Bytes bytes = file.bytes();
  std::string_view line = bytes.text().substr(0, bytes.text().find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return read_tiktoken_line(line).has_value();
}

/// The 256 special tokens of Llama 3.1 to 3.3, whose ids follow those of the file (llama-models, tokenizer.py).
inline std::vector<AddedToken> llama3_special_tokens(std::size_t first) {
  constexpr std::array<std::string_view, 12> named{"<|begin_of_text|>",
                                                   "<|end_of_text|>",
                                                   "<|reserved_special_token_0|>",
                                                   "<|reserved_special_token_1|>",
                                                   "<|finetune_right_pad_id|>",
                                                   "<|step_id|>",
                                                   "<|start_header_id|>",
                                                   "<|end_header_id|>",
                                                   "<|eom_id|>",
                                                   "<|eot_id|>",
                                                   "<|python_tag|>",
                                                   "<|image|>"};
  std::vector<AddedToken> tokens;
  for (std::size_t i = 0; i < 256; ++i) {
    std::string content =
        i < named.size() ? std::string(named[i]) : concat("<|reserved_special_token_", i - named.size() + 2, "|>");
    tokens.push_back({.content = std::move(content), .id = static_cast<TokenId>(first + i), .special = true});
  }
  return tokens;
}

}  // namespace detail

/// The tokenizer of Llama 3 in the file that Meta publishes, "base64 rank" lines as the tiktoken package reads them:
/// byte-level BPE by the ranks of what two tokens become, Llama 3's pattern and special tokens, and <|begin_of_text|>
/// in front of every text. Throws FormatError for other lines, ranks that are not 0 to the number of lines, and bytes
/// that are no token; UnsupportedError for more tokens than Llama 3 has.
inline TokenizerParts read_llama3_tiktoken(const Source& file) {
  constexpr std::size_t most_tokens = 128'000;
  const std::string& path = file.name();
  const std::vector<std::string> lines = detail::read_lines(file);
  if (lines.size() > most_tokens)
    raise<UnsupportedError>(path, ": byte-level vocabularies of ", lines.size(),
                            " tokens are not supported (Llama 3's of ", most_tokens, " is)");
  Vocabulary words(lines.size(), path);
  std::vector<float> scores(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto token = detail::read_tiktoken_line(lines[i]);
    const auto rank = token ? static_cast<std::size_t>(token->second) : lines.size();
    if (rank >= lines.size() || words.contains(token->second))
      raise<FormatError>(path, ": line ", i + 1, ": expected a token in base64 and a rank of its own below ",
                         lines.size());
    words.add(to_byte_level(token->first), token->second);
    scores[rank] = -static_cast<float>(rank);
  }
  for (unsigned byte = 0; byte < 256; ++byte)
    if (!words.find(to_byte_level(std::string(1, static_cast<char>(byte)))))
      raise<FormatError>(path, ": the byte ", byte, " is no token");
  TokenizerParts parts;
  const ByteLevelRecipe& recipe = *find_byte_level_recipe("llama3");
  parts.pre_tokenizers = byte_level_steps(recipe.patterns);
  decode_byte_level(parts.decoder);
  parts.added = detail::llama3_special_tokens(lines.size());
  parts.bos = parts.added[0].id;
  parts.eos = parts.added[1].id;
  const std::vector<BpeMerge> merges = merges_from_scores(words, scores);
  parts.model =
      std::make_shared<const BpeModel>(std::move(words), merges, BpeOptions{.ignore_merges = recipe.ignore_merges});
  detail::set_bos_eos({.add_bos = true, .add_eos = false}, parts);
  return parts;
}

}  // namespace weft::inline v0
