// Writes the tokens of texts, or the texts of tokens, for fuzz_tokenizers.py:
//
//   dump_tokens TOKENIZER < TEXTS > TOKENS
//   dump_tokens TOKENIZER decode < IDS > TEXTS
//
// TOKENIZER is a directory with a tokenizer's files. TEXTS holds, for every text, its bytes in a 32-bit number and the
// bytes; TOKENS, for every text, how many tokens it has in a 32-bit number, or -1 where it is refused, and for each its
// id and where it begins and ends in characters, 0 and 0 from tokenizers that give ids alone. IDS holds, for every
// list, whether special tokens are left out, how many there are, and the ids. All numbers are little-endian; added
// tokens are found in text and put around it.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <weft/tokenizers/load_tokenizer.hpp>
#include <weft/tokenizers/pipeline_tokenizer.hpp>

namespace {

void put(std::uint32_t number, std::string& out) {
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(number >> shift & 0xFFu);
}

std::uint32_t take(std::string_view& in) {
  std::uint32_t number = 0;
  for (unsigned i = 0; i < 4; ++i) number |= std::uint32_t{static_cast<unsigned char>(in.at(i))} << 8 * i;
  in.remove_prefix(4);
  return number;
}

weft::Encoding tokens_of(const weft::Tokenizer& tokenizer, std::string_view text) {
  if (dynamic_cast<const weft::PipelineTokenizer*>(&tokenizer))
    return tokenizer.tokenize(text, {.offset_unit = weft::OffsetUnit::characters});
  weft::Encoding encoding{.ids = tokenizer.encode(text)};
  encoding.offsets.resize(encoding.ids.size());
  return encoding;
}

void encode(const weft::Tokenizer& tokenizer, std::string_view& rest, std::string& output) {
  const std::uint32_t bytes = take(rest);
  const std::string_view text = rest.substr(0, bytes);
  rest.remove_prefix(text.size());
  try {
    const weft::Encoding encoding = tokens_of(tokenizer, text);
    put(static_cast<std::uint32_t>(encoding.size()), output);
    for (std::size_t i = 0; i < encoding.size(); ++i) {
      put(static_cast<std::uint32_t>(encoding.ids[i]), output);
      put(encoding.offsets[i].begin, output);
      put(encoding.offsets[i].end, output);
    }
  } catch (const weft::TokenizerError&) {
    put(0xFFFFFFFFu, output);
  }
}

void decode(const weft::Tokenizer& tokenizer, std::string_view& rest, std::string& output) {
  const bool skip = take(rest) != 0;
  std::vector<weft::TokenId> ids(take(rest));
  for (weft::TokenId& id : ids) id = static_cast<weft::TokenId>(take(rest));
  const std::string text = tokenizer.decode(ids, {.skip_special_tokens = skip});
  put(static_cast<std::uint32_t>(text.size()), output);
  output += text;
}

}  // namespace

int main(int argc, char** argv) try {
  const bool decodes = argc == 3 && std::string_view(argv[2]) == "decode";
  if (argc != 2 && !decodes) {
    std::fputs("usage: dump_tokens TOKENIZER [decode] < IN > OUT\n", stderr);
    return 2;
  }
  const std::shared_ptr<const weft::Tokenizer> tokenizer = weft::load_tokenizer(std::filesystem::path(argv[1]));
  const std::string input{std::istreambuf_iterator<char>(std::cin), {}};
  std::string output;
  for (std::string_view rest = input; !rest.empty();) (decodes ? decode : encode)(*tokenizer, rest, output);
  std::cout.write(output.data(), static_cast<std::streamsize>(output.size()));
  return std::cout.flush() ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
