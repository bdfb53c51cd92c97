#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/json_text.hpp>
#include <weft/formats/pytorch.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

namespace detail {

/// What one tensor of Meta's Llama is called by transformers, and how model parallelism splits it.
struct MetaTensor {
  enum class Split : std::uint8_t { none, rows, columns, embedding };
  std::string_view name;  ///< "{}" stands for the layer number
  std::string_view hugging_face;
  Split split;
};

inline constexpr std::array<MetaTensor, 12> meta_tensors{{
    {"tok_embeddings.weight", "model.embed_tokens.weight", MetaTensor::Split::embedding},
    {"norm.weight", "model.norm.weight", MetaTensor::Split::none},
    {"output.weight", "lm_head.weight", MetaTensor::Split::rows},
    {"layers.{}.attention.wq.weight", "model.layers.{}.self_attn.q_proj.weight", MetaTensor::Split::rows},
    {"layers.{}.attention.wk.weight", "model.layers.{}.self_attn.k_proj.weight", MetaTensor::Split::rows},
    {"layers.{}.attention.wv.weight", "model.layers.{}.self_attn.v_proj.weight", MetaTensor::Split::rows},
    {"layers.{}.attention.wo.weight", "model.layers.{}.self_attn.o_proj.weight", MetaTensor::Split::columns},
    {"layers.{}.feed_forward.w1.weight", "model.layers.{}.mlp.gate_proj.weight", MetaTensor::Split::rows},
    {"layers.{}.feed_forward.w2.weight", "model.layers.{}.mlp.down_proj.weight", MetaTensor::Split::columns},
    {"layers.{}.feed_forward.w3.weight", "model.layers.{}.mlp.up_proj.weight", MetaTensor::Split::rows},
    {"layers.{}.attention_norm.weight", "model.layers.{}.input_layernorm.weight", MetaTensor::Split::none},
    {"layers.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight", MetaTensor::Split::none},
}};

/// The layer number in a name that follows a pattern with "{}", as text; nothing where it does not follow it.
inline std::optional<std::string_view> layer_in(std::string_view name, std::string_view pattern) noexcept {
  const std::size_t at = pattern.find("{}");
  if (at == pattern.npos) return name == pattern ? std::optional(name.substr(0, 0)) : std::nullopt;
  const std::string_view rest = pattern.substr(at + 2);
  if (name.size() <= at + rest.size() || !name.starts_with(pattern.substr(0, at)) || !name.ends_with(rest))
    return std::nullopt;
  const std::string_view layer = name.substr(at, name.size() - at - rest.size());
  return layer.find_first_not_of("0123456789") == layer.npos ? std::optional(layer) : std::nullopt;
}

/// The row of the table for a tensor. Throws UnsupportedError where there is none.
inline const MetaTensor& meta_tensor(std::string_view name, std::string_view path) {
  for (const MetaTensor& row : meta_tensors)
    if (layer_in(name, row.name)) return row;
  raise<UnsupportedError>(path, ": tensor ", name, ": Meta's Llama has no such tensor");
}

/// The name that transformers gives a tensor of Meta's.
inline std::string hugging_face_name(std::string_view name) {
  for (const MetaTensor& row : meta_tensors)
    if (const auto layer = layer_in(name, row.name)) {
      const std::size_t at = row.hugging_face.find("{}");
      if (at == row.hugging_face.npos) return std::string(row.hugging_face);
      return concat(row.hugging_face.substr(0, at), *layer, row.hugging_face.substr(at + 2));
    }
  return std::string(name);
}

/// A count that params.json states.
inline std::size_t meta_count(const Json& value) {
  constexpr std::size_t most = std::size_t{1} << 31;
  const std::size_t count = value.as_size();
  if (count == 0 || count > most) raise<FormatError>(value.location(), ": expected 1 to ", most, ", found ", count);
  return count;
}

/// The size of the feed-forward layer (llama/model.py, FeedForward): two thirds of 4 dim, times ffn_dim_multiplier, up
/// to the next multiple of multiple_of.
inline std::size_t meta_intermediate_size(const Json& params) {
  std::size_t size = 2 * 4 * meta_count(params.at("dim")) / 3;
  if (const Json* factor = params.given("ffn_dim_multiplier")) {
    const double scaled = factor->as_double() * static_cast<double>(size);
    if (!(scaled >= 1.0 && scaled < 0x1p40))
      raise<FormatError>(factor->location(), ": a feed-forward layer of ", scaled, " elements");
    size = static_cast<std::size_t>(scaled);
  }
  const std::size_t multiple = meta_count(params.at("multiple_of"));
  return (size + multiple - 1) / multiple * multiple;
}

/// What params.json leaves to the reference implementation, or to the publication: the context, and Llama 3.1's rule of
/// rope, whose factor is 32 for the small models of 3.2 (transformers, convert_llama_weights_to_hf.py).
inline void add_meta_rope(const Json& params, JsonObjectText& config) {
  const double theta = params.get_or("rope_theta", 10000.0);
  const bool scaled = params.get_or("use_scaled_rope", false);
  std::size_t context = params.at("norm_eps").as_double() < 1e-5 ? 2048 : 4096;
  if (theta > 10000) context = theta == 1e6 ? 16384 : 8192;
  if (scaled) context = 131072;
  config.add("max_position_embeddings", std::to_string(context));
  config.add("rope_theta", json_number(theta));
  if (!scaled) return;
  const double factor = params.get_or("rope_scaling_factor", params.at("dim").as_size() < 4096 ? 32.0 : 8.0);
  JsonObjectText scaling;
  scaling.add("factor", json_number(factor));
  scaling.add_members(R"("rope_type":"llama3","low_freq_factor":1.0,"high_freq_factor":4.0)");
  scaling.add_members(R"("original_max_position_embeddings":8192)");
  config.add("rope_scaling", scaling.finish());
}

}  // namespace detail

/// The config.json of transformers that says what a params.json of Meta's Llama does; `vocab` is the number of rows of
/// the embedding, for the files that leave it open (-1). Neighbouring elements rotate together: "rope_interleave".
/// Throws FormatError for keys that are missing or out of range, UnsupportedError for keys that Llama does not have.
inline Json meta_config(const Json& params, std::size_t vocab) {
  constexpr std::array<std::string_view, 13> known{"dim",
                                                   "n_layers",
                                                   "n_heads",
                                                   "n_kv_heads",
                                                   "vocab_size",
                                                   "multiple_of",
                                                   "norm_eps",
                                                   "rope_theta",
                                                   "use_scaled_rope",
                                                   "rope_scaling_factor",
                                                   "max_batch_size",
                                                   "max_seq_len",
                                                   "ffn_dim_multiplier"};
  for (const Json& member : params.as_object())
    if (std::find(known.begin(), known.end(), member.key()) == known.end())
      raise<UnsupportedError>(member.location(), ": the key \"", member.key(), "\" is not one of Meta's Llama");
  if (const Json* stated = params.given("vocab_size"); stated && stated->as_int() != -1)
    vocab = detail::meta_count(*stated);
  const auto count = [&](const char* key) { return std::to_string(detail::meta_count(params.at(key))); };
  detail::JsonObjectText config;
  config.add_members(R"("model_type":"llama","hidden_act":"silu","rope_interleave":true)");
  config.add("vocab_size", std::to_string(vocab));
  config.add("hidden_size", count("dim"));
  config.add("intermediate_size", std::to_string(detail::meta_intermediate_size(params)));
  config.add("num_hidden_layers", count("n_layers"));
  config.add("num_attention_heads", count("n_heads"));
  config.add("num_key_value_heads", count(params.given("n_kv_heads") ? "n_kv_heads" : "n_heads"));
  config.add("rms_norm_eps", detail::json_number(params.at("norm_eps").as_double()));
  detail::add_meta_rope(params, config);
  constexpr std::size_t llama3_vocab = 128000;
  config.add_members(vocab < llama3_vocab ? R"("bos_token_id":1,"eos_token_id":2)"
                                          : R"("bos_token_id":128000,"eos_token_id":[128001,128008,128009])");
  return parse_json(config.finish(), std::string(params.source()));
}

/// The weights of a Llama as Meta publishes it, consolidated.00.pth and what follows: every file holds the part of each
/// matrix that one process of a model-parallel group computed with. One file is used in place; several are joined by
/// rows or by columns as fairscale's parallel layers split them (llama/model.py), norms are in all of them.
class MetaWeights final : public WeightsFile {
 public:
  /// `hidden` tells how the embedding is split: by columns in Llama 1 and 2, by rows in Llama 3. Throws FormatError
  /// where the tensors of the files do not fit together, UnsupportedError for a tensor that is not of Llama, and what
  /// PytorchFile throws.
  MetaWeights(const std::filesystem::path& directory, std::size_t hidden)
      : WeightsFile(directory / "consolidated.00.pth"), hidden_(hidden) {
    std::error_code ignored;
    do {
      parts_.emplace_back(part_path(directory, parts_.size()));
    } while (std::filesystem::exists(part_path(directory, parts_.size()), ignored));
    read_entries();
  }

  AnyTensor tensor(std::string_view name) const override {
    const WeightsEntry& entry = expect(name);
    const AnyTensor first = parts_.front().tensor(name);
    const Axis axis = axis_of(name);
    if (parts_.size() == 1 || axis == Axis::none) return first;
    const Shape shape{std::span<const std::size_t>(entry.extents)};
    return AnyTensor::make(first.dtype(), shape, [&](std::span<std::byte> out) {
      // Joining by columns interleaves the rows of the parts.
      const std::size_t rows = axis == Axis::columns ? shape[0] : 1;
      const std::size_t width = out.size() / parts_.size() / std::max<std::size_t>(rows, 1);
      for (std::size_t part = 0; part < parts_.size(); ++part) {
        const AnyTensor stored = parts_[part].tensor(name);
        for (std::size_t row = 0; row < rows; ++row)
          std::copy_n(stored.bytes().data() + row * width, width, out.data() + (row * parts_.size() + part) * width);
        parts_[part].release(stored);
      }
    });
  }

  void fetch(const WeightsEntry& entry, const std::stop_token& stop) const noexcept override {
    for (const PytorchFile& part : parts_)
      if (const WeightsEntry* stored = part.find(entry.name)) part.fetch(*stored, stop);
  }
  void release(const AnyTensor& tensor) const noexcept override {
    for (const PytorchFile& part : parts_) part.release(tensor);
  }

 private:
  enum class Axis : unsigned char { none, rows, columns };

  static std::filesystem::path part_path(const std::filesystem::path& directory, std::size_t number) {
    return directory / detail::concat("consolidated.", number < 10 ? "0" : "", number, ".pth");
  }

  Axis axis_of(std::string_view name) const {
    using Split = detail::MetaTensor::Split;
    switch (detail::meta_tensor(name, path()).split) {
      case Split::rows: return Axis::rows;
      case Split::columns: return Axis::columns;
      case Split::embedding: {
        const WeightsEntry& part = *parts_.front().find(name);
        return part.extents.size() == 2 && part.extents[1] == hidden_ ? Axis::rows : Axis::columns;
      }
      case Split::none: break;
    }
    return Axis::none;
  }

  void read_entries() {
    std::vector<WeightsEntry> entries;
    for (const WeightsEntry& first : parts_.front().entries()) {
      if (first.name == "rope.freqs") continue;  // what params.json says anyway
      WeightsEntry entry = first;
      const Axis axis = axis_of(entry.name);
      if (parts_.size() > 1 && axis != Axis::none) {
        if (first.extents.size() != 2)
          raise<FormatError>(path(), ": tensor ", first.name, ": expected a matrix, found the shape ",
                             to_string(std::span<const std::size_t>(first.extents)));
        entry.extents[axis == Axis::columns ? 1 : 0] *= parts_.size();
        entry.bytes *= parts_.size();
      }
      for (const PytorchFile& part : parts_) check_part(part, first);
      entries.push_back(std::move(entry));
    }
    for (const PytorchFile& part : parts_)
      for (const WeightsEntry& entry : part.entries())
        if (!parts_.front().contains(entry.name))
          raise<FormatError>(part.path(), ": tensor ", entry.name, " is not in ", path());
    set_entries(std::move(entries));
  }

  void check_part(const PytorchFile& part, const WeightsEntry& first) const {
    const WeightsEntry* found = part.find(first.name);
    if (!found) raise<FormatError>(part.path(), ": there is no tensor ", first.name, ", which ", path(), " has");
    if (found->extents != first.extents || found->type != first.type)
      raise<FormatError>(part.path(), ": tensor ", first.name, ": a ", found->type, " of shape ",
                         to_string(std::span<const std::size_t>(found->extents)), ", in ", path(), " it is a ",
                         first.type, " of shape ", to_string(std::span<const std::size_t>(first.extents)));
  }

  std::size_t hidden_;
  std::vector<PytorchFile> parts_;
};

}  // namespace weft::inline v0
