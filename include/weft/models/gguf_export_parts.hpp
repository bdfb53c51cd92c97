#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_config.hpp>
#include <weft/formats/gguf_writer.hpp>
#include <weft/formats/weights_file.hpp>
#include <weft/models/config_reader.hpp>
#include <weft/models/stored_names.hpp>
#include <weft/quant/quantize.hpp>
#include <weft/tokenizers/gguf_vocabulary_files.hpp>
#include <weft/tokenizers/load_chat_template.hpp>

// What writing models of all kinds to GGUF files has in common.
namespace weft::inline v0::detail {

[[noreturn]] inline void refuse_gguf(const Checkpoint& checkpoint, std::string_view what) {
  raise<UnsupportedError>(checkpoint.config().location(), ": ", what, " cannot be written as GGUF");
}

/// What config.json says of a model.
template <class A>
typename A::Config read_family_config(const A& architecture, const Json& json) {
  ConfigReader reader(json);
  typename A::Config config = architecture.read_config(reader);
  reader.finish(architecture.ignored_keys);
  return config;
}

/// The config.json that the file to be written will be read as.
inline Json config_of_written(const GgufWriter& writer, std::span<const TensorToWrite> tensors) {
  const std::string bytes = writer.header();
  const GgufFile file(Source::memory("metadata", std::as_bytes(std::span(bytes))));
  return gguf_config(file, [&](std::string_view name) {
    const auto found =
        std::find_if(tensors.begin(), tensors.end(), [&](const TensorToWrite& tensor) { return tensor.name == name; });
    return found == tensors.end() ? std::nullopt : std::optional(found->read());
  });
}

inline AnyTensor as_floats(const AnyTensor& tensor) {
  return AnyTensor::make(DType::f32, tensor.shape(), [&](std::span<std::byte> to) {
    dequantize_row(tensor.dtype(), tensor.bytes().data(), tensor.size(), reinterpret_cast<float*>(to.data()));
  });
}

/// The tensor of a row as it is stored. Throws ConfigError for another shape.
inline AnyTensor stored_of_shape(const Checkpoint& checkpoint, const std::string& name, const Shape& shape) {
  const AnyTensor tensor = checkpoint.tensor(name);
  if (tensor.shape() != shape)
    raise<ConfigError>(checkpoint.source_of(name), " has shape ", to_string(tensor.shape()), ", config.json says ",
                       to_string(shape));
  return tensor;
}

/// The tensors of a family whose rows lie as in GGUF files, under their names there: matrices as they are, vectors as
/// f32. Rows without a name there, which are heads, are left out.
template <class A>
std::vector<TensorToWrite> gguf_tensors(const Checkpoint& checkpoint, const A& architecture,
                                        const typename A::Config& config) {
  const StoredNames<A> names(checkpoint, architecture);
  std::vector<TensorToWrite> tensors;
  for (const typename A::Row& row : architecture.tensors)
    for (std::size_t layer = 0; layer < row.layer_count(config); ++layer) {
      const bool here = !row.gguf.empty() && !row.name.empty() && !row.repeated;
      if (!here || !names.has(row, config, layer)) continue;
      const std::string stored = names.name_of(row, {layer, 0});
      const Shape shape = row.matrix() ? Shape{row.rows(config), row.columns(config)} : Shape{row.rows(config)};
      const AnyTensor tensor = stored_of_shape(checkpoint, stored, shape);
      const AnyTensor written = row.matrix() ? tensor : as_floats(tensor);
      tensors.push_back({tensor_name(row.gguf, {layer, 0}), written.dtype(), shape, [written] { return written; }});
    }
  return tensors;
}

/// Chat templates under the keys that llama.cpp's converter gives them, which has letters and digits in names alone.
inline void write_gguf_chat_templates(const std::vector<ChatTemplateText>& templates, GgufWriter& writer) {
  std::vector<std::string> names;
  for (const ChatTemplateText& one : templates) {
    if (one.name == "default") {
      writer.set("tokenizer.chat_template", one.text);
      continue;
    }
    std::string name = one.name;
    const auto other = [](char c) {
      return !((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'));
    };
    std::replace_if(name.begin(), name.end(), other, '_');
    writer.set("tokenizer.chat_template." + name, one.text);
    names.push_back(std::move(name));
  }
  if (!names.empty()) writer.set("tokenizer.chat_templates", names);
}

/// The tokenizer beside a checkpoint, of `size` tokens, and its chat templates, if there are any.
inline void write_gguf_tokenizer(const Checkpoint& checkpoint, std::size_t size, GgufWriter& writer) {
  write_gguf_chat_templates(read_chat_templates(checkpoint.files()), writer);
  if (const auto vocabulary = gguf_vocabulary_of(checkpoint.files(), size)) {
    set_gguf_vocabulary(*vocabulary, writer);
  } else {
    writer.set("tokenizer.ggml.model", "none");
  }
}

}  // namespace weft::inline v0::detail
