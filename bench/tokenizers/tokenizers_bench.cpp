// Text to tokens, in bytes a second, one document of about 4 KB at a time. Arguments come by environment variables,
// which compare.py beside this file sets:
//
//   WEFT_BENCH_TOKENIZERS   directories with tokenizer files, separated by ":"; the tests' own where it is not set
//   WEFT_BENCH_TEXTS        text files, separated by ":"; the repository's README.md where it is not set

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <weft/tokenizers/load_tokenizer.hpp>

namespace {

std::vector<std::filesystem::path> paths_of(const char* variable, std::vector<std::filesystem::path> defaults) {
  const char* set = std::getenv(variable);
  if (!set) return defaults;
  std::vector<std::filesystem::path> paths;
  std::istringstream list(set);
  for (std::string path; std::getline(list, path, ':');) paths.emplace_back(path);
  return paths;
}

// Whole lines, about 4 KB in each.
std::vector<std::string> documents_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::string> documents(1);
  for (std::string line; std::getline(file, line); documents.back() += line + "\n")
    if (documents.back().size() + line.size() > 4096 && !documents.back().empty()) documents.emplace_back();
  return documents;
}

void set_bytes(benchmark::State& state, const std::vector<std::string>& documents) {
  std::size_t bytes = 0;
  for (const std::string& document : documents) bytes += document.size();
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes));
}

void encode(benchmark::State& state, const std::filesystem::path& directory, const std::filesystem::path& text) {
  const auto tokenizer = weft::load_tokenizer(directory);
  const std::vector<std::string> documents = documents_of(text);
  for (auto _ : state)
    for (const std::string& document : documents) benchmark::DoNotOptimize(tokenizer->encode(document));
  set_bytes(state, documents);
}

// With offsets, words and masks.
void tokenize(benchmark::State& state, const std::filesystem::path& directory, const std::filesystem::path& text) {
  const auto tokenizer = weft::load_tokenizer(directory);
  const std::vector<std::string> documents = documents_of(text);
  for (auto _ : state)
    for (const std::string& document : documents)
      benchmark::DoNotOptimize(tokenizer->tokenize(document, {.offset_unit = weft::OffsetUnit::characters}));
  set_bytes(state, documents);
}

[[maybe_unused]] const bool registered = [] {
  const std::filesystem::path root = std::filesystem::path(WEFT_MODELS_DIR).parent_path().parent_path();
  const std::filesystem::path fixtures = root / "tests" / "fixtures" / "tokenizer_json";
  for (const auto& directory :
       paths_of("WEFT_BENCH_TOKENIZERS", {fixtures / "gpt2", fixtures / "llama3", fixtures / "bert"}))
    for (const auto& text : paths_of("WEFT_BENCH_TEXTS", {root / "README.md"})) {
      const std::string name = directory.filename().string() + "/" + text.filename().string();
      benchmark::RegisterBenchmark(("encode/" + name).c_str(), encode, directory, text)->Unit(benchmark::kMicrosecond);
      benchmark::RegisterBenchmark(("tokenize/" + name).c_str(), tokenize, directory, text)
          ->Unit(benchmark::kMicrosecond);
    }
  return true;
}();

}  // namespace
