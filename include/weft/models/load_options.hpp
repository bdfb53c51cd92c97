#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>

#include <weft/core/dtype.hpp>
#include <weft/core/thread_pool.hpp>
#include <weft/cpu/context.hpp>

namespace weft::inline v0 {

/// How far loading has come.
struct LoadProgress {
  std::size_t bytes_done;
  std::size_t bytes_total;
  std::string_view tensor;  ///< the one just finished
};

/// Where matrices of weights are used from.
enum class Load : unsigned char {
  repack,    ///< copied into memory in the layout that products read fastest, one after the other
  in_place,  ///< the mapped file: nothing is copied, pages are shared with other processes, products are slower
};

/// How any kind of model is loaded.
struct LoadOptions {
  Load load = Load::repack;
  /// The element type of matrices; what it rounds is rounded while loading. Rows that do not fill the blocks of q4_k,
  /// q5_k and q6_k become q5_0, q5_1 and q8_0, those that fill no blocks stay as they are. Implies Load::repack.
  std::optional<DType> weights = {};
  std::size_t threads = 0;                  ///< 0: one per available processor; 1: the calling thread alone
  std::shared_ptr<Executor> executor = {};  ///< the host's own scheduler, instead of threads of ours
  Compute compute = Compute::native;        ///< f32: never round activations, whatever the weights' type
  bool preload = false;                     ///< read every page that is used in place now, not when it is first needed
  bool tokenizer = true;                    ///< false: run on token ids alone
  std::function<void(const LoadProgress&)> progress = {};  ///< called after every tensor; what it throws ends loading
  std::stop_token stop = {};
  const cpu::Kernels* kernels = nullptr;  ///< null: those of the best instruction set
};

namespace detail {

/// The executor that the options ask for. Throws ConfigError for one on which nothing makes progress.
inline std::shared_ptr<Executor> executor_of(const LoadOptions& options) {
  if (options.executor && options.executor->concurrency() == 0)
    raise<ConfigError>("LoadOptions: the executor's concurrency is 0, expected at least 1");
  if (options.executor) return options.executor;
  if (options.threads == 1) return std::make_shared<SerialExecutor>();
  return std::make_shared<ThreadPool>(options.threads);
}

}  // namespace detail
}  // namespace weft::inline v0
