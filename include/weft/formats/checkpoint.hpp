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

/// A trained model as somebody else saved it: its configuration, its tensors by name, and the files beside them. Copies
/// share what is mapped; all methods are const and may be called from several threads.
///
/// What opens is
/// - a Hugging Face directory: config.json, generation_config.json (optional), and the weights in model.safetensors or
///   pytorch_model.bin, or in the shards that an index of either names; safetensors are preferred. Where config.json
///   has a quantization_config, or there is the quantize_config.json of older GPTQ checkpoints, every quantised layer
///   has the one tensor "<layer>.weight" of floats that its stored tensors stand for (QuantizedWeights);
/// - a directory of Meta's: params.json and consolidated.00.pth with the model-parallel parts that follow;
///   configuration and tensors appear under the names that transformers gives them (see meta_config);
/// - a GGUF file, or the first of several that hold one model: config() and generation_config() are then made of its
///   metadata (gguf_config), and tensors have the names of that format.
class Checkpoint {
 public:
  /// Throws FormatError naming the file that is missing, malformed or contradicts another, and UnsupportedError for
  /// weights in a format that weft does not read.
  static Checkpoint open(const std::filesystem::path& path) {
    std::error_code ignored;
    const std::filesystem::file_status status = std::filesystem::status(path, ignored);
    if (!std::filesystem::exists(status)) raise<FormatError>(path.string(), ": there is no such file or directory");
    Checkpoint checkpoint(path);
    if (std::filesystem::is_directory(status)) {
      checkpoint.read_directory();
    } else if (is_gguf_file(path)) {
      checkpoint.read_gguf();
    } else {
      raise<UnsupportedError>(path.string(),
                              ": neither a checkpoint directory nor a GGUF file; single files of kind \"",
                              path.extension().string(), "\" are not supported");
    }
    checkpoint.list_names();
    return checkpoint;
  }

  /// The same from sources in place of files: one GGUF file, whatever its name, or files that are named as in a Hugging
  /// Face directory (config.json, generation_config.json, model.safetensors or shards and their index). Throws as
  /// open() does, and UnsupportedError for files of other names and for a GGUF file that is one of several.
  static Checkpoint open(std::vector<Source> files) {
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

  /// The directory, or the file of a checkpoint that is one; empty where it was opened from sources.
  const std::filesystem::path& directory() const noexcept { return directory_; }
  /// Where it is, for errors: the directory, the file, or the name of the first source.
  std::string location() const { return sources_.empty() ? directory_.string() : sources_.front().name(); }
  /// The GGUF file that holds the metadata; null for checkpoints of other kinds.
  const GgufFile* gguf() const noexcept { return gguf_.get(); }
  const Json& config() const noexcept { return config_; }
  /// generation_config.json, or null where there is none.
  const Json* generation_config() const noexcept { return generation_config_ ? &*generation_config_ : nullptr; }
  /// The path of a file of that name in the directory, empty where there is none.
  std::optional<std::filesystem::path> file(std::string_view name) const {
    if (directory_.empty()) return std::nullopt;
    std::filesystem::path path = directory_ / name;
    std::error_code ignored;
    return std::filesystem::exists(path, ignored) ? std::optional(std::move(path)) : std::nullopt;
  }

  /// The names of all tensors, sorted.
  std::span<const std::string> tensor_names() const noexcept { return names_; }
  bool contains(std::string_view name) const noexcept { return places_.find(name) != places_.end(); }
  /// One tensor, in place where the file allows it. Throws FormatError where there is none of that name, and what
  /// WeightsFile::tensor throws.
  AnyTensor tensor(std::string_view name) const {
    const auto found = places_.find(name);
    if (found == places_.end()) raise<FormatError>(location(), ": there is no tensor ", name);
    return found->second.file->tensor(found->second.name);
  }
  /// What its file says of a tensor, which is not read. Throws FormatError where there is none of that name.
  const WeightsEntry& entry(std::string_view name) const {
    const auto found = places_.find(name);
    if (found == places_.end()) raise<FormatError>(location(), ": there is no tensor ", name);
    return *found->second.file->find(found->second.name);
  }
  /// Whether a tensor is the weight of a quantised layer: (outputs, inputs), also where the layer's own class has it
  /// the other way round.
  bool is_quantized(std::string_view name) const noexcept { return quantized_ && quantized_->contains(name); }
  /// Lets go of the memory of a tensor of this checkpoint that is not wanted soon; touching it reads it again.
  void release(std::string_view name, const AnyTensor& tensor) const noexcept {
    const auto found = places_.find(name);
    if (found != places_.end()) found->second.file->release(tensor);
  }
  /// "file: tensor name", as the file names it, for errors about a tensor; the directory where there is none of that
  /// name.
  std::string source_of(std::string_view name) const {
    const auto found = places_.find(name);
    if (found == places_.end()) return detail::concat(location(), ": tensor ", name);
    return detail::concat(found->second.file->path(), ": tensor ", found->second.name);
  }
  /// The bytes of all tensors together.
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  /// Where a tensor lies, and what it is called there.
  struct Place {
    std::shared_ptr<const WeightsFile> file;
    std::string name;
  };

  explicit Checkpoint(const std::filesystem::path& directory) : directory_(directory) {}

  void list_names() {
    for (const auto& [name, place] : places_) names_.push_back(name);
  }

  void check_source_names() const {
    constexpr std::array<std::string_view, 4> known{"config.json", "generation_config.json", "quantize_config.json",
                                                    "model.safetensors.index.json"};
    for (const Source& source : sources_)
      if (std::find(known.begin(), known.end(), source.name()) == known.end() &&
          !source.name().ends_with(".safetensors"))
        raise<UnsupportedError>(source.name(),
                                ": neither a GGUF file nor, by its name, one of a Hugging Face directory"
                                " that is read from sources");
  }

  void read_gguf() {
    for (const std::shared_ptr<const GgufFile>& file : gguf_files()) {
      if (!gguf_) gguf_ = file;
      add_file(file);
    }
    config_ = gguf_config(
        *gguf_, [&](std::string_view name) { return contains(name) ? std::optional(tensor(name)) : std::nullopt; });
    generation_config_ = gguf_generation_config(*gguf_);
  }

  std::vector<std::shared_ptr<const GgufFile>> gguf_files() const {
    if (sources_.empty()) return open_gguf(directory_);
    const auto file = std::make_shared<const GgufFile>(sources_.front());
    if (detail::gguf_split_value(*file, "split.count", 1) > 1)
      raise<UnsupportedError>(file->path(), ": one of several files; they are read from paths alone");
    return {file};
  }

  void read_directory() {
    if (file("config.json")) {
      read_hugging_face();
    } else if (const auto params = file("params.json")) {
      read_meta(*params);
    } else {
      raise<FormatError>(directory_.string(), ": there is neither config.json nor params.json");
    }
  }

  /// The source of that name, or null.
  const Source* find_source(std::string_view name) const {
    for (const Source& source : sources_)
      if (source.name() == name) return &source;
    return nullptr;
  }

  /// A JSON file of the directory or among the sources; nothing where there is none.
  std::optional<Json> read_json(std::string_view name) const {
    if (const auto path = file(name)) return parse_json_file(path->string());
    const Source* source = find_source(name);
    if (!source) return std::nullopt;
    const Source::Bytes bytes = source->bytes(0, source->size());
    return parse_json({reinterpret_cast<const char*>(bytes.span.data()), bytes.span.size()}, source->name());
  }

  /// A file of weights by its extension: what is no safetensors is PyTorch's. Null where there is none.
  std::shared_ptr<const WeightsFile> open_weights(std::string_view name) const {
    if (const Source* source = find_source(name)) return std::make_shared<const SafetensorsFile>(*source);
    const auto path = file(name);
    if (!path) return nullptr;
    if (path->extension() == ".safetensors") return std::make_shared<const SafetensorsFile>(*path);
    return std::make_shared<const PytorchFile>(*path);
  }

  void read_hugging_face() {
    const std::optional<Json> config = read_json("config.json");
    if (!config) raise<FormatError>(location(), ": there is no config.json");
    config_ = *config;
    static_cast<void>(config_.as_object());
    generation_config_ = read_json("generation_config.json");
    if (generation_config_) static_cast<void>(generation_config_->as_object());
    read_weights();
    read_quantized();
  }

  void read_weights() {
    for (const std::string_view name : {"model.safetensors", "pytorch_model.bin"}) {
      if (const auto weights = open_weights(name)) return add_file(weights);
      if (const auto index = read_json(detail::concat(name, ".index.json"))) return read_index(*index);
    }
    no_weights();
  }

  /// Puts the weights of quantised layers in the place of what is stored of them.
  void read_quantized() {
    Json description;
    if (const Json* own = config_.given("quantization_config"); own && !(own->is_object() && own->empty())) {
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
    for (const std::string& name : quantized_->replaced()) {
      const auto found = places_.find(name);
      bytes_ -= found->second.file->find(found->second.name)->bytes;
      places_.erase(found);
    }
    add_file(quantized_);
  }

  void read_meta(const std::filesystem::path& params_file) {
    if (!file("consolidated.00.pth")) raise<FormatError>(directory_.string(), ": there is no consolidated.00.pth");
    const Json params = parse_json_file(params_file.string());
    const auto weights = std::make_shared<const MetaWeights>(directory_, params.at("dim").as_size());
    const WeightsEntry* embedding = weights->find("tok_embeddings.weight");
    if (!embedding || embedding->extents.empty())
      raise<FormatError>(weights->path(), ": the matrix tok_embeddings.weight is missing");
    config_ = meta_config(params, embedding->extents[0]);
    add_file(weights, detail::hugging_face_name);
  }

  void add_file(
      const std::shared_ptr<const WeightsFile>& file,
      std::string (*name_of)(std::string_view) = [](std::string_view name) { return std::string(name); }) {
    for (const WeightsEntry& entry : file->entries()) {
      const auto [other, added] = places_.emplace(name_of(entry.name), Place{file, entry.name});
      if (!added) raise<FormatError>(file->path(), ": tensor ", entry.name, " is also in ", other->second.file->path());
      bytes_ += entry.bytes;
    }
  }

  void read_index(const Json& index) {
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

  [[noreturn]] void no_weights() const {
    constexpr std::array<std::string_view, 4> known{"tf_model.h5", "flax_model.msgpack", "model.onnx",
                                                    "model.ckpt.index"};
    for (const std::string_view name : known)
      if (const auto path = file(name))
        raise<UnsupportedError>(path->string(),
                                ": weights in this format are not supported; expected model.safetensors or "
                                "pytorch_model.bin");
    raise<FormatError>(location(), ": there is neither model.safetensors nor pytorch_model.bin nor an index of either");
  }

  std::filesystem::path directory_;
  std::vector<Source> sources_;  // in place of files
  Json config_;
  std::optional<Json> generation_config_;
  std::shared_ptr<const GgufFile> gguf_;
  std::shared_ptr<const QuantizedWeights> quantized_;  // null where no layer is quantised
  std::map<std::string, Place, std::less<>> places_;   // by the names of the model
  std::vector<std::string> names_;
  std::size_t bytes_ = 0;
};

}  // namespace weft::inline v0
