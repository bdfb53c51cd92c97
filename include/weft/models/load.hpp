#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/thread_pool.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/registry.hpp>
#include <weft/ops/quantize.hpp>
#include <weft/tokenizers/load_tokenizer.hpp>

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
  std::span<const DecoderArchitecture* const> architectures = {};  ///< the caller's own, looked up first
  const cpu::Kernels* kernels = nullptr;                           ///< null: those of the best instruction set
};

namespace detail {

/// "model.layers.{}.x" with the layer number in place of {}.
inline std::string tensor_name(std::string_view pattern, std::size_t layer) {
  const std::size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return std::string(pattern);
  return concat(pattern.substr(0, at), layer, pattern.substr(at + 2));
}

/// Whether `name` is `pattern` for some layer number.
inline bool matches_pattern(std::string_view name, std::string_view pattern) {
  const std::size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return name == pattern;
  if (!name.starts_with(pattern.substr(0, at))) return false;
  name.remove_prefix(at);
  const std::size_t digits = name.find_first_not_of("0123456789");
  return digits != 0 && digits != std::string_view::npos && name.substr(digits) == pattern.substr(at + 2);
}

/// Reads one byte of every page, so that the kernel fetches them.
inline void touch_pages(std::span<const std::byte> bytes) noexcept {
  constexpr std::size_t page = 4096;
  for (std::size_t i = 0; i < bytes.size(); i += page) {
    const volatile std::byte* touched = bytes.data() + i;
    static_cast<void>(*touched);
  }
}

/// Fills the weights of a decoder from a checkpoint by the tensor table of its architecture.
class WeightLoader {
 public:
  WeightLoader(const Checkpoint& checkpoint, const DecoderArchitecture& architecture, const DecoderConfig& config,
               const LoadOptions& options, const cpu::Context& ctx)
      : checkpoint_(checkpoint), architecture_(architecture), config_(config), options_(options), ctx_(ctx) {}

  DecoderWeights load() {
    check_names();
    DecoderWeights weights;
    weights.layers.resize(config_.layers);
    for (const TensorRow& row : architecture_.tensors) {
      if (row.present && !row.present(config_)) continue;
      for (std::size_t layer = 0; layer < (row.per_layer() ? config_.layers : 1); ++layer) {
        const std::string tensor = tensor_name(row.name, layer);
        std::visit([&](auto slot) { fill(slot_of(slot, weights, layer), row, tensor); }, row.slot);
      }
    }
    if (config_.tied_embeddings) {
      weights.output = converted(weights.embedding);
      if (weights.output.bytes().data() != weights.embedding.bytes().data())
        checkpoint_.release(table_, weights.embedding);
    }
    return weights;
  }

 private:
  template <class T>
  static T& slot_of(T& (*slot)(DecoderWeights&), DecoderWeights& weights, std::size_t) {
    return slot(weights);
  }
  template <class T>
  static T& slot_of(T& (*slot)(DecoderLayerWeights&), DecoderWeights& weights, std::size_t layer) {
    return slot(weights.layers[layer]);
  }

  /// Missing and unexpected tensors are found before anything is read.
  void check_names() {
    std::vector<std::string> expected;
    for (const TensorRow& row : architecture_.tensors) {
      if (row.present && !row.present(config_)) continue;
      for (std::size_t layer = 0; layer < (row.per_layer() ? config_.layers : 1); ++layer) {
        expected.push_back(tensor_name(row.name, layer));
        if (!checkpoint_.contains(expected.back()))
          raise<FormatError>(checkpoint_.directory().string(), ": the tensor ", expected.back(), " is missing");
      }
    }
    std::sort(expected.begin(), expected.end());
    total_ = checkpoint_.bytes();
    for (const std::string& tensor : checkpoint_.tensor_names()) {
      if (std::binary_search(expected.begin(), expected.end(), tensor)) continue;
      const bool ignored = std::any_of(architecture_.ignored_tensors.begin(), architecture_.ignored_tensors.end(),
                                       [&](std::string_view pattern) { return matches_pattern(tensor, pattern); });
      if (!ignored)
        raise<FormatError>(checkpoint_.source_of(tensor), ": a ", architecture_.model_type,
                           " model with this config.json has no such tensor");
      total_ -= checkpoint_.tensor(tensor).bytes().size();
    }
  }

  AnyTensor read(const TensorRow& row, const std::string& tensor) {
    if (options_.stop.stop_requested()) raise<Cancelled>("loading was stopped before ", tensor);
    AnyTensor result = checkpoint_.tensor(tensor);
    Shape expected{extent_of(row.rows, config_)};
    if (row.matrix()) expected.push_back(extent_of(row.columns, config_));
    if (result.shape() != expected)
      raise<ConfigError>(checkpoint_.source_of(tensor), " has shape ", to_string(result.shape()), ", ",
                         std::filesystem::path(checkpoint_.config().source()).filename().string(), " says ",
                         to_string(expected));
    if (result.dtype() != DType::f32 && result.dtype() != DType::f16 && result.dtype() != DType::bf16)
      raise<FormatError>(checkpoint_.source_of(tensor), " has element type ", name(result.dtype()),
                         ", expected f32, f16 or bf16");
    if (options_.preload) touch_pages(result.bytes());
    return result;
  }

  void report(const AnyTensor& tensor, const std::string& name) {
    done_ += tensor.bytes().size();
    if (options_.progress) options_.progress({done_, total_, name});
  }

  void fill(AnyTensor& slot, const TensorRow& row, const std::string& tensor) {
    const AnyTensor stored = read(row, tensor);
    // Single rows of a table are looked up: it stays where it is.
    slot = row.lookup ? stored : converted(stored);
    if (row.lookup) table_ = tensor;
    if (slot.bytes().data() != stored.bytes().data()) checkpoint_.release(tensor, stored);
    report(stored, tensor);
  }

  AnyTensor converted(const AnyTensor& matrix) const {
    if (!options_.weights)
      return options_.load == Load::in_place ? matrix : convert_weight(matrix, matrix.dtype(), Layout::panels, ctx_);
    return convert_weight(matrix, fitting(*options_.weights, matrix.extent(1), matrix.dtype()), Layout::panels, ctx_);
  }

  /// The type nearest to `wanted` whose blocks fill rows of k elements.
  static DType fitting(DType wanted, std::size_t k, DType stored) noexcept {
    if (k % block_elements(wanted) == 0) return wanted;
    const DType smaller = wanted == DType::q4_k ? DType::q5_0 : wanted == DType::q5_k ? DType::q5_1 : DType::q8_0;
    return k % block_elements(smaller) == 0 ? smaller : stored;
  }

  void fill(Tensor<float, 1>& slot, const TensorRow& row, const std::string& tensor) {
    const AnyTensor stored = read(row, tensor);
    slot = Tensor<float, 1>::uninitialised({stored.extent(0)});
    visit_among<float, half, bfloat16>(stored.dtype(), tensor, [&]<class T>(std::type_identity<T>) {
      std::transform(stored.elements<T>().begin(), stored.elements<T>().end(), slot.data(),
                     [](T value) { return static_cast<float>(value); });
    });
    report(stored, tensor);
  }

  const Checkpoint& checkpoint_;
  const DecoderArchitecture& architecture_;
  const DecoderConfig& config_;
  const LoadOptions& options_;
  cpu::Context ctx_;
  std::string table_;      // the tensor whose rows are looked up
  std::size_t total_ = 0;  // bytes of the tensors that are read
  std::size_t done_ = 0;
};

}  // namespace detail

/// Loads a decoder from a checkpoint that somebody trained: a Hugging Face directory as downloaded. Files are mapped;
/// LoadOptions::load and LoadOptions::weights say where matrices are used from and in which type.
///
/// Throws FormatError for files that are missing or malformed and tensors that are missing or too many, ConfigError for
/// a config.json that contradicts itself or the weights, UnsupportedError for families, config keys and tokenizers that
/// weft does not run, Cancelled when options.stop is requested.
inline CausalLM load_causal_lm(const std::filesystem::path& path, const LoadOptions& options = {}) {
  const Checkpoint checkpoint = Checkpoint::open(path);
  const DecoderArchitecture& architecture = find_architecture(checkpoint.config(), options.architectures);
  ConfigReader reader(checkpoint.config());
  CausalLM::Parts parts{.model_type = std::string(architecture.model_type),
                        .source = path.string(),
                        .config = architecture.read_config(reader)};
  reader.finish(architecture.ignored_keys);
  if (parts.config.heads / parts.config.kv_heads > cpu::attention_rows)
    raise<UnsupportedError>(checkpoint.config().location(), ": ", parts.config.heads / parts.config.kv_heads,
                            " query heads per key/value head, at most ", cpu::attention_rows, " are supported");
  parts.generation = read_generation_config(checkpoint.config(), checkpoint.generation_config(), parts.config.vocab);
  if (options.tokenizer && has_tokenizer_files(checkpoint.directory())) parts.tokenizer = load_tokenizer(checkpoint);
  if (options.executor) {
    parts.executor = options.executor;
  } else if (options.threads == 1) {
    parts.executor = std::make_shared<SerialExecutor>();
  } else {
    parts.executor = std::make_shared<ThreadPool>(options.threads);
  }
  parts.compute = options.compute;
  if (options.kernels) parts.kernels = options.kernels;
  const cpu::Context ctx{.kernels = parts.kernels, .executor = parts.executor.get()};
  parts.weights = detail::WeightLoader(checkpoint, architecture, parts.config, options, ctx).load();
  return CausalLM(std::move(parts));
}

}  // namespace weft::inline v0
