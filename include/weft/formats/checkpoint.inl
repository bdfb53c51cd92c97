#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/formats/gguf_config.hpp>
#include <weft/formats/gguf_split.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/meta_checkpoint.hpp>
#include <weft/formats/pytorch.hpp>
#include <weft/formats/quantized/quantized_weights.hpp>
#include <weft/formats/safetensors.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

WEFT_INLINE Checkpoint Checkpoint::open(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(path, ignored);
  if (!std::filesystem::exists(status)) raise<FormatError>(path.string(), ": there is no such file or directory");
  Checkpoint checkpoint(path);
  if (std::filesystem::is_directory(status)) {
    checkpoint.read_directory();
  } else {
    if (!is_gguf_file(Source::file(path.string())))
      raise<UnsupportedError>(path.string(),
                              ": neither a checkpoint directory nor a GGUF file; of other checkpoints open the"
                              " directory that holds the files");
    checkpoint.read_gguf();
  }
  checkpoint.list_names();
  return checkpoint;
}

WEFT_INLINE Checkpoint Checkpoint::open(std::vector<Source> files) {
  if (files.empty()) raise<FormatError>("Checkpoint: there are no files");
  Checkpoint checkpoint{std::filesystem::path()};
  checkpoint.sources_ = std::move(files);
  if (checkpoint.sources_.size() == 1 && is_gguf_file(checkpoint.sources_[0])) {
    checkpoint.read_gguf();
  } else {
    checkpoint.check_source_names();
    checkpoint.read_hugging_face();
  }
  checkpoint.list_names();
  return checkpoint;
}

WEFT_INLINE Checkpoint Checkpoint::with(const std::shared_ptr<const WeightsFile>& file) const {
  Checkpoint changed = *this;
  for (const WeightsEntry& entry : file->entries()) changed.remove(entry.name);
  changed.add_file(file);
  changed.list_names();
  return changed;
}

WEFT_INLINE std::optional<std::filesystem::path> Checkpoint::file(std::string_view name) const {
  if (directory_.empty()) return std::nullopt;
  std::filesystem::path path = directory_ / name;
  std::error_code ignored;
  return std::filesystem::exists(path, ignored) ? std::optional(std::move(path)) : std::nullopt;
}

WEFT_INLINE AnyTensor Checkpoint::tensor(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) raise<FormatError>(location(), ": there is no tensor ", name);
  return found->second.file->tensor(found->second.name);
}

WEFT_INLINE const WeightsEntry& Checkpoint::entry(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) raise<FormatError>(location(), ": there is no tensor ", name);
  return *found->second.file->find(found->second.name);
}

WEFT_INLINE std::pair<std::string_view, std::size_t> Checkpoint::position(std::string_view name) const {
  const std::size_t offset = entry(name).offset;
  return {places_.find(name)->second.file->path(), offset};
}

WEFT_INLINE bool Checkpoint::is_quantized(std::string_view name) const noexcept {
  return quantized_ && quantized_->contains(name);
}

WEFT_INLINE void Checkpoint::fetch(std::string_view name, const std::stop_token& stop) const noexcept {
  const auto found = places_.find(name);
  if (found == places_.end()) return;
  const WeightsFile& file = *found->second.file;
  file.fetch(*file.find(found->second.name), stop);
}

WEFT_INLINE void Checkpoint::release(std::string_view name, const AnyTensor& tensor) const noexcept {
  const auto found = places_.find(name);
  if (found != places_.end()) found->second.file->release(tensor);
}

WEFT_INLINE std::string Checkpoint::source_of(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) return detail::concat(location(), ": tensor ", name);
  return detail::concat(found->second.file->path(), ": tensor ", found->second.name);
}

WEFT_INLINE void Checkpoint::list_names() {
  names_.clear();
  for (const auto& [name, place] : places_) names_.push_back(name);
}

WEFT_INLINE void Checkpoint::check_source_names() const {
  constexpr std::array<std::string_view, 5> known{"config.json", "generation_config.json", "quantize_config.json",
                                                  "model.safetensors.index.json", "pytorch_model.bin.index.json"};
  const auto other = [](std::string_view name) {
    return name.ends_with(".safetensors") || name.ends_with(".bin") || name.starts_with("additional_chat_templates/");
  };
  const auto is_in = [](const auto& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const Source& source : sources_) {
    if (!is_in(known, source.name()) && !is_in(detail::tokenizer_file_names, source.name()) && !other(source.name()))
      raise<UnsupportedError>(source.name(),
                              ": neither a GGUF file nor, by its name, one of a Hugging Face directory"
                              " that is read from sources");
  }
}

WEFT_INLINE void Checkpoint::read_gguf() {
  for (const std::shared_ptr<const GgufFile>& file : gguf_files()) {
    if (!gguf_) gguf_ = file;
    add_file(file);
  }
  config_ = gguf_config(
      *gguf_, [&](std::string_view name) { return contains(name) ? std::optional(tensor(name)) : std::nullopt; });
  generation_config_ = gguf_generation_config(*gguf_);
}

WEFT_INLINE std::vector<std::shared_ptr<const GgufFile>> Checkpoint::gguf_files() const {
  if (sources_.empty()) return open_gguf(directory_);
  const auto file = std::make_shared<const GgufFile>(sources_.front());
  if (detail::gguf_split_value(*file, "split.count", 1) > 1)
    raise<UnsupportedError>(file->path(), ": one of several files; they are read from paths alone");
  return {file};
}

WEFT_INLINE void Checkpoint::read_directory() {
  if (file("config.json")) {
    read_hugging_face();
  } else if (const auto params = file("params.json")) {
    read_meta(*params);
  } else {
    raise<FormatError>(directory_.string(), ": there is neither config.json nor params.json");
  }
}

WEFT_INLINE std::optional<Json> Checkpoint::read_json(std::string_view name) const {
  const FileSet all = files();
  return all.contains(name) ? std::optional(parse_json(all.open(name))) : std::nullopt;
}

WEFT_INLINE std::shared_ptr<const WeightsFile> Checkpoint::open_weights(std::string_view name) const {
  const FileSet all = files();
  if (!all.contains(name)) return nullptr;
  Source source = all.open(name);
  if (name.ends_with(".safetensors")) return std::make_shared<const SafetensorsFile>(std::move(source));
  return std::make_shared<const PytorchFile>(std::move(source));
}

WEFT_INLINE void Checkpoint::read_hugging_face() {
  const std::optional<Json> config = read_json("config.json");
  if (!config) raise<FormatError>(location(), ": there is no config.json");
  config_ = *config;
  static_cast<void>(config_.as_object());
  generation_config_ = read_json("generation_config.json");
  if (generation_config_) static_cast<void>(generation_config_->as_object());
  read_weights();
  read_quantized();
}

WEFT_INLINE void Checkpoint::read_weights() {
  for (const std::string_view name : {"model.safetensors", "pytorch_model.bin"}) {
    if (const auto weights = open_weights(name)) return add_file(weights);
    if (const auto index = read_json(detail::concat(name, ".index.json"))) return read_index(*index);
  }
  no_weights();
}

WEFT_INLINE void Checkpoint::read_quantized() {
  Json description;
  const auto stated = [](const Json& config) {
    const Json* found = config.given("quantization_config");
    return found && !(found->is_object() && found->empty()) ? found : nullptr;
  };
  const Json* own = stated(config_);
  // What a part of it says counts where the whole says nothing.
  if (const Json* text = config_.given("text_config"); !own && text && text->is_object()) own = stated(*text);
  if (own) {
    description = *own;
  } else if (const auto older = read_json("quantize_config.json")) {
    description = *older;
  } else {
    return;
  }
  std::vector<std::shared_ptr<const WeightsFile>> files;
  for (const auto& [name, place] : places_) files.push_back(place.file);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  quantized_ = std::make_shared<const QuantizedWeights>(StoredTensors(location(), std::move(files)),
                                                        read_quantized_format(description));
  for (const std::string& name : quantized_->replaced()) remove(name);
  add_file(quantized_);
}

WEFT_INLINE void Checkpoint::remove(std::string_view name) {
  const auto found = places_.find(name);
  if (found == places_.end()) return;
  bytes_ -= found->second.file->find(found->second.name)->bytes;
  places_.erase(found);
}

WEFT_INLINE void Checkpoint::read_meta(const std::filesystem::path& params_file) {
  if (!file("consolidated.00.pth")) raise<FormatError>(directory_.string(), ": there is no consolidated.00.pth");
  const Json params = parse_json_file(params_file.string());
  const auto weights = std::make_shared<const MetaWeights>(directory_, params.at("dim").as_size());
  const WeightsEntry* embedding = weights->find("tok_embeddings.weight");
  if (!embedding || embedding->extents.empty())
    raise<FormatError>(weights->path(), ": the matrix tok_embeddings.weight is missing");
  config_ = meta_config(params, embedding->extents[0]);
  add_file(weights, detail::hugging_face_name);
}

WEFT_INLINE void Checkpoint::add_file(const std::shared_ptr<const WeightsFile>& file,
                                      std::string (*name_of)(std::string_view)) {
  for (const WeightsEntry& entry : file->entries()) {
    const auto [other, added] = places_.emplace(name_of(entry.name), Place{file, entry.name});
    if (!added) raise<FormatError>(file->path(), ": tensor ", entry.name, " is also in ", other->second.file->path());
    bytes_ += entry.bytes;
  }
}

WEFT_INLINE void Checkpoint::read_index(const Json& index) {
  std::vector<std::string_view> files;
  const Json& weight_map = index.at("weight_map").as_object();
  for (const Json& member : weight_map) {
    const std::string_view name = member.as_string();
    if (name.empty() || name == "." || name == ".." || name.find_first_of(std::string_view("/\\\0", 3)) != name.npos)
      raise<FormatError>(member.location(), ": expected the name of a file in the same directory, found \"", name,
                         "\"");
    files.push_back(name);
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  for (const std::string_view name : files) {
    const auto weights = open_weights(name);
    if (!weights) raise<FormatError>(index.source(), ": the file ", name, " that it names is missing");
    add_file(weights);
  }
  for (const Json& member : weight_map) {
    const auto found = places_.find(member.key());
    const bool there =
        found != places_.end() && std::filesystem::path(found->second.file->path()).filename() == member.as_string();
    if (!there)
      raise<FormatError>(member.location(), ": there is no tensor ", member.key(), " in ", member.as_string());
  }
  for (const auto& [name, place] : places_)
    if (!weight_map.contains(name))
      raise<FormatError>(place.file->path(), ": tensor ", name, " is not in ", index.source());
}

WEFT_INLINE void Checkpoint::no_weights() const {
  constexpr std::array<std::string_view, 4> known{"tf_model.h5", "flax_model.msgpack", "model.onnx",
                                                  "model.ckpt.index"};
  for (const std::string_view name : known)
    if (const auto path = file(name))
      raise<UnsupportedError>(path->string(),
                              ": weights in this format are not supported; expected model.safetensors or "
                              "pytorch_model.bin");
  raise<FormatError>(location(), ": there is neither model.safetensors nor pytorch_model.bin nor an index of either");
}

}  // namespace weft::inline v0
