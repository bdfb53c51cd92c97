// From a checkpoint on disk to the first logits, beside reading its files and doing nothing with them. WEFT_BENCH_MODEL
// is a GGUF file or a directory that load_causal_lm() reads. In place, nothing is read but what describes the tensors,
// and pages are mapped as they are used. The files' pages are in memory already, unless WEFT_BENCH_COLD is set: then
// the system lets go of them before every load, where it can.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <vector>

#include <benchmark/benchmark.h>

#include <weft/core/token_id.hpp>
#include <weft/models/load.hpp>
#include <weft/models/session.hpp>

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

const char* model(benchmark::State& state) {
  const char* path = std::getenv("WEFT_BENCH_MODEL");
  if (!path) state.SkipWithError("WEFT_BENCH_MODEL names no model");
  return path;
}

std::vector<std::filesystem::path> files_of(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) return {path};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path))
    if (entry.is_regular_file()) files.push_back(entry.path());
  return files;
}

/// Where WEFT_BENCH_COLD is set, the files are on the disk alone afterwards.
void prepare(const std::filesystem::path& path) {
  if (!std::getenv("WEFT_BENCH_COLD")) return;
  for (const auto& file : files_of(path)) {
    const int descriptor = ::open(file.c_str(), O_RDONLY);
    ::fsync(descriptor);
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    ::close(descriptor);
  }
}

benchmark::Counter mean_ms(double seconds) { return {1e3 * seconds, benchmark::Counter::kAvgIterations}; }

void read_files(benchmark::State& state) {
  const char* path = model(state);
  if (!path) return;
  std::vector<char> piece(std::size_t{1} << 17);
  std::size_t bytes = 0;
  for (auto _ : state) {
    prepare(path);
    const double begin = now();
    for (const auto& file : files_of(path)) {
      const int descriptor = ::open(file.c_str(), O_RDONLY);
      for (ssize_t count; (count = ::read(descriptor, piece.data(), piece.size())) > 0;)
        bytes += static_cast<std::size_t>(count);
      ::close(descriptor);
    }
    state.SetIterationTime(now() - begin);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

/// The time of loading and of what the first forward of one token takes more than the second.
void first_use(benchmark::State& state, weft::Load load, std::optional<weft::DType> weights) {
  const char* path = model(state);
  if (!path) return;
  const std::array<weft::TokenId, 1> token{1};
  double loading = 0, first = 0, second = 0;
  for (auto _ : state) {
    prepare(path);
    const double begin = now();
    const weft::CausalLM model = weft::load_causal_lm(path, {.load = load, .weights = weights, .tokenizer = false});
    const double loaded = now();
    weft::Session session(model);
    session.forward(token);
    const double used = now();
    session.forward(token);
    const double again = now() - used;
    state.SetIterationTime(used - begin - again);
    loading += loaded - begin;
    first += used - loaded;
    second += again;
  }
  state.counters["load_ms"] = mean_ms(loading);
  state.counters["first_forward_ms"] = mean_ms(first);
  state.counters["second_forward_ms"] = mean_ms(second);
}

// One iteration each: --benchmark_repetitions and --benchmark_enable_random_interleaving compare them fairly.
BENCHMARK(read_files)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(1);
BENCHMARK_CAPTURE(first_use, in_place, weft::Load::in_place, {})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);
BENCHMARK_CAPTURE(first_use, repack, weft::Load::repack, {})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);
BENCHMARK_CAPTURE(first_use, q8_0, weft::Load::repack, weft::DType::q8_0)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

}  // namespace
