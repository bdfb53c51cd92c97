#include <weft/models/load.hpp>

#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "fixtures.hpp"

// What loading takes from the system is given back, also where it fails. Leaks of memory are for the builds with
// sanitizers to find; here its amount is compared.
namespace {

using namespace weft;
using namespace weft_tests;

/// Open files, threads, mapped checkpoints and the heap of this process.
struct Held {
  std::size_t files = entries("/proc/self/fd");
  std::size_t threads = entries("/proc/self/task");
  std::size_t mapped = mapped_fixtures();
  std::size_t heap = heap_bytes();

  static std::size_t entries(const char* directory) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
  }
  static std::size_t mapped_fixtures() {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);)
      count += line.find("/fixtures/") != line.npos || line.find("weft-test-") != line.npos;
    return count;
  }
  static std::size_t heap_bytes() {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  }
};

void expect_given_back(const Held& before) {
  const Held after;
  EXPECT_EQ(after.files, before.files);
  EXPECT_EQ(after.mapped, 0u);
  EXPECT_LE(after.heap, before.heap + 16384);
  // A thread that was joined may be listed for a moment longer.
  for (int i = 0; i < 1000 && Held::entries("/proc/self/task") > before.threads; ++i) std::this_thread::yield();
  EXPECT_EQ(Held::entries("/proc/self/task"), before.threads);
}

const std::vector<std::filesystem::path>& checkpoints() {
  static const std::filesystem::path fixtures = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures";
  static const std::vector<std::filesystem::path> paths{fixture("llama-gqa"),
                                                        fixture("llama-sharded"),
                                                        fixture("gpt2"),
                                                        fixtures / "quantized" / "gptq",
                                                        fixtures / "layouts" / "pickle",
                                                        fixtures / "layouts" / "meta-rows",
                                                        fixtures / "gguf" / "llama.gguf"};
  return paths;
}

/// Loads a model in one of several ways and computes a little with it.
std::vector<float> use(const std::filesystem::path& path, std::size_t way) {
  LoadOptions options{.threads = way % 5 == 0 ? 3u : 1u, .compute = Compute::f32};
  if (way % 3 == 1) options.load = Load::in_place;
  if (way % 3 == 2) options.weights = DType::q8_0;
  const CausalLM model = load_causal_lm(path, options);
  Session session(model);
  const std::span<const float> logits = session.forward(some_ids(3, model.config().vocab));
  return {logits.begin(), logits.end()};
}

TEST(LoadCycles, GiveEverythingBack) {
  {
    const CausalLM model = load_causal_lm(checkpoints()[0], {.load = Load::in_place, .threads = 1});
    EXPECT_EQ(Held::mapped_fixtures(), 1u);
  }
  for (std::size_t way = 0; way < 15; ++way)
    for (const std::filesystem::path& path : checkpoints()) use(path, way);
  const Held before;
  for (std::size_t cycle = 0; cycle < 1000; ++cycle) use(checkpoints()[cycle % checkpoints().size()], cycle);
  expect_given_back(before);
}

TEST(LoadCycles, FailuresGiveEverythingBack) {
  const CheckpointCopy broken;
  broken.edit_tensors([](CheckpointCopy::Tensors& tensors) { tensors.pop_back(); });
  const CheckpointCopy cut;
  const std::string weights = read_file(cut.path() / "model.safetensors");
  cut.write("model.safetensors", weights.substr(0, weights.size() / 2));
  std::stop_source stopped;
  stopped.request_stop();
  const auto fail = [&] {
    for (const std::filesystem::path& path : checkpoints())
      for (std::size_t tensor = 0; tensor < 12; ++tensor) {
        std::size_t left = tensor;
        const auto progress = [&](const LoadProgress&) {
          if (left-- == 0) throw std::runtime_error("enough");
        };
        EXPECT_THROW(load_causal_lm(path, {.threads = tensor % 2 + 1, .progress = progress}), std::runtime_error);
      }
    EXPECT_THROW(load_causal_lm(checkpoints()[0], {.threads = 2, .stop = stopped.get_token()}), Cancelled);
    EXPECT_THROW(broken.load(), FormatError);
    EXPECT_THROW(cut.load(), FormatError);
    EXPECT_THROW(load_causal_lm(broken.path() / "absent"), FormatError);
    EXPECT_THROW(load_causal_lm(checkpoints()[0], {.weights = DType::i32, .threads = 2}), UnsupportedError);
  };
  fail();
  const Held before;
  for (int i = 0; i < 3; ++i) fail();
  expect_given_back(before);
}

TEST(LoadCycles, ThreadsLoadAtOnce) {
  std::vector<std::vector<float>> expected;
  for (std::size_t i = 0; i < 28; ++i) expected.push_back(use(checkpoints()[i % checkpoints().size()], i));
  const Held before;
  std::vector<std::size_t> wrong(2);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < wrong.size(); ++t)
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < expected.size(); ++i) {
          const std::size_t mine = t == 0 ? i : expected.size() - 1 - i;
          wrong[t] += !same_bits(use(checkpoints()[mine % checkpoints().size()], mine), expected[mine]);
        }
      });
  }
  EXPECT_EQ(wrong, std::vector<std::size_t>(2));
  EXPECT_EQ(Held().files, before.files);
  EXPECT_EQ(Held().mapped, 0u);
}

}  // namespace
