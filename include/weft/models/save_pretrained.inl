#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/file_set.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/json_text.hpp>
#include <weft/formats/output_file.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/models/causal_lm.hpp>
#include <weft/models/paired_rows.hpp>
#include <weft/models/weight_loader.hpp>
#include <weft/ops/quantize.hpp>
#include <weft/ops/rope.hpp>

namespace weft::inline v0 {

namespace detail {

/// The tensors of a decoder as transformers names and lays them out: what the tensor table says, backwards.
class PretrainedTensors {
 public:
  PretrainedTensors(const CausalLM& model, DType dtype) : model_(model), weights_(model.weights()), dtype_(dtype) {}

  /// They refer to this object.
  std::vector<TensorToWrite> list() {
    const std::span<const DecoderRow> table = model_.parts().architecture->tensors;
    for (const DecoderRow& row : table)
      if (!row.per_layer()) add(row, 0);
    for (std::size_t layer = 0; layer < model_.config().layers; ++layer)
      for (const DecoderRow& row : table)
        if (row.per_layer()) add(row, layer);
    std::vector<TensorToWrite> tensors;
    std::size_t elements = 0;
    for (const Stored& stored : stored_) {
      tensors.push_back({stored.name, dtype_, shape_of(stored), [this, &stored] { return make(stored); }});
      elements += tensors.back().shape.elements();
    }
    if (elements != model_.parameters())
      raise<UnsupportedError>(model_.parts().source, ": the model has ", model_.parameters(),
                              " weights, its config.json has a place for ", elements,
                              "; biases that an adapter adds cannot be saved");
    return tensors;
  }

 private:
  /// A tensor of the checkpoint, and the rows of the table that read it.
  struct Stored {
    std::string name;
    TensorIndex index;
    std::vector<const DecoderRow*> parts;
  };

  const DecoderConfig& config() const noexcept { return model_.config(); }

  void add(const DecoderRow& row, std::size_t layer) {
    if (row.repeated || layer >= row.layer_count(config()) || (row.present && !row.present(config(), layer))) return;
    const bool stacked = row.experts && row.name.find("{}") == row.name.rfind("{}");
    if (stacked) raise<UnsupportedError>(model_.parts().source, ": the tensor ", row.name, " cannot be saved");
    for (std::size_t expert = 0; expert < row.expert_count(config()); ++expert) {
      const TensorIndex index{layer, expert};
      std::string name = tensor_name(row.name, index);
      const auto same = [&](const Stored& stored) { return stored.name == name; };
      const auto found = row.part.stored ? std::find_if(stored_.rbegin(), stored_.rend(), same) : stored_.rend();
      if (found != stored_.rend()) {
        found->parts.push_back(&row);
      } else {
        stored_.push_back({std::move(name), index, {&row}});
      }
    }
  }

  std::size_t rows_of(const DecoderRow& row) const {
    return row.part.stored ? row.part.stored(config()) : row.rows(config());
  }

  Shape shape_of(const Stored& stored) const {
    const DecoderRow& row = *stored.parts[0];
    if (!row.matrix()) return {rows_of(row)};
    const std::size_t columns = row.columns(config());
    return row.transposed ? Shape{columns, rows_of(row)} : Shape{rows_of(row), columns};
  }

  AnyTensor make(const Stored& stored) {
    const DecoderRow& row = *stored.parts[0];
    AnyTensor tensor = row.part.stored ? joined(stored) : part(row, stored.index);
    return row.transposed ? transposed_copy(tensor) : tensor;
  }

  /// One row of the table in the type that is written.
  AnyTensor part(const DecoderRow& row, const TensorIndex& index) {
    AnyTensor tensor = std::visit([&](auto slot) { return written(slot(weights_, index), offset_of(row)); }, row.slot);
    return rotates(row) ? paired_rows(tensor, config().head_dim, RopePairing::halves) : tensor;
  }
  AnyTensor written(const AnyTensor& matrix, float) const {
    return convert_weight(matrix, dtype_, Layout::rows, {.kernels = &model_.kernels(), .executor = &model_.executor()});
  }
  AnyTensor written(const Tensor<float, 1>& vector, float offset) const {
    std::vector<float> values(vector.data(), vector.data() + vector.size());
    for (float& value : values) value -= offset;
    return AnyTensor::make(dtype_, {vector.size()}, [&](std::span<std::byte> to) {
      quantize_row(dtype_, values.data(), values.size(), to.data());
    });
  }

  /// 1 for gains that GGUF has whole and transformers less one.
  float offset_of(const DecoderRow& row) const {
    const bool whole = model_.parts().checkpoint_config.contains("norm_gain_offset");
    return whole && row.name.ends_with("norm.weight") ? 1.f - config().norm_gain_offset : 0.f;
  }

  /// Weights whose rows lie as GGUF and Meta have them.
  bool rotates(const DecoderRow& row) const {
    return model_.parts().checkpoint_config.get_or("rope_interleave", false) &&
           (row.gguf.find(".attn_q.") != row.gguf.npos || row.gguf.find(".attn_k.") != row.gguf.npos);
  }

  /// Several rows of the table in one tensor.
  AnyTensor joined(const Stored& stored) {
    const DecoderRow& first = *stored.parts[0];
    Shape shape{rows_of(first)};
    if (first.matrix()) shape.push_back(first.columns(config()));
    return AnyTensor::make(dtype_, shape, [&](std::span<std::byte> to) {
      const std::size_t row_bytes = to.size() / shape[0];
      for (const DecoderRow* row : stored.parts) {
        const AnyTensor tensor = part(*row, stored.index);
        const std::size_t groups = row->part.groups ? row->part.groups(config()) : 1;
        const std::size_t begin = row->part.begin ? row->part.begin(config()) : 0;
        const std::size_t run = tensor.bytes().size() / groups;
        for (std::size_t g = 0; g < groups; ++g)
          std::memcpy(to.data() + g * (to.size() / groups) + begin * row_bytes, tensor.bytes().data() + g * run, run);
      }
    });
  }

  const CausalLM& model_;
  DecoderWeights weights_;
  DType dtype_;
  std::vector<Stored> stored_;
};

/// Writes a directory.
class PretrainedWriter {
 public:
  PretrainedWriter(const CausalLM& model, const std::filesystem::path& directory, const SaveOptions& options)
      : model_(model), directory_(directory), options_(options), dtype_(written_type()) {
    check();
  }

  void write() {
    try {
      write_all();
    } catch (...) {
      std::error_code ignored;
      for (auto path = written_.rbegin(); path != written_.rend(); ++path) std::filesystem::remove(*path, ignored);
      throw;
    }
  }

 private:
  DType written_type() const {
    const auto plain = [](DType dtype) { return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16; };
    const DType wanted = options_.weights.value_or(model_.weights().embedding.dtype());
    if (options_.weights && !plain(wanted))
      raise<UnsupportedError>(directory_.string(), ": weights cannot be saved as ", name(wanted),
                              " (f32, f16 and bf16 are supported)");
    return plain(wanted) ? wanted : DType::f32;
  }

  void check() const {
    const CausalLM::Parts& parts = model_.parts();
    if (!parts.architecture || !parts.checkpoint_config.is_object())
      raise<UnsupportedError>(parts.source, ": a model that was not loaded from a checkpoint has no config.json");
    const RopeParams& rope = parts.config.rope;
    if (std::holds_alternative<FactorsRopeScaling>(rope.scaling))
      raise<UnsupportedError>(parts.source, ": transformers has no rotary scaling by a table of factors");
    if (parts.checkpoint_config.get_or("rope_interleave", false) && rope.rotary_dim != 0)
      raise<UnsupportedError>(parts.source, ": heads of which only a part rotates cannot be saved from this format");
    for (const char* name : {"config.json", "model.safetensors", "model.safetensors.index.json", "params.json"}) {
      std::error_code ignored;
      if (std::filesystem::exists(directory_ / name, ignored))
        raise<ConfigError>((directory_ / name).string(), ": there is a checkpoint already");
    }
  }

  void write_all() {
    std::error_code failed;
    std::filesystem::create_directories(directory_, failed);
    if (failed) raise<FormatError>(directory_.string(), ": cannot be created: ", failed.message());
    write_weights();
    copy_files();
    if (!std::filesystem::exists(directory_ / "generation_config.json", failed))
      write_text("generation_config.json", generation_config());
    write_text("config.json", config());
  }

  void write_weights() {
    PretrainedTensors pretrained(model_, dtype_);
    const std::vector<TensorToWrite> tensors = pretrained.list();
    std::vector<std::size_t> begins;  // of the shards
    std::size_t total = 0, shard = 0;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      const std::size_t bytes = bytes_of(dtype_, tensors[i].shape);
      if (begins.empty() || shard + bytes > options_.max_shard_bytes) {
        begins.push_back(i);
        shard = 0;
      }
      shard += bytes;
      total += bytes;
    }
    JsonObjectText map;
    std::size_t done = 0;
    for (std::size_t s = 0; s < begins.size(); ++s) {
      const std::size_t end = s + 1 < begins.size() ? begins[s + 1] : tensors.size();
      const std::span<const TensorToWrite> part(tensors.data() + begins[s], end - begins[s]);
      const std::string name =
          concat("model", begins.size() > 1 ? shard_number(s + 1, begins.size()) : std::string(), ".safetensors");
      write_safetensors(written(name), part, {{"format", "pt"}}, [&](const WriteProgress& progress) {
        if (options_.progress) options_.progress({done + progress.bytes_done, total, progress.tensor});
      });
      for (const TensorToWrite& tensor : part) {
        map.add(tensor.name, concat('"', name, '"'));
        done += bytes_of(dtype_, tensor.shape);
      }
    }
    if (begins.size() > 1)
      write_text("model.safetensors.index.json",
                 concat(R"({"metadata":{"total_size":)", total, R"(},"weight_map":)", map.finish(), "}"));
  }

  /// What the checkpoint had beside its weights.
  void copy_files() {
    const std::filesystem::path source = model_.parts().source;
    std::vector<std::string> names = FileSet(source).names_in("additional_chat_templates");
    names.insert(names.end(), tokenizer_file_names.begin(), tokenizer_file_names.end());
    names.emplace_back("generation_config.json");
    for (const std::string& name : names) {
      std::error_code failed;
      if (!std::filesystem::is_regular_file(source / name, failed)) continue;
      if (const auto folder = std::filesystem::path(name).parent_path(); !folder.empty())
        std::filesystem::create_directory(written(folder.string()), failed);
      std::filesystem::copy_file(source / name, written(name), std::filesystem::copy_options::overwrite_existing,
                                 failed);
      if (failed) raise<FormatError>((directory_ / name).string(), ": cannot be written: ", failed.message());
    }
  }

  /// config.json of the checkpoint, of weights in the type that is written.
  std::string config() const {
    const CausalLM::Parts& parts = model_.parts();
    ConfigReader reader(parts.checkpoint_config);
    const bool same_head = parts.architecture->read_config(reader).tied_embeddings == parts.config.tied_embeddings;
    const std::string_view type = dtype_ == DType::f32   ? R"("float32")"
                                  : dtype_ == DType::f16 ? R"("float16")"
                                                         : R"("bfloat16")";
    JsonObjectText text;
    bool typed = false;
    for (const Json& member : parts.checkpoint_config) {
      const std::string_view key = member.key();
      const bool states_type = key == "dtype" || key == "torch_dtype";
      typed = typed || states_type;
      if (key == "quantization_config" || key == "rope_interleave" || key == "norm_gain_offset" ||
          (key == "tie_word_embeddings" && !same_head))
        continue;
      text.add(key, states_type ? std::string(type) : write_json(member));
    }
    if (!typed) text.add("torch_dtype", type);
    if (!same_head) text.add("tie_word_embeddings", parts.config.tied_embeddings ? "true" : "false");
    return text.finish();
  }

  std::string generation_config() const {
    const GenerationConfig& c = model_.generation_config();
    JsonObjectText text;
    if (c.bos) text.add("bos_token_id", std::to_string(*c.bos));
    std::string ends;
    for (const TokenId id : c.eos) ends += concat(ends.empty() ? "" : ",", id);
    if (!ends.empty()) text.add("eos_token_id", c.eos.size() == 1 ? ends : concat('[', ends, ']'));
    if (c.do_sample) {
      text.add("do_sample", "true");
      text.add("temperature", json_number(static_cast<double>(c.temperature)));
      text.add("top_k", std::to_string(c.top_k));
      text.add("top_p", json_number(static_cast<double>(c.top_p)));
    }
    if (c.repetition_penalty != 1.f)
      text.add("repetition_penalty", json_number(static_cast<double>(c.repetition_penalty)));
    return text.finish();
  }

  void write_text(std::string_view name, std::string_view json) {
    const std::filesystem::path path = written(name);
    const std::string text = write_json(parse_json(json, path.string()), 2) + '\n';
    OutputFile file(path);
    file.write(text.data(), text.size());
    file.finish();
  }

  /// The path of a file that is about to be written, and goes if writing fails, unless there was one before.
  std::filesystem::path written(std::string_view name) {
    std::filesystem::path path = directory_ / name;
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) written_.push_back(path);
    return path;
  }

  const CausalLM& model_;
  const std::filesystem::path& directory_;
  const SaveOptions& options_;
  DType dtype_;
  std::vector<std::filesystem::path> written_;
};

}  // namespace detail

WEFT_INLINE void save_pretrained(const CausalLM& model, const std::filesystem::path& directory,
                                 const SaveOptions& options) {
  detail::PretrainedWriter(model, directory, options).write();
}

}  // namespace weft::inline v0
