#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/models/adapter.hpp>
#include <weft/models/adapter_config.hpp>
#include <weft/models/merged_matrix.hpp>
#include <weft/models/peft_tensors.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/ops/quantize.hpp>

namespace weft::inline v0::detail {

/// What transformers 5 calls a weight of ViT and DeiT, whose checkpoints have the names of transformers 4 still
/// (transformers, conversion_mapping.py).
inline std::string renamed_in_vit(std::string name) {
  struct Renamed {
    std::string_view stored, module;
  };
  constexpr auto parts = std::to_array<Renamed>({{"encoder.layer.", "layers."},
                                                 {"attention.attention.query", "attention.q_proj"},
                                                 {"attention.attention.key", "attention.k_proj"},
                                                 {"attention.attention.value", "attention.v_proj"},
                                                 {"attention.output.dense", "attention.o_proj"},
                                                 {"intermediate.dense", "mlp.fc1"},
                                                 {"output.dense", "mlp.fc2"}});
  for (const Renamed& part : parts)
    if (const std::size_t at = name.find(part.stored); at != name.npos)
      name.replace(at, part.stored.size(), part.module);
  return name;
}

/// The tensors of a checkpoint that a LoRA adapter changes, merged whenever they are asked for, and those that it
/// replaces or brings.
class AdaptedWeights final : public WeightsFile {
 public:
  /// Throws as merge() does.
  AdaptedWeights(Checkpoint base, LoraConfig config, std::shared_ptr<const WeightsFile> file, float scale)
      : WeightsFile(file->path()), base_(std::move(base)), config_(std::move(config)), file_(std::move(file)) {
    const std::string_view type = base_.config().get_or("model_type", "");
    renamed_ = type == "vit" || type == "deit";
    sort_peft_tensors(
        *file_, config_,
        [&](const std::string& name, std::string_view module) -> StoredLowRank& { return change_of(name, module); },
        [&](const std::string& name, const std::string& plain) { replace(name, plain); });
    for (auto& [name, change] : changes_) check(name, change);
    check_complete();
    for (auto& [name, change] : changes_) change.scale = scale * config_.scale(change.module);
    list();
  }

  AnyTensor tensor(std::string_view name) const override {
    const std::string wanted = expect(name).name;
    const auto replaced = replaced_.find(wanted);
    AnyTensor tensor = replaced != replaced_.end() ? file_->tensor(replaced->second) : base_.tensor(wanted);
    if (tensor.dtype() == DType::f64) tensor = narrowed(tensor);
    if (const auto change = changes_.find(wanted); change != changes_.end()) tensor = merged(tensor, change->second);
    if (const auto bias = biases_.find(wanted); bias != biases_.end())
      tensor = with_bias(tensor, changes_.find(bias->second)->second);
    return tensor;
  }
  void release(const AnyTensor&) const noexcept override {}

 private:
  static constexpr std::string_view weight = ".weight";

  struct Change : StoredLowRank {
    std::string module;  // as the adapter calls it
    float scale = 1.f;
    bool transposed = false;  // the weight is (inputs, outputs), and so is every table
  };

  /// What a tensor of the checkpoint may be called in the model that an adapter is for.
  std::string module_name(const std::string& stored) const { return renamed_ ? renamed_in_vit(stored) : stored; }

  /// The name in the checkpoint of what the adapter calls `name`, which may have a prefix more or less; empty where
  /// there is none.
  std::string base_name(const std::string& name) const {
    if (base_.contains(name)) return name;
    std::string found;
    const auto inside = [](std::string_view whole, std::string_view end) {
      return whole == end ||
             (whole.size() > end.size() && whole.ends_with(end) && whole[whole.size() - end.size() - 1] == '.');
    };
    const std::string wanted = module_name(name);
    for (const std::string& stored : base_.tensor_names()) {
      const std::string other = module_name(stored);
      if (!inside(other, wanted) && !inside(wanted, other)) continue;
      if (!found.empty()) return "";
      found = stored;
    }
    return found;
  }

  StoredLowRank& change_of(const std::string& name, std::string_view module) {
    std::string full = base_name(concat(module, weight));
    if (full.empty()) unexpected_in_adapter(*file_, name, "the checkpoint has no module ", module);
    Change& change = changes_[std::move(full)];
    change.module = module;
    return change;
  }

  void replace(const std::string& name, const std::string& plain) {
    const std::string_view module = std::string_view(plain).substr(0, plain.rfind('.'));
    const std::string full = base_name(plain);
    if (!config_.saves(module) && (full.empty() || !brings(plain, module)))
      unexpected_in_adapter(*file_, name, "adapter_config.json names it neither in modules_to_save nor by bias");
    saved_.emplace(module);
    if (!replaced_.emplace(full.empty() ? plain : full, name).second)
      raise<FormatError>(path(), ": ", plain, " is there twice");
  }

  /// Whether a tensor comes with the adapter although nobody saves its module: a bias, or, as PEFT saves those that are
  /// targeted or resized, an embedding or an output head.
  bool brings(std::string_view plain, std::string_view module) const {
    if (plain.ends_with(weight))
      return config_.targets(module) || module.ends_with("embed_tokens") || module.ends_with("lm_head");
    if (!plain.ends_with(".bias")) return false;
    return config_.bias() == AdapterBias::all || (config_.bias() == AdapterBias::lora_only && config_.targets(module));
  }

  /// The shape of a tensor that is changed or replaced.
  std::span<const std::size_t> extents_of(const std::string& name) const {
    const auto replaced = replaced_.find(name);
    return replaced != replaced_.end() ? file_->find(replaced->second)->extents : base_.entry(name).extents;
  }

  void check(const std::string& name, Change& change) {
    const auto missing = [&](const char* what) { raise<FormatError>(path(), ": there is no ", what, " for ", name); };
    if (!change.a) missing(change.table ? "lora_embedding_A" : "lora_A");
    if (!change.b) missing(change.table ? "lora_embedding_B" : "lora_B");
    if (config_.dora() && !change.magnitude) missing("lora_magnitude_vector");
    const std::span<const std::size_t> extents = extents_of(name);
    if (extents.size() < 2) raise<FormatError>(path(), ": ", name, " is no matrix, which cannot be changed");
    // Kernels of convolutions count as matrices of (outputs, everything else).
    const std::size_t rows = extents[0];
    std::size_t columns = 1;
    for (const std::size_t extent : extents.subspan(1)) columns *= extent;
    if (rows == 0 || columns == 0) raise<FormatError>(path(), ": ", name, " is empty, which cannot be changed");
    const std::size_t rank = config_.rank(change.module);
    const auto fits = [&](std::size_t out, std::size_t in) {
      return change.a->size() == checked_product(rank, in) && change.b->size() == checked_product(out, rank);
    };
    const bool may_be_transposed = change.table || (extents.size() == 2 && !base_.is_quantized(name));
    change.transposed = change.table || (may_be_transposed && fits(columns, rows) &&
                                         (config_.fan_in_fan_out() || !fits(rows, columns)));
    const std::size_t out = change.transposed ? columns : rows, in = change.transposed ? rows : columns;
    const auto expect_elements = [&](AnyTensor& tensor, const Shape& shape, const char* what) {
      if (tensor.size() != shape.elements() || (shape.rank() == 2 && tensor.extent(0) != shape[0]))
        raise<ConfigError>(path(), ": the ", what, " tensor of ", name, " has shape ", to_string(tensor.shape()),
                           ", checkpoint and adapter say ", to_string(shape));
      if (tensor.dtype() != DType::f32 && tensor.dtype() != DType::f16 && tensor.dtype() != DType::bf16)
        raise<FormatError>(path(), ": the ", what, " tensor of ", name, " has element type ",
                           weft::name(tensor.dtype()), ", expected f32, f16 or bf16");
      tensor = tensor.reshaped(shape);
    };
    expect_elements(*change.a, {rank, in}, "first");
    expect_elements(*change.b, {out, rank}, "second");
    if (change.magnitude) expect_elements(*change.magnitude, {out}, "magnitude");
    if (!change.bias) return;
    expect_elements(*change.bias, {out}, "bias of the second");
    const std::string bias = concat(std::string_view(name).substr(0, name.size() - weight.size()), ".bias");
    if (!base_.contains(bias))
      raise<UnsupportedError>(path(), ": lora_bias cannot be merged into ", name, ", beside which there is no bias");
    biases_.emplace(bias, name);
  }

  /// Every module that adapter_config.json names is there.
  void check_complete() const {
    for (const std::string& name : base_.tensor_names()) {
      if (!name.ends_with(weight) || base_.entry(name).extents.size() < 2 || config_.all_linear()) continue;
      for (const std::string& module : {name, module_name(name)}) {
        const std::string_view known = std::string_view(module).substr(0, module.size() - weight.size());
        if (config_.targets(known) && !config_.saves(known) && !changes_.contains(name))
          raise<FormatError>(path(), ": adapter_config.json targets ", known, ", of which there are no tensors");
      }
    }
    // PEFT names the heads of classifiers by all names that they have in any family.
    const auto among = [](const auto& names, const std::string& end) {
      return std::any_of(names.begin(), names.end(),
                         [&](const std::string& name) { return LoraConfig::inside(name, end); });
    };
    for (const std::string& name : config_.saved_modules())
      if (among(base_.tensor_names(), name) && !among(saved_, name))
        raise<FormatError>(path(), ": adapter_config.json saves ", name, ", of which there are no tensors");
  }

  void list() {
    std::set<std::string, std::less<>> names;
    for (const auto* map : {&replaced_, &biases_})
      for (const auto& [name, other] : *map) names.insert(name);
    for (const auto& [name, change] : changes_) names.insert(name);
    std::vector<WeightsEntry> entries;
    for (const std::string& name : names) {
      const auto replaced = replaced_.find(name);
      WeightsEntry entry = replaced != replaced_.end() ? *file_->find(replaced->second) : base_.entry(name);
      entry.name = name;
      if (entry.dtype == DType::f64) {
        entry.dtype = DType::f32;
        entry.bytes /= 2;
      }
      const bool plain = entry.dtype == DType::f32 || entry.dtype == DType::f16 || entry.dtype == DType::bf16;
      if (!plain)
        raise<UnsupportedError>(base_.source_of(name), ": adapters cannot be merged into weights of element type ",
                                entry.type);
      entries.push_back(std::move(entry));
    }
    set_entries(std::move(entries));
  }

  AnyTensor merged(const AnyTensor& stored, const Change& change) const {
    const cpu::Context ctx{.kernels = &cpu::best_kernels()};
    const AnyTensor matrix = stored.reshaped(Shape{stored.extent(0), stored.size() / stored.extent(0)});
    const bool turned = change.transposed && !change.table;
    const AnyTensor weights = turned ? transposed_copy(matrix) : matrix;
    Adapter::Matrix low_rank{.slot = nullptr, .index = {}, .table = change.table};
    low_rank.a = change.table ? transposed_copy(*change.a) : to_panels(*change.a, ctx);
    low_rank.b = to_panels(*change.b, ctx);
    if (change.magnitude) {
      low_rank.magnitude.length = float_copy(*change.magnitude);
      measure_magnitude(weights, low_rank, ctx);
    }
    const AnyTensor sum = merged_matrix(weights, low_rank, change.scale, ctx);
    return (turned ? transposed_copy(sum) : sum).reshaped(stored.shape());
  }

  static AnyTensor with_bias(const AnyTensor& stored, const Change& change) {
    Tensor<float, 1> sum = float_copy(stored);
    const Tensor<float, 1> added = float_copy(*change.bias);
    for (std::size_t i = 0; i < sum.size(); ++i) sum(i) += change.scale * added(i);
    return AnyTensor::make(stored.dtype(), stored.shape(), [&](std::span<std::byte> to) {
      quantize_row(stored.dtype(), sum.data(), sum.size(), to.data());
    });
  }

  Checkpoint base_;
  LoraConfig config_;
  std::shared_ptr<const WeightsFile> file_;
  std::map<std::string, Change, std::less<>> changes_;        // by the name of the weight in the checkpoint
  std::map<std::string, std::string, std::less<>> biases_;    // to which that of a change is added: the weight's name
  std::map<std::string, std::string, std::less<>> replaced_;  // the names of the adapter's tensors
  std::set<std::string, std::less<>> saved_;                  // modules
  bool renamed_ = false;                                      // modules are called as renamed_in_vit() says
};

}  // namespace weft::inline v0::detail
