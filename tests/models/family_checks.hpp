#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "fixtures.hpp"

// What holds of every family of models, whatever kind they are of. Copy is a copy of a fixture with load().
namespace weft_tests {

inline std::vector<std::string> stored_names(const DirectoryCopy& copy) {
  std::vector<std::string> names;
  const weft::SafetensorsFile file(copy.path() / "model.safetensors");
  for (const weft::WeightsEntry& entry : file.entries()) names.push_back(entry.name);
  return names;
}

/// Without any tensor the checkpoint does not load, and the answer names it. expected(name, copy) is what it says;
/// empty for a tensor that not all checkpoints have.
template <class Copy, class Expected>
void expect_missing_tensors_are_named(const std::string& fixture, Expected&& expected) {
  for (const std::string& name : stored_names(Copy(fixture))) {
    const Copy copy(fixture);
    copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) {
      std::erase_if(tensors, [&](const auto& tensor) { return tensor.first == name; });
    });
    const std::string message = expected(name, copy);
    if (message.empty()) continue;
    EXPECT_EQ(message_of<weft::FormatError>([&] { copy.load(); }), message);
  }
}
inline std::string missing(const std::string& name, const DirectoryCopy& copy) {
  return copy.path().string() + ": the tensor " + name + " is missing";
}

/// The same for tensors of another shape, but for those of which is_unread(name).
template <class Copy, class IsUnread>
void expect_other_shapes_are_named(const std::string& fixture, IsUnread&& is_unread) {
  const Copy copy(fixture);
  DirectoryCopy::Tensors kept;
  copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) { kept = tensors; });
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (is_unread(kept[i].first)) continue;
    const weft::AnyTensor& tensor = kept[i].second;
    weft::Shape shape{tensor.rank() == 0 ? 2 : tensor.extent(0) + 1};
    for (std::size_t d = 1; d < tensor.rank(); ++d) shape.push_back(tensor.extent(d));
    copy.edit_tensors([&](DirectoryCopy::Tensors& tensors) {
      tensors = kept;
      tensors[i].second = zeros(weft::DType::f16, shape);
    });
    const std::string message = message_of<weft::ConfigError>([&] { copy.load(); });
    EXPECT_NE(message.find("tensor " + kept[i].first + " has shape "), std::string::npos) << message;
  }
}
template <class Copy>
void expect_other_shapes_are_named(const std::string& fixture) {
  expect_other_shapes_are_named<Copy>(fixture, [](const std::string&) { return false; });
}

template <class Copy>
void expect_unknown_tensors_are_refused(const std::string& fixture) {
  const Copy copy(fixture);
  copy.edit_tensors(
      [](DirectoryCopy::Tensors& tensors) { tensors.emplace_back("no.such.tensor", zeros(weft::DType::f32, {2})); });
  EXPECT_NE(message_of<weft::FormatError>([&] { copy.load(); }).find("tensor no.such.tensor: a "), std::string::npos);
}

/// Whatever stands under a key of one of the objects (JSON pointers), the answer is a config, which check(text) reads
/// and looks at, or an error of ours that names the file.
template <class Check>
void expect_configs_or_errors(nlohmann::json config, std::initializer_list<const char*> objects, Check&& check) {
  const std::vector<nlohmann::json> values{nullptr,
                                           -1,
                                           0,
                                           1,
                                           3,
                                           1.5,
                                           std::int64_t{1} << 40,
                                           "",
                                           "x",
                                           true,
                                           nlohmann::json::object(),
                                           {},
                                           {1},
                                           {3, 5},
                                           {-1, 2},
                                           nlohmann::json::object({{"a", 1}})};
  for (const char* path : objects) {
    const nlohmann::json::json_pointer object(path);
    const nlohmann::json kept = config[object];
    for (const auto& item : kept.items()) {
      SCOPED_TRACE(item.key());
      const auto attempt = [&] {
        try {
          check(config.dump());
        } catch (const weft::Error& error) {
          EXPECT_EQ(std::string_view(error.what()).substr(0, 11), "config.json") << error.what();
        }
      };
      config[object].erase(item.key());
      attempt();
      for (const nlohmann::json& value : values) {
        config[object][item.key()] = value;
        attempt();
      }
      config[object] = kept;
    }
  }
}

/// read(text) throws a ConfigError where none of the keys of a list, with spaces between them, is there.
template <class Read>
void expect_keys_are_needed(const nlohmann::json& config, std::initializer_list<const char*> lists, Read&& read) {
  for (const char* keys : lists) {
    nlohmann::json changed = config;
    std::istringstream words(keys);
    for (std::string key; words >> key;) changed.erase(key);
    EXPECT_NE(message_of<weft::ConfigError>([&] { read(changed.dump()); }).find("is missing"), std::string::npos)
        << keys;
  }
}

}  // namespace weft_tests
