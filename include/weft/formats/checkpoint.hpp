#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/config.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/file_set.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

class GgufFile;
class QuantizedWeights;

/// A trained model as somebody else saved it: its configuration, its tensors by name, and the files beside them. Copies
/// share what is mapped; all methods are const and may be called from several threads.
///
/// What opens is
/// - a Hugging Face directory: config.json, generation_config.json (optional), and the weights in model.safetensors or
///   pytorch_model.bin, or in the shards that an index of either names; safetensors are preferred. Where config.json
///   or its text_config has a quantization_config, or there is the quantize_config.json of older GPTQ checkpoints,
///   every quantised layer has the one tensor "<layer>.weight" of floats that its stored tensors stand for
///   (QuantizedWeights);
/// - a directory of Meta's: params.json and consolidated.00.pth with the model-parallel parts that follow;
///   configuration and tensors appear under the names that transformers gives them (see meta_config);
/// - a GGUF file, or the first of several that hold one model: config() and generation_config() are then made of its
///   metadata (gguf_config), and tensors have the names of that format.
class Checkpoint {
 public:
  /// Throws FormatError naming the file that is missing, malformed or contradicts another, and UnsupportedError for
  /// weights in a format that weft does not read.
  static Checkpoint open(const std::filesystem::path& path);

  /// The same from sources in place of files: one GGUF file, whatever its name, or files that are named as in a Hugging
  /// Face directory (config.json, generation_config.json, model.safetensors, pytorch_model.bin, or shards and their
  /// index, and the files of the tokenizer). Throws as open() does, and UnsupportedError for files of other names and
  /// for a GGUF file that is one of several.
  static Checkpoint open(std::vector<Source> files);

  /// The same checkpoint with the tensors of `file` in the place of those of the same names, and beside the others.
  Checkpoint with(const std::shared_ptr<const WeightsFile>& file) const;

  /// The directory, or the file of a checkpoint that is one; empty where it was opened from sources.
  const std::filesystem::path& directory() const noexcept { return directory_; }
  /// The files of the directory, or the sources, by their names; for checkpoints of other kinds than GGUF.
  FileSet files() const { return sources_.empty() ? FileSet(directory_) : FileSet(sources_); }
  /// Where it is, for errors: the directory, the file, or the name of the first source.
  std::string location() const { return sources_.empty() ? directory_.string() : sources_.front().name(); }
  /// The GGUF file that holds the metadata; null for checkpoints of other kinds.
  const GgufFile* gguf() const noexcept { return gguf_.get(); }
  const Json& config() const noexcept { return config_; }
  /// generation_config.json, or null where there is none.
  const Json* generation_config() const noexcept { return generation_config_ ? &*generation_config_ : nullptr; }
  /// The path of a file of that name in the directory, empty where there is none.
  std::optional<std::filesystem::path> file(std::string_view name) const;

  /// The names of all tensors, sorted.
  std::span<const std::string> tensor_names() const noexcept { return names_; }
  bool contains(std::string_view name) const noexcept { return places_.find(name) != places_.end(); }
  /// One tensor, in place where the file allows it. Throws FormatError where there is none of that name, and what
  /// WeightsFile::tensor throws.
  AnyTensor tensor(std::string_view name) const;
  /// What its file says of a tensor, which is not read. Throws FormatError where there is none of that name.
  const WeightsEntry& entry(std::string_view name) const;
  /// Whether a tensor is the weight of a quantised layer: (outputs, inputs), also where the layer's own class has it
  /// the other way round.
  bool is_quantized(std::string_view name) const noexcept;
  /// The path of the file that a tensor lies in, and where it begins there: tensors are read fastest in the order of
  /// these. Throws FormatError where there is none of that name.
  std::pair<std::string_view, std::size_t> position(std::string_view name) const;
  /// Reads a tensor that is wanted soon into the system's memory, where it lies in a mapped file, until it is stopped.
  void fetch(std::string_view name, const std::stop_token& stop = {}) const noexcept;
  /// Lets go of the memory of a tensor of this checkpoint that is not wanted soon; touching it reads it again.
  void release(std::string_view name, const AnyTensor& tensor) const noexcept;
  /// "file: tensor name", as the file names it, for errors about a tensor; the directory where there is none of that
  /// name.
  std::string source_of(std::string_view name) const;
  /// The bytes of all tensors together.
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  /// Where a tensor lies, and what it is called there.
  struct Place {
    std::shared_ptr<const WeightsFile> file;
    std::string name;
  };

  explicit Checkpoint(const std::filesystem::path& directory) : directory_(directory) {}

  void list_names();
  void check_source_names() const;
  void read_gguf();
  std::vector<std::shared_ptr<const GgufFile>> gguf_files() const;
  void read_directory();
  /// A JSON file of the directory or among the sources; nothing where there is none.
  std::optional<Json> read_json(std::string_view name) const;
  /// A file of weights by its extension: what is no safetensors is PyTorch's. Null where there is none.
  std::shared_ptr<const WeightsFile> open_weights(std::string_view name) const;
  void read_hugging_face();
  void read_weights();
  /// Puts the weights of quantised layers in the place of what is stored of them.
  void read_quantized();
  void read_meta(const std::filesystem::path& params_file);
  void add_file(
      const std::shared_ptr<const WeightsFile>& file,
      std::string (*name_of)(std::string_view) = [](std::string_view name) { return std::string(name); });
  /// Leaves out the tensor of that name where there is one.
  void remove(std::string_view name);
  void read_index(const Json& index);
  [[noreturn]] void no_weights() const;

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

#if !WEFT_SEPARATE_COMPILATION
#include <weft/formats/checkpoint.inl>
#endif
