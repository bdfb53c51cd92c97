#include <weft/formats/gguf_architectures.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <weft/formats/json.hpp>
#include <weft/models/encoder_registry.hpp>
#include <weft/models/registry.hpp>
#include <weft/models/seq2seq_registry.hpp>

namespace {

using namespace weft;
using detail::gguf_architectures;
using detail::GgufArchitecture;
using detail::GgufConfigKey;

// A file is read by the first row of its name, with experts or without: another one would never be.
TEST(GgufArchitectures, EveryRowCanBeFound) {
  std::set<std::pair<std::string_view, bool>> rows;
  for (const GgufArchitecture& row : gguf_architectures)
    EXPECT_TRUE(rows.emplace(row.name, row.expert_keys.empty()).second) << row.name << " " << row.model_type;
}

TEST(GgufArchitectures, AreFamiliesThatRun) {
  const auto among = [](const auto& architectures, std::string_view type) {
    return std::ranges::any_of(architectures, [&](const auto* family) { return family->model_type == type; });
  };
  for (const GgufArchitecture& row : gguf_architectures)
    EXPECT_TRUE(among(decoder_architectures, row.model_type) || among(encoder_architectures, row.model_type) ||
                among(seq2seq_architectures, row.model_type))
        << row.model_type;
}

TEST(GgufArchitectures, EveryKeyIsSaidOnce) {
  for (const GgufArchitecture& row : gguf_architectures) {
    const Json constants = parse_json("{" + std::string(row.constants) + "}", std::string(row.name));
    std::set<std::string_view> config, gguf;
    for (const Json& constant : constants) EXPECT_TRUE(config.insert(constant.key()).second);
    for (const auto& keys : {row.sizes, row.keys, row.expert_keys})
      for (const GgufConfigKey& key : keys) {
        EXPECT_TRUE(key.config.empty() || config.insert(key.config).second) << row.model_type << " " << key.config;
        EXPECT_FALSE(key.gguf.empty()) << row.model_type;
        EXPECT_TRUE(gguf.insert(key.gguf).second) << row.model_type << " " << key.gguf;
        EXPECT_FALSE(key.gguf.starts_with(row.name)) << "the name of the architecture is put in front";
      }
    for (const detail::GgufConfigTensor& tensor : row.tensors)
      EXPECT_TRUE(config.insert(tensor.config).second) << row.model_type << " " << tensor.config;
    EXPECT_TRUE(row.partial_rotary.empty() || config.insert(row.partial_rotary).second) << row.model_type;
  }
}

TEST(GgufArchitectures, EveryFamilyHasItsSizes) {
  for (const GgufArchitecture& row : gguf_architectures)
    for (const std::string_view size :
         {"embedding_length", "feed_forward_length", "block_count", "attention.head_count", "context_length"})
      EXPECT_TRUE(std::ranges::any_of(row.sizes, [&](const GgufConfigKey& key) { return key.gguf == size; }))
          << row.model_type << " " << size;
}

}  // namespace
