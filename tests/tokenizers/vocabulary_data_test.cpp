// The vocabularies of published models, which do not come with weft: a folder, named by the environment variable
// WEFT_VOCAB_DIR or found beside the repository, that holds <name>.gguf without tensors, <name>.gguf.inp, texts between
// lines that say __ggml_vocab_test__, and <name>.gguf.out, the ids of a text on every line.
#include <weft/tokenizers/gguf_tokenizer.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <weft/formats/gguf.hpp>

namespace {

std::filesystem::path vocabularies() {
  if (const char* named = std::getenv("WEFT_VOCAB_DIR")) return named;
  return std::filesystem::path(WEFT_TESTS_DIR).parent_path().parent_path() / "shared" / "data" / "vocab";
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> texts_of(const std::filesystem::path& path) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  const std::string content = content_of(path);
  std::vector<std::string> texts;
  for (std::size_t at = 0; at < content.size();) {
    const std::size_t end = std::min(content.find(separator, at), content.size());
    texts.push_back(content.substr(at, end - at));
    at = end + separator.size();
  }
  return texts;
}

std::vector<std::vector<weft::TokenId>> ids_of(const std::filesystem::path& path) {
  std::istringstream content(content_of(path));
  std::vector<std::vector<weft::TokenId>> ids;
  for (std::string line; std::getline(content, line);) {
    std::istringstream numbers(line);
    ids.emplace_back(std::istream_iterator<weft::TokenId>(numbers), std::istream_iterator<weft::TokenId>());
  }
  return ids;
}

TEST(PublishedVocabularies, GiveTheIdsOfTheirLists) {
  std::vector<std::filesystem::path> files;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(vocabularies(), missing))
    if (entry.path().extension() == ".gguf") files.push_back(entry.path());
  if (files.empty())
    GTEST_SKIP() << "no vocabularies in " << vocabularies() << "; WEFT_VOCAB_DIR may name another folder";
  for (const std::filesystem::path& path : files) {
    const auto vocabulary = weft::read_gguf_vocabulary(weft::GgufFile(path.string()));
    ASSERT_TRUE(vocabulary) << path;
    const auto tokenizer = weft::make_gguf_tokenizer(*vocabulary);
    const std::vector<std::string> texts = texts_of(path.string() + ".inp");
    const std::vector<std::vector<weft::TokenId>> expected = ids_of(path.string() + ".out");
    ASSERT_GT(texts.size(), 1u) << path;
    ASSERT_EQ(texts.size(), expected.size()) << path;
    for (std::size_t i = 0; i < texts.size(); ++i)
      EXPECT_EQ(tokenizer->encode(texts[i], {.add_special_tokens = false}), expected[i])
          << path.filename() << ": " << testing::PrintToString(texts[i]);
  }
}

}  // namespace
