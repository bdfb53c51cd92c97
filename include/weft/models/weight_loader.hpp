#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <weft/formats/checkpoint.hpp>
#include <weft/models/load_options.hpp>
#include <weft/models/read_ahead.hpp>
#include <weft/models/stored_names.hpp>
#include <weft/models/tensor_table.hpp>
#include <weft/ops/quantize.hpp>

namespace weft::inline v0::detail {

/// Reads one byte of every page, so that the kernel fetches them.
inline void touch_pages(std::span<const std::byte> bytes) noexcept {
  constexpr std::size_t page = 4096;
  for (std::size_t i = 0; i < bytes.size(); i += page) {
    const volatile std::byte* touched = bytes.data() + i;
    static_cast<void>(*touched);
  }
}

/// The rows [begin, begin + rows / groups) of each of `groups` runs of rows of `stored`, (rows, ...): as they lie where
/// they are one run, otherwise a copy.
inline AnyTensor rows_of_groups(const AnyTensor& stored, std::size_t groups, std::size_t begin, std::size_t rows) {
  if (groups == 1) return stored.rows(begin, begin + rows);
  Shape shape{rows};
  for (std::size_t d = 1; d < stored.rank(); ++d) shape.push_back(stored.extent(d));
  const std::size_t run = stored.extent(0) / groups;
  return AnyTensor::make(stored.dtype(), shape, [&](std::span<std::byte> to) {
    const std::size_t count = to.size() / groups;
    for (std::size_t g = 0; g < groups; ++g)
      std::memcpy(to.data() + g * count, stored.rows(g * run + begin, g * run + begin + rows / groups).bytes().data(),
                  count);
  });
}

/// The transpose of a matrix of plain elements, a copy.
inline AnyTensor transposed_copy(const AnyTensor& matrix) {
  const std::size_t rows = matrix.extent(1);
  const std::size_t columns = matrix.extent(0);
  const std::size_t bytes = bytes_of(matrix.dtype(), 1);
  return AnyTensor::make(matrix.dtype(), {rows, columns}, [&](std::span<std::byte> to) {
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < columns; ++c)
        std::memcpy(to.data() + (r * columns + c) * bytes, matrix.bytes().data() + (c * rows + r) * bytes, bytes);
  });
}

/// Numbers of double precision as floats, a copy.
inline AnyTensor narrowed(const AnyTensor& doubles) {
  return AnyTensor::make(DType::f32, doubles.shape(), [&](std::span<std::byte> to) {
    const std::span<const double> from = doubles.elements<double>();
    std::transform(from.begin(), from.end(), reinterpret_cast<float*>(to.data()),
                   [](double value) { return static_cast<float>(value); });
  });
}

/// What GGUF files hold of rotary embeddings, which is part of the configuration, and of T5 that it does not use.
inline constexpr auto gguf_ignored_names =
    std::to_array<std::string_view>({"rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight",
                                     "blk.{}.attn_rot_embd", "dec.blk.0.cross_attn_rel_b.weight"});

/// The bytes of the weights of a model.
struct WeightBytes {
  std::size_t allocated = 0;
  std::size_t in_place = 0;  ///< that are used where the checkpoint has them
};

/// Fills the weights of a model from a checkpoint by the tensor table of its architecture. `A` is an Architecture<...>.
///
/// Numbers of double precision are rounded to float. load() throws FormatError for tensors that are missing, too many
/// or of a type that is no weight, ConfigError for another shape than config.json says, Cancelled, and what
/// options.progress throws.
template <class A>
class WeightLoader {
 public:
  using Weights = typename A::Weights;
  using Config = typename A::Config;
  using Row = typename A::Row;

  WeightLoader(const Checkpoint& checkpoint, const A& architecture, const Config& config, const LoadOptions& options,
               const cpu::Context& ctx)
      : checkpoint_(checkpoint),
        architecture_(architecture),
        config_(config),
        options_(options),
        ctx_(ctx),
        gguf_(checkpoint.gguf() != nullptr),
        names_(checkpoint, architecture) {}

  Weights load() {
    check_type();
    check_names();
    Weights weights;
    weights.resize(config_);
    const std::vector<Item> items = items_in_file_order();
    std::optional<ReadAhead> ahead;
    if (reads_ahead()) ahead.emplace(checkpoint_, names_read(items));
    for (const Item& item : items) {
      if (ahead) ahead->wait(item.tensor);
      std::visit([&](auto slot) { fill(slot(weights, item.index), *item.row, item.index, item.tensor); },
                 item.row->slot);
    }
    return weights;
  }

  /// The bytes that the weights will take, of which nothing is read. Throws as load() does for names and types.
  WeightBytes plan() {
    check_type();
    check_names();
    WeightBytes bytes;
    for_each_row([&](const Row& row, const TensorIndex&, const std::string& tensor) { add_bytes(row, tensor, bytes); });
    return bytes;
  }

 private:
  /// A type and a layout that a matrix is used in.
  struct Form {
    DType dtype;
    Layout layout;
    bool operator==(const Form&) const = default;
  };

  /// Matrices can only be converted to types that products read.
  void check_type() const {
    if (!options_.weights) return;
    const DType wanted = *options_.weights;
    const auto readable = [](DType dtype) {
      return is_block_format(dtype) ? kernel_dtype(dtype) == dtype
                                    : dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
    };
    if (readable(wanted)) return;
    std::string known;
    for (std::size_t i = 0; i < dtype_table.size(); ++i)
      if (const auto dtype = static_cast<DType>(i); readable(dtype))
        known += concat(known.empty() ? "" : ", ", name(dtype));
    raise<UnsupportedError>(checkpoint_.location(), ": weights cannot be loaded as ", name(wanted), " (", known,
                            " are possible)");
  }

  /// Calls f(row, index, name) for every tensor of the table.
  template <class F>
  void for_each_row(F&& f) const {
    for (const Row& row : architecture_.tensors) {
      if (names_.pattern_of(row).empty()) continue;
      for (std::size_t layer = 0; layer < row.layer_count(config_); ++layer) {
        if (!names_.has(row, config_, layer)) continue;
        for (std::size_t expert = 0; expert < row.expert_count(config_); ++expert) {
          const TensorIndex index{layer, expert};
          f(row, index, names_.name_of(row, index));
        }
      }
    }
  }

  /// Whether everything will be read, with threads of ours.
  bool reads_ahead() const noexcept {
    const bool all = options_.load == Load::repack || options_.weights || options_.preload;
    return all && options_.threads != 1 && !options_.executor;
  }
  /// What is filled from one tensor.
  struct Item {
    const Row* row;
    TensorIndex index;
    std::string tensor;
    std::pair<std::string_view, std::size_t> position;
  };

  /// The table in the order in which the files hold the tensors: disks and systems read what follows fastest.
  std::vector<Item> items_in_file_order() const {
    std::vector<Item> items;
    for_each_row([&](const Row& row, const TensorIndex& index, std::string tensor) {
      const auto position = checkpoint_.position(tensor);
      items.push_back({&row, index, std::move(tensor), position});
    });
    std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.position < b.position; });
    return items;
  }

  /// The tensors in the order in which they are read; tables that stay where they are are not.
  std::vector<std::string> names_read(std::span<const Item> items) const {
    std::vector<std::string> names;
    for (const Item& item : items)
      if ((!item.row->lookup || options_.preload) && (names.empty() || names.back() != item.tensor))
        names.push_back(item.tensor);
    return names;
  }

  /// Missing and unexpected tensors are found before anything is read.
  void check_names() {
    std::vector<std::string> expected;
    for_each_row([&](const Row&, const TensorIndex&, std::string name) {
      expected.push_back(std::move(name));
      if (!checkpoint_.contains(expected.back()))
        raise<FormatError>(checkpoint_.location(), ": the tensor ", expected.back(), " is missing");
    });
    std::sort(expected.begin(), expected.end());
    expected.erase(std::unique(expected.begin(), expected.end()), expected.end());
    total_ = checkpoint_.bytes();
    for (const std::string& tensor : checkpoint_.tensor_names()) {
      if (std::binary_search(expected.begin(), expected.end(), tensor)) continue;
      const std::span<const std::string_view> ignored =
          gguf_ ? std::span<const std::string_view>(gguf_ignored_names) : architecture_.ignored_tensors;
      if (std::none_of(ignored.begin(), ignored.end(),
                       [&](std::string_view pattern) { return matches_pattern(tensor, names_.pattern_of(pattern)); }) &&
          !is_empty_bias(tensor))
        raise<FormatError>(checkpoint_.source_of(tensor), ": a ", architecture_.model_type, " model with this ",
                           gguf_ ? "metadata" : "config.json", " has no such tensor");
      total_ -= checkpoint_.tensor(tensor).bytes().size();
    }
    for (const std::string& tensor : expected)
      if (const WeightsEntry& entry = checkpoint_.entry(tensor); entry.dtype == DType::f64) total_ -= entry.bytes / 2;
  }

  /// AutoGPTQ's layers have a bias, of zeros where the model has none.
  bool is_empty_bias(std::string_view tensor) const {
    constexpr std::string_view bias = "bias";
    if (!tensor.ends_with(bias)) return false;
    const std::string layer(tensor.substr(0, tensor.size() - bias.size()));
    if (!checkpoint_.is_quantized(layer + "weight")) return false;
    const AnyTensor stored = checkpoint_.tensor(tensor);
    return std::all_of(stored.bytes().begin(), stored.bytes().end(), [](std::byte b) { return b == std::byte{0}; });
  }

  bool transposed(const Row& row, std::string_view tensor) const noexcept {
    return row.transposed && !gguf_ && !checkpoint_.is_quantized(tensor);
  }
  std::size_t groups(const Row& row) const { return row.part.groups && !gguf_ ? row.part.groups(config_) : 1; }

  /// Where a row's tensor begins in each run; in GGUF files, where there is one run, as many times further on.
  std::size_t part_begin(const Row& row) const {
    const std::size_t begin = row.part.begin ? row.part.begin(config_) : 0;
    return gguf_ && row.part.groups ? begin * row.part.groups(config_) : begin;
  }

  /// The shape in which a row's tensor is stored, of one expert where experts are apart.
  Shape stored_shape(const Row& row, std::string_view tensor) const {
    const std::size_t rows = row.part.stored ? row.part.stored(config_) : row.rows(config_);
    if (!row.matrix()) return Shape{rows};
    const std::size_t columns = row.columns(config_);
    return transposed(row, tensor) ? Shape{columns, rows} : Shape{rows, columns};
  }

  /// The tensor of a row: in place where its elements lie one after the other, otherwise a copy.
  AnyTensor read(const Row& row, const TensorIndex& index, const std::string& tensor) const {
    if (options_.stop.stop_requested()) raise<Cancelled>("loading was stopped before ", tensor);
    AnyTensor stored = checkpoint_.tensor(tensor);
    const Shape shape = stored_shape(row, tensor);
    const std::string pattern = names_.pattern_of(row);
    const bool stacked = row.experts && pattern.find("{}") == pattern.rfind("{}");
    Shape expected = stacked ? Shape{row.experts(config_)} : Shape{};
    for (const std::size_t extent : shape) expected.push_back(extent);
    if (row.reshaped ? stored.size() != expected.elements() : stored.shape() != expected)
      raise<ConfigError>(checkpoint_.source_of(tensor), " has shape ", to_string(stored.shape()), ", ",
                         std::filesystem::path(checkpoint_.config().source()).filename().string(), " says ",
                         to_string(expected));
    const bool wide = stored.dtype() == DType::f64;
    const bool plain = stored.dtype() == DType::f32 || stored.dtype() == DType::f16 || stored.dtype() == DType::bf16;
    if (!plain && !wide && !(row.matrix() && is_block_format(stored.dtype())))
      raise<FormatError>(checkpoint_.source_of(tensor), " has element type ", name(stored.dtype()),
                         ", expected f32, f16, bf16 or f64", gguf_ && row.matrix() ? " or a block format" : "");
    if (stacked) stored = stored.rows(index[1], index[1] + 1);
    if (stored.shape() != shape) stored = stored.reshaped(shape);
    const AnyTensor mapped = stored;
    if (wide) stored = narrowed(stored);
    if (transposed(row, tensor)) stored = transposed_copy(stored);
    if (row.part.stored) stored = rows_of_groups(stored, groups(row), part_begin(row), row.rows(config_));
    if (wide || transposed(row, tensor) || groups(row) > 1) checkpoint_.release(tensor, mapped);
    if (options_.preload) touch_pages(stored.bytes());
    return stored;
  }

  /// After a tensor: its bytes in the file are no longer wanted where they were copied.
  void finish(const Row& row, const AnyTensor& stored, const std::string& name, bool copied) {
    if (copied) checkpoint_.release(name, stored);
    if (row.repeated) return;
    done_ += stored.bytes().size();
    if (options_.progress) options_.progress({done_, total_, name});
  }

  void fill(AnyTensor& slot, const Row& row, const TensorIndex& index, const std::string& tensor) {
    const AnyTensor stored = read(row, index, tensor);
    const Form form = form_of(row, stored.dtype());
    slot = convert_weight(stored, form.dtype, form.layout, ctx_);
    finish(row, stored, tensor, slot.bytes().data() != stored.bytes().data());
  }

  /// What becomes of a matrix. Single rows of a table are looked up: it stays where it is.
  Form form_of(const Row& row, DType stored) const {
    const DType kernel = kernel_dtype(stored);
    if (row.lookup) return {kernel, Layout::rows};
    if (options_.weights) return {fitting(*options_.weights, row.columns(config_), stored), Layout::panels};
    const bool in_place = options_.load == Load::in_place && kernel == stored;
    return {kernel, in_place ? Layout::rows : Layout::panels};
  }

  void add_bytes(const Row& row, const std::string& tensor, WeightBytes& bytes) const {
    const std::size_t rows = row.rows(config_);
    if (!row.matrix()) {
      bytes.allocated += rows * sizeof(float);
      return;
    }
    const WeightsEntry& entry = checkpoint_.entry(tensor);
    if (!entry.dtype)
      raise<UnsupportedError>(checkpoint_.source_of(tensor), ": element type ", entry.type, " is not supported");
    const DType stored = *entry.dtype == DType::f64 ? DType::f32 : *entry.dtype;
    const Form form = form_of(row, stored);
    const bool copied =
        stored != *entry.dtype || transposed(row, tensor) || groups(row) > 1 || checkpoint_.is_quantized(tensor);
    const Shape shape{rows, row.columns(config_)};
    if (form != Form{stored, Layout::rows} || copied) {
      bytes.allocated += form.layout == Layout::rows ? bytes_of(form.dtype, shape) : panel_bytes_of(form.dtype, shape);
    } else if (!row.repeated) {
      bytes.in_place += bytes_of(form.dtype, shape);
    }
  }

  /// The type nearest to `wanted` whose blocks fill rows of k elements.
  static DType fitting(DType wanted, std::size_t k, DType stored) noexcept {
    if (k % block_elements(wanted) == 0) return wanted;
    const DType smaller = wanted == DType::q4_k ? DType::q5_0 : wanted == DType::q5_k ? DType::q5_1 : DType::q8_0;
    return k % block_elements(smaller) == 0 ? smaller : stored;
  }

  void fill(Tensor<float, 1>& slot, const Row& row, const TensorIndex& index, const std::string& tensor) {
    const AnyTensor stored = read(row, index, tensor);
    slot = Tensor<float, 1>::uninitialised({stored.extent(0)});
    visit_among<float, half, bfloat16>(stored.dtype(), tensor, [&]<class T>(std::type_identity<T>) {
      std::transform(stored.elements<T>().begin(), stored.elements<T>().end(), slot.data(),
                     [](T value) { return static_cast<float>(value); });
    });
    finish(row, stored, tensor, false);
  }

  const Checkpoint& checkpoint_;
  const A& architecture_;
  const Config& config_;
  const LoadOptions& options_;
  cpu::Context ctx_;
  bool gguf_;
  StoredNames<A> names_;
  std::size_t total_ = 0;  // bytes of the tensors that are read
  std::size_t done_ = 0;
};

}  // namespace weft::inline v0::detail
