#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/core/any_tensor.hpp>
#include <weft/core/error.hpp>
#include <weft/formats/json_value.hpp>
#include <weft/formats/weights_file.hpp>

namespace weft::inline v0 {

/// The tensors of a checkpoint as its files hold them, by name.
class StoredTensors {
 public:
  /// source: the checkpoint, for errors. No two files have a tensor of one name.
  StoredTensors(std::string source, std::vector<std::shared_ptr<const WeightsFile>> files)
      : source_(std::move(source)), files_(std::move(files)) {}

  const std::string& source() const noexcept { return source_; }
  std::span<const std::shared_ptr<const WeightsFile>> files() const noexcept { return files_; }
  bool contains(std::string_view name) const noexcept { return file_of(name) != nullptr; }
  /// One tensor, in place where the file allows it. Throws FormatError where there is none of that name.
  AnyTensor tensor(std::string_view name) const {
    if (const WeightsFile* file = file_of(name)) return file->tensor(name);
    raise<FormatError>(source_, ": the tensor ", name, " is missing");
  }
  /// Has the system read a tensor that is wanted soon.
  void fetch(std::string_view name, const std::stop_token& stop) const noexcept {
    if (const WeightsFile* file = file_of(name)) file->fetch(*file->find(name), stop);
  }
  /// Lets go of the memory of a tensor that is not wanted soon.
  void release(std::string_view name, const AnyTensor& tensor) const noexcept {
    if (const WeightsFile* file = file_of(name)) file->release(tensor);
  }
  /// "file: tensor name", for errors.
  std::string where(std::string_view name) const {
    const WeightsFile* file = file_of(name);
    return detail::concat(file ? file->path() : source_, ": tensor ", name);
  }

 private:
  const WeightsFile* file_of(std::string_view name) const noexcept {
    for (const std::shared_ptr<const WeightsFile>& file : files_)
      if (file->contains(name)) return file.get();
    return nullptr;
  }

  std::string source_;
  std::vector<std::shared_ptr<const WeightsFile>> files_;
};

/// The stored tensors of one layer, whose names begin with that of the layer: "model.layers.0.mlp.up_proj".
class StoredLayer {
 public:
  StoredLayer(const StoredTensors& tensors, std::string_view name) : tensors_(&tensors), name_(name) {}

  bool contains(std::string_view part) const { return tensors_->contains(name_of(part)); }
  std::string where(std::string_view part) const { return tensors_->where(name_of(part)); }
  AnyTensor tensor(std::string_view part) const { return tensors_->tensor(name_of(part)); }
  /// A tensor of one of these element types. Throws FormatError for another and where there is none.
  AnyTensor tensor(std::string_view part, std::initializer_list<DType> types) const {
    AnyTensor found = tensor(part);
    std::string expected;
    for (const DType type : types) {
      if (found.dtype() == type) return found;
      expected += detail::concat(expected.empty() ? "" : " or ", weft::name(type));
    }
    raise<FormatError>(where(part), " has element type ", weft::name(found.dtype()), ", expected ", expected);
  }
  /// The same, of that shape.
  AnyTensor tensor(std::string_view part, std::initializer_list<DType> types, const Shape& shape) const {
    AnyTensor found = tensor(part, types);
    if (found.shape() != shape) wrong_shape(part, found, to_string(shape));
    return found;
  }
  /// The same, a matrix that is not empty.
  AnyTensor matrix(std::string_view part, std::initializer_list<DType> types) const {
    AnyTensor found = tensor(part, types);
    if (found.rank() != 2 || found.size() == 0) wrong_shape(part, found, "a matrix");
    return found;
  }
  [[noreturn]] void wrong_shape(std::string_view part, const AnyTensor& found, std::string_view expected) const {
    raise<FormatError>(where(part), " has shape ", to_string(found.shape()), ", expected ", expected);
  }

 private:
  std::string name_of(std::string_view part) const { return detail::concat(name_, part); }

  const StoredTensors* tensors_;
  std::string_view name_;
};

namespace detail {

/// Throws UnsupportedError for a key of `object` that is neither in `known` nor says nothing (null, false, 0, empty).
inline void check_keys(const Json& object, std::initializer_list<std::string_view> known) {
  for (const Json& member : object.as_object()) {
    const bool neutral = member.is_null() || (member.is_bool() && !member.as_bool()) ||
                         (member.is_number() && member.as_double() == 0.0) ||
                         ((member.is_array() || member.is_object()) && member.empty()) ||
                         (member.is_string() && member.as_string().empty());
    if (!neutral && std::find(known.begin(), known.end(), member.key()) == known.end())
      raise<UnsupportedError>(member.location(), ": the key \"", member.key(),
                              "\" is not understood, and reading the weights without it could change them");
  }
}

/// A whole number of at least 1.
inline std::size_t positive(const Json& value) {
  if (value.as_int() < 1) raise<FormatError>(value.location(), ": expected a positive number, found ", value.as_int());
  return value.as_size();
}

}  // namespace detail
}  // namespace weft::inline v0
