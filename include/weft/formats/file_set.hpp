#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <weft/core/error.hpp>
#include <weft/core/source.hpp>

namespace weft::inline v0 {

namespace detail {

/// The files beside a checkpoint that tokenizers and chat templates are saved in; more templates are in the folder
/// additional_chat_templates.
inline constexpr auto tokenizer_file_names = std::to_array<std::string_view>(
    {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
     "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "source.spm", "target.spm",
     "chat_template.jinja", "chat_template.json"});

}  // namespace detail

/// Files by their names: those of a directory, or sources that stand for them. Copies share what is open.
class FileSet {
 public:
  /// Those of a directory, each opened when it is asked for.
  FileSet(std::filesystem::path directory) : directory_(std::move(directory)) {}
  /// Throws FormatError for none and for two of one name.
  explicit FileSet(std::vector<Source> files) : sources_(std::move(files)) {
    if (sources_.empty()) raise<FormatError>("FileSet: there are no files");
    for (const Source& source : sources_)
      if (find(source.name()) != &source) raise<FormatError>(source.name(), ": there are two files of this name");
  }

  bool contains(std::string_view name) const {
    std::error_code ignored;
    return sources_.empty() ? std::filesystem::exists(directory_ / name, ignored) : find(name) != nullptr;
  }
  /// The names of the files in a folder of it, sorted: "folder/name".
  std::vector<std::string> names_in(std::string_view folder) const {
    const std::string prefix = std::string(folder) + "/";
    std::vector<std::string> names;
    std::error_code none;
    if (sources_.empty())
      for (const auto& entry : std::filesystem::directory_iterator(directory_ / folder, none))
        names.push_back(prefix + entry.path().filename().string());
    for (const Source& source : sources_)
      if (source.name().starts_with(prefix)) names.push_back(source.name());
    std::sort(names.begin(), names.end());
    return names;
  }
  /// Throws FormatError where there is no file of that name, and what Source::file() does.
  Source open(std::string_view name) const {
    if (sources_.empty()) return Source::file((directory_ / name).string());
    if (const Source* source = find(name)) return *source;
    raise<FormatError>(location(), ": there is no file ", name, " beside it");
  }
  /// The directory, or the first source, for errors.
  std::string location() const { return sources_.empty() ? directory_.string() : sources_.front().name(); }
  /// What errors call a file of that name.
  std::string location_of(std::string_view name) const {
    return sources_.empty() ? (directory_ / name).string() : std::string(name);
  }

 private:
  const Source* find(std::string_view name) const {
    const auto found =
        std::find_if(sources_.begin(), sources_.end(), [&](const Source& source) { return source.name() == name; });
    return found == sources_.end() ? nullptr : &*found;
  }

  std::filesystem::path directory_;
  std::vector<Source> sources_;  // in place of the directory
};

}  // namespace weft::inline v0
