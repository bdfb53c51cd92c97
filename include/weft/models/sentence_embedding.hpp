#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include <weft/core/tensor_view.hpp>
#include <weft/formats/gguf.hpp>
#include <weft/formats/json.hpp>
#include <weft/models/config_reader.hpp>

namespace weft::inline v0 {

/// How the hidden states of a sequence's tokens become one vector.
enum class Pooling : unsigned char {
  first,          ///< that of the first token
  mean,           ///< sum over t / tokens
  max,            ///< the largest of each element
  mean_sqrt,      ///< sum over t / sqrt(tokens)
  weighted_mean,  ///< sum over t of (t + 1) x[t] / sum over t of (t + 1)
  last,           ///< that of the last token
};

/// How a sentence becomes one vector.
struct SentenceEmbedding {
  Pooling pooling = Pooling::mean;
  bool normalize = false;  ///< divide by max(its length, 1e-12)
};

namespace detail {

/// y / max(its length, 1e-12).
inline void normalize_length(std::span<float> y) {
  double squares = 0.0;
  for (const float value : y) squares += static_cast<double>(value) * static_cast<double>(value);
  const float length = std::max(static_cast<float>(std::sqrt(squares)), 1e-12f);
  for (float& value : y) value /= length;
}

}  // namespace detail

/// y = the vector of one sequence. x: (tokens, hidden), at least one token; y: (hidden). Throws ShapeError.
inline void sentence_embedding(TensorView<const float, 2> x, const SentenceEmbedding& params, std::span<float> y) {
  const std::size_t tokens = x.extent(0);
  detail::require_extent("sentence_embedding", "y", y.size(), x.extent(1));
  if (tokens == 0) raise<ShapeError>("sentence_embedding: there are no tokens");
  const auto row = [&](std::size_t t) { return x.data() + t * x.stride(0); };
  const auto weighted_sum = [&](auto weight) {
    std::fill(y.begin(), y.end(), 0.f);
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t i = 0; i < y.size(); ++i) y[i] += weight(t) * row(t)[i];
  };
  const auto count = static_cast<float>(tokens);
  switch (params.pooling) {
    case Pooling::first: std::copy_n(row(0), y.size(), y.begin()); break;
    case Pooling::last: std::copy_n(row(tokens - 1), y.size(), y.begin()); break;
    case Pooling::mean: weighted_sum([&](std::size_t) { return 1.f / count; }); break;
    case Pooling::mean_sqrt: weighted_sum([&](std::size_t) { return 1.f / std::sqrt(count); }); break;
    case Pooling::weighted_mean:
      weighted_sum([&](std::size_t t) { return static_cast<float>(t + 1) / (count * (count + 1.f) / 2.f); });
      break;
    case Pooling::max:
      std::copy_n(row(0), y.size(), y.begin());
      for (std::size_t t = 1; t < tokens; ++t)
        for (std::size_t i = 0; i < y.size(); ++i) y[i] = std::max(y[i], row(t)[i]);
      break;
  }
  if (params.normalize) detail::normalize_length(y);
}

/// What modules.json of sentence-transformers says: which folder holds the transformer, and what becomes of its output.
struct SentenceModules {
  std::filesystem::path transformer;
  SentenceEmbedding embedding{};
  std::filesystem::path dense{};  ///< of a dense layer before the normalisation; empty: there is none
  std::size_t width = 0;          ///< of the transformer's output; 0: not stated
  std::string source;             ///< the configuration of the pooling, for messages
};

namespace detail {

/// The folder of a module, inside `directory`.
inline std::filesystem::path module_folder(const std::filesystem::path& directory, const Json& path) {
  const std::string_view name = path.as_string();
  if (name == "." || name == ".." || name.find_first_of(std::string_view("/\\\0", 3)) != name.npos)
    raise<FormatError>(path.location(), ": expected the name of a folder in the same directory, found \"", name, "\"");
  return name.empty() ? directory : directory / name;
}

/// The one kind of pooling that is chosen, as a flag of its own or by its name.
inline Pooling read_pooling(ConfigReader& config) {
  struct Kind {
    std::string_view name, flag;
    Pooling pooling;
  };
  constexpr auto kinds = std::to_array<Kind>({
      {"cls", "pooling_mode_cls_token", Pooling::first},
      {"mean", "pooling_mode_mean_tokens", Pooling::mean},
      {"max", "pooling_mode_max_tokens", Pooling::max},
      {"mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", Pooling::mean_sqrt},
      {"weightedmean", "pooling_mode_weightedmean_tokens", Pooling::weighted_mean},
      {"lasttoken", "pooling_mode_lasttoken", Pooling::last},
  });
  const std::string_view name = config.text_or("pooling_mode", "");
  std::optional<Pooling> found;
  for (const Kind& kind : kinds) {
    if (!config.flag_or(kind.flag, false) && name != kind.name) continue;
    if (found)
      raise<UnsupportedError>(config.object().location(), ": several kinds of pooling at once are not supported");
    found = kind.pooling;
  }
  if (!found) raise<UnsupportedError>(config.object().location(), ": there is no kind of pooling that is supported");
  return *found;
}

inline void read_pooling_module(const std::filesystem::path& file, SentenceModules& modules) {
  ConfigReader config(parse_json_file(file.string()));
  modules.embedding.pooling = read_pooling(config);
  modules.width = config.positive_or("word_embedding_dimension", 0);
  modules.width = config.positive_or("embedding_dimension", modules.width);
  modules.source = file.string();
  config.finish(std::to_array<std::string_view>({"include_prompt"}));
}

}  // namespace detail

/// modules.json of a sentence-transformers directory with what it names; null where there is none. Throws FormatError
/// for files that are missing or malformed, UnsupportedError for modules other than a transformer, pooling, a dense
/// layer and normalisation in this order, of which the last two may be missing.
inline std::optional<SentenceModules> read_sentence_modules(const std::filesystem::path& directory) {
  std::error_code ignored;
  const std::filesystem::path file = directory / "modules.json";
  if (!std::filesystem::exists(file, ignored)) return std::nullopt;
  const Json modules = parse_json_file(file.string());
  constexpr std::array<std::string_view, 4> order{"Transformer", "Pooling", "Dense", "Normalize"};
  SentenceModules result;
  for (std::size_t i = 0, step = 0; i < modules.as_array().size() || i < 2; ++i, ++step) {
    const Json& type = modules.at(i).at("type");
    std::string_view name = type.as_string();
    name.remove_prefix(name.rfind('.') + 1);
    if (step == 2 && name != order[step]) ++step;
    if (step >= order.size() || name != order[step])
      raise<UnsupportedError>(type.location(), ": the module \"", type.as_string(),
                              "\" is not supported here (Transformer, Pooling, Dense and Normalize in this order are)");
    if (step == 3) result.embedding.normalize = true;
    if (step == 3) continue;
    const std::filesystem::path folder = detail::module_folder(directory, modules.at(i).at("path"));
    if (step == 0) result.transformer = folder;
    if (step == 1) detail::read_pooling_module(folder / "config.json", result);
    if (step == 2) result.dense = folder;
  }
  return result;
}

/// What a GGUF file says of sentences (pooling_type, and normalize_embeddings, which llama.cpp leaves to its programs);
/// empty where they are no vectors. Throws UnsupportedError for other kinds of pooling.
inline std::optional<SentenceEmbedding> read_gguf_sentence(const GgufFile& file) {
  const auto find = [&](std::string_view key) { return file.find_value(detail::concat(file.architecture(), key)); };
  const GgufValue* pooling = find(".pooling_type");
  if (!pooling) return std::nullopt;
  const GgufValue* normalize = find(".normalize_embeddings");
  const auto pooled = [&](Pooling kind) {
    return std::optional(SentenceEmbedding{.pooling = kind, .normalize = normalize && normalize->as_bool()});
  };
  switch (pooling->as_int()) {
    case 0:
    case 4: return std::nullopt;  // the score of a pair
    case 1: return pooled(Pooling::mean);
    case 2: return pooled(Pooling::first);
    case 3: return pooled(Pooling::last);
    default: raise<UnsupportedError>(pooling->location(), ": the pooling ", pooling->as_int(), " is not supported");
  }
}

}  // namespace weft::inline v0
