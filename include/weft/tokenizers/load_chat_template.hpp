#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include <weft/core/config.hpp>
#include <weft/core/source.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/file_set.hpp>
#include <weft/tokenizers/chat_template.hpp>

namespace weft::inline v0 {

/// The chat template of a model, with the special tokens that its files state.
///
/// Of a Hugging Face directory: chat_template.jinja with those in additional_chat_templates/, else "chat_template" of
/// tokenizer_config.json (one, or a list of them by name), else that of chat_template.json. Of a GGUF file:
/// tokenizer.chat_template and tokenizer.chat_template.NAME.
///
/// Throws FormatError where there is none or it is malformed, UnsupportedError as ChatTemplate.
std::shared_ptr<const ChatTemplate> load_chat_template(const std::filesystem::path& path);

/// The same from sources in place of files, named as in such a directory, or of one GGUF file, whatever its name.
std::shared_ptr<const ChatTemplate> load_chat_template(std::vector<Source> files);

/// The same of a checkpoint. Null where there is none at all.
std::shared_ptr<const ChatTemplate> load_chat_template(const Checkpoint& checkpoint);

/// The texts of the templates among such files, as they are; none where there are none. Throws FormatError where a JSON
/// file is malformed.
std::vector<ChatTemplateText> read_chat_templates(const FileSet& files);

}  // namespace weft::inline v0

#if !WEFT_SEPARATE_COMPILATION
#include <weft/tokenizers/load_chat_template.inl>
#endif
