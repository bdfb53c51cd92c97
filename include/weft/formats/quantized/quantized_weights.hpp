#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/formats/quantized/awq.hpp>
#include <weft/formats/quantized/bitsandbytes.hpp>
#include <weft/formats/quantized/compressed_tensors.hpp>
#include <weft/formats/quantized/fp8.hpp>
#include <weft/formats/quantized/gptq.hpp>
#include <weft/formats/quantized/quantized_matrix.hpp>
#include <weft/formats/quantized/stored_tensors.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

/// The weights of the quantised layers of a checkpoint: for each a tensor "<layer>.weight", (outputs, inputs), in f32,
/// f16 or bf16, that is made of what is stored whenever it is asked for.
class QuantizedWeights final : public WeightsFile {
 public:
  /// Throws FormatError where no layer is quantised and where the tensors of one are not what the format says.
  QuantizedWeights(StoredTensors stored, QuantizedFormat format)
      : WeightsFile(stored.source()), stored_(std::move(stored)), format_(std::move(format)) {
    std::vector<std::string> layers;
    for (const std::shared_ptr<const WeightsFile>& file : stored_.files())
      for (const WeightsEntry& entry : file->entries()) {
        for (const std::string_view mark : format_.marks)
          if (entry.name.ends_with(mark)) layers.push_back(entry.name.substr(0, entry.name.size() - mark.size()));
        for (const std::string_view part : format_.ignored)
          if (entry.name.ends_with(part)) replaced_.push_back(entry.name);
      }
    std::sort(layers.begin(), layers.end());
    layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
    if (layers.empty())
      raise<FormatError>(path(), ": the configuration says that weights are quantised, but no tensor is named *",
                         format_.marks.front());
    std::vector<WeightsEntry> entries;
    for (const std::string& layer : layers) {
      const auto matrix = format_.open(StoredLayer(stored_, layer));
      entries.push_back({.name = layer + ".weight",
                         .type = std::string(name(matrix->dtype())),
                         .extents = {matrix->shape().begin(), matrix->shape().end()},
                         .bytes = bytes_of(matrix->dtype(), matrix->shape()),
                         .dtype = matrix->dtype()});
      for_each_part(layer, [&](std::string part) { replaced_.push_back(std::move(part)); });
    }
    set_entries(std::move(entries));
  }

  /// One matrix, new in memory: what it was made of is let go.
  AnyTensor tensor(std::string_view name) const override {
    const std::string_view layer = std::string_view(expect(name).name).substr(0, name.size() - weight.size());
    AnyTensor matrix = format_.open(StoredLayer(stored_, layer))->read();
    for_each_part(layer, [&](const std::string& part) { stored_.release(part, stored_.tensor(part)); });
    return matrix;
  }
  void fetch(const WeightsEntry& entry, const std::stop_token& stop) const noexcept override {
    const std::string_view layer = std::string_view(entry.name).substr(0, entry.name.size() - weight.size());
    for_each_part(layer, [&](const std::string& part) { stored_.fetch(part, stop); });
  }
  void release(const AnyTensor&) const noexcept override {}

  /// The names of the stored tensors that the weights are made of or that say how activations would be quantised.
  std::span<const std::string> replaced() const noexcept { return replaced_; }

 private:
  static constexpr std::string_view weight = ".weight";

  /// Calls f(name) for every stored tensor of a layer.
  template <class F>
  void for_each_part(std::string_view layer, F&& f) const {
    for (const auto* parts : {&format_.marks, &format_.parts})
      for (const std::string_view part : *parts)
        if (std::string name = detail::concat(layer, part); stored_.contains(name)) f(std::move(name));
  }

  StoredTensors stored_;
  QuantizedFormat format_;
  std::vector<std::string> replaced_;
};

/// Reads the quantization_config of a config.json, or the quantize_config.json of older GPTQ checkpoints. Throws
/// UnsupportedError for methods that weft does not have, and what the readers of the methods throw.
inline QuantizedFormat read_quantized_format(const Json& config) {
  struct Method {
    std::string_view name;
    QuantizedFormat (*read)(const Json&);
  };
  static constexpr std::array<Method, 6> methods{{{"awq", read_awq},
                                                  {"bitsandbytes", read_bitsandbytes},
                                                  {"compressed-tensors", read_compressed_tensors},
                                                  {"fbgemm_fp8", read_fp8},
                                                  {"fp8", read_fp8},
                                                  {"gptq", read_gptq}}};
  // Before they had names there were two: bitsandbytes, and GPTQ in a file of its own.
  const bool bitsandbytes = config.get_or("load_in_8bit", false) || config.get_or("load_in_4bit", false);
  const std::string_view name = config.get_or("quant_method", bitsandbytes ? "bitsandbytes" : "gptq");
  std::string known;
  for (const Method& method : methods) {
    if (method.name == name) return method.read(config);
    known += detail::concat(known.empty() ? "" : ", ", method.name);
  }
  raise<UnsupportedError>(config.location(), ": the quantisation method \"", name, "\" is not supported (", known,
                          " are)");
}

}  // namespace weft::inline v0
