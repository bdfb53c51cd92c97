#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/formats/checkpoint.hpp>
#include <weft/formats/json.hpp>
#include <weft/formats/pickle.hpp>
#include <weft/formats/pytorch.hpp>
#include <weft/formats/safetensors.hpp>

#include "../allocations.hpp"
#include "pickle_writer.hpp"
#include "temporary_directory.hpp"

// One test for every class of fault that was published of loaders of model files, over all formats it can appear in.
// What each format refuses besides is in the test of its header.
namespace {

using namespace weft_tests::pickle;
using testing::HasSubstr;
using weft_tests::make_zip;
using weft_tests::overwrite;
using weft_tests::ZipParts;

class HostileFiles : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;

  /// The message of the weft::Error that opening a file and taking all its tensors gives. No more than a small multiple
  /// of the file may be allocated on the way.
  template <class File>
  std::string refusal(const std::string& bytes) {
    const auto path = directory.write("hostile", bytes);
    return bounded(bytes.size(), [&] {
      const File file(path);
      for (const weft::WeightsEntry& entry : file.entries()) static_cast<void>(file.tensor(entry.name));
    });
  }
  static std::string refused_json(const std::string& text) {
    return bounded(text.size(), [&] { weft::parse_json(text, "hostile"); });
  }
  static std::string refused_pickle(const std::string& program) {
    return bounded(program.size(), [&] { weft::Pickle pickle(program, "hostile"); });
  }
  static std::string bounded(std::size_t size, const std::function<void()>& action) {
    const std::size_t before = weft_tests::allocated_bytes;
    const std::string message = weft_tests::message_of<weft::Error>(action);
    EXPECT_LE(weft_tests::allocated_bytes - before, 64 * size + 65536) << message;
    return message;
  }

  static std::string safetensors(std::string_view header, std::string_view data = "") {
    std::string file;
    weft_tests::append_numbers(file, std::uint64_t{header.size()});
    return file.append(header).append(data);
  }
  static std::string one_tensor(std::string_view type, std::string_view shape, std::size_t bytes) {
    return safetensors(weft::detail::concat("{\"t\":{\"dtype\":\"", type, "\",\"shape\":", shape,
                                            ",\"data_offsets\":[0,", bytes, "]}}"),
                       std::string(bytes, '\0'));
  }
  static ZipParts pytorch(const std::string& of_storage, std::int64_t offset, const std::vector<std::int64_t>& extents,
                          const std::vector<std::int64_t>& strides) {
    return make_zip(
        archive(dict({{"t", tensor(of_storage, offset, extents, strides)}}), {{"0", std::string(24, '\0')}}));
  }
  static std::string floats(const std::vector<std::int64_t>& extents, const std::vector<std::int64_t>& strides,
                            std::int64_t offset = 0) {
    return pytorch(storage("FloatStorage", "0", 6), offset, extents, strides).bytes;
  }
};

// Counts and lengths in a header that wrap around when they are added up: ggml pull request 709.
TEST_F(HostileFiles, CountsThatWrapAround) {
  for (const std::uint64_t huge :
       {~std::uint64_t{0}, ~std::uint64_t{0} - 7, std::uint64_t{1} << 63, std::uint64_t{1} << 32}) {
    std::string header = one_tensor("F32", "[1]", 4);
    overwrite(header, 0, huge);
    EXPECT_THAT(refusal<weft::SafetensorsFile>(header), HasSubstr("the header length says " + std::to_string(huge)));
    const ZipParts good = pytorch(storage("FloatStorage", "0", 6), 0, {6}, {1});
    for (const std::size_t field : {good.end64 + 32, good.end64 + 40, good.end64 + 48, good.end - 12}) {
      std::string archive = good.bytes;
      overwrite(archive, field, huge);
      EXPECT_THAT(refusal<weft::PytorchFile>(archive), HasSubstr("hostile: byte ")) << field;
    }
    EXPECT_THAT(refused_pickle("\x80\x04\x95" + std::string(reinterpret_cast<const char*>(&huge), 8) + "N."),
                HasSubstr("truncated"));
  }
  EXPECT_THAT(refused_pickle(whole("X\xff\xff\xff\xff"
                                   "a")),
              HasSubstr("truncated"));
  EXPECT_THAT(refused_pickle(whole("Nr\xff\xff\xff\xff")), HasSubstr("memo index 4294967295"));
}

// Extents whose product wraps around to a small number: GHSA-vgg9-87g3-85w8, llama.cpp pull request 18674.
TEST_F(HostileFiles, ExtentsWhoseProductWrapsAround) {
  for (const char* shape : {"[4611686018427387904]", "[4294967296,4294967296]", "[2147483648,2147483648,4]",
                            "[4294967296,4294967296,0]", "[9223372036854775807,2]"})
    EXPECT_THAT(refusal<weft::SafetensorsFile>(one_tensor("F32", shape, 0)), HasSubstr("overflows")) << shape;
  constexpr std::int64_t two_to_32 = std::int64_t{1} << 32;
  EXPECT_THAT(refusal<weft::PytorchFile>(floats({two_to_32, two_to_32}, {0, 0})), HasSubstr("overflows"));
  EXPECT_THAT(refusal<weft::PytorchFile>(floats({two_to_32, two_to_32, 0}, {0, 0, 0})), HasSubstr("overflows"));
  EXPECT_THAT(refusal<weft::PytorchFile>(floats({std::int64_t{1} << 62}, {0})), HasSubstr("overflows"));
  EXPECT_THAT(refusal<weft::PytorchFile>(floats({3, 3}, {INT64_MAX, INT64_MAX})), HasSubstr("overflows"));
  EXPECT_THAT(refusal<weft::PytorchFile>(floats({1}, {1}, INT64_MAX)), HasSubstr("from 9223372036854775807 on"));
}

// A value read as another type than it has: llama.cpp pull request 26690.
TEST_F(HostileFiles, ValuesOfAnotherType) {
  EXPECT_THAT(refusal<weft::SafetensorsFile>(safetensors(R"({"t":{"dtype":1,"shape":[0],"data_offsets":[0,0]}})")),
              HasSubstr("expected a string, found an integer"));
  EXPECT_THAT(refusal<weft::SafetensorsFile>(safetensors(R"({"t":{"dtype":"U8","shape":"0","data_offsets":[0,0]}})")),
              HasSubstr("expected an array, found a string"));
  EXPECT_THAT(refusal<weft::SafetensorsFile>(one_tensor("F32", "[2]", 4)),
              HasSubstr("takes 8 bytes, the offsets span 4"));
  EXPECT_THAT(refusal<weft::PytorchFile>(pytorch(storage("LongStorage", "0", 6), 0, {6}, {1}).bytes),
              HasSubstr("a LongStorage of 6 elements takes 8 bytes for each, m/data/0 has 24 bytes"));
  EXPECT_THAT(refused_pickle(whole("K\1K\2\x86Q")), HasSubstr("a persistent id of 2 parts"));
  EXPECT_THAT(refused_pickle(whole(global("torch._utils _rebuild_tensor_v2") + "(NNNNNNtR")),
              HasSubstr("expected a storage, found None"));
  EXPECT_THAT(refused_pickle(whole("K\1K\2a")), HasSubstr("expected a list to add to, found an integer"));
}

// Padding and alignment taken from the file and rounded up past the end of it: llama.cpp pull request 26318,
// GHSA-96jg-mvhq-q7q7. Here the padding of archives and the gaps between tensors.
TEST_F(HostileFiles, PaddingThatLeavesTheFile) {
  const ZipParts good = pytorch(storage("FloatStorage", "0", 6), 0, {6}, {1});
  for (const std::size_t local : good.locals) {
    std::string archive = good.bytes;
    overwrite(archive, local + 28, std::uint16_t{0xffff});
    EXPECT_THAT(refusal<weft::PytorchFile>(archive), HasSubstr("reach into the central directory"));
  }
  for (const std::size_t central : good.centrals) {
    std::string archive = good.bytes;
    overwrite(archive, central + 30, std::uint16_t{0xffff});
    EXPECT_THAT(refusal<weft::PytorchFile>(archive), HasSubstr("leaves the central directory"));
  }
  for (const char* offsets : {"[8,16]", "[0,9223372036854775807]", "[9223372036854775800,9223372036854775807]"})
    EXPECT_THAT(
        refusal<weft::SafetensorsFile>(safetensors(
            weft::detail::concat(R"({"t":{"dtype":"U8","shape":[8],"data_offsets":)", offsets, "}}"), "01234567")),
        HasSubstr("are outside the 8 bytes"));
}

// A few bytes that ask for gigabytes: ggml pull request 1516, ollama issue 17042.
TEST_F(HostileFiles, SmallFilesThatAskForMemory) {
  EXPECT_THAT(refusal<weft::PytorchFile>(floats({1 << 30}, {0})),
              HasSubstr("repeats its elements to 4294967296 bytes"));
  EXPECT_THAT(refusal<weft::PytorchFile>(floats({1 << 15, 1 << 15}, {0, 0})), HasSubstr("repeats its elements"));
  ZipParts many = make_zip({}, {.zip64 = false});
  overwrite(many.bytes, many.end + 10, std::uint16_t{0xffff});
  EXPECT_THAT(refusal<weft::PytorchFile>(many.bytes), HasSubstr("65535 entries do not fit"));
  // The same long text at many places.
  std::string repeated = "}" + text(std::string(100000, 'k')) + "q\1(";
  for (int i = 0; i < 20000; ++i) repeated += "h\1N";
  EXPECT_THAT(refusal<weft::PytorchFile>(make_zip(archive(repeated + "u", {})).bytes), HasSubstr("hostile: byte "));
  EXPECT_THAT(refused_pickle(whole(std::string(100000, ']'))), HasSubstr("more values than"));
  EXPECT_THAT(refused_pickle(whole(std::string(100000, '}'))), HasSubstr("more values than"));
  EXPECT_THAT(refused_json(std::string(100000, '[')), HasSubstr("nested deeper than"));
  EXPECT_THAT(refused_json("{\"a\":" + std::string(100000, '[')), HasSubstr("nested deeper than"));
}

// Extents of zero that are divided by, names that are empty: whisper.cpp pull request 3864.
TEST_F(HostileFiles, ZeroExtentsAndEmptyNames) {
  EXPECT_EQ(refusal<weft::SafetensorsFile>(one_tensor("F32", "[0,7,0]", 0)), "no exception");
  EXPECT_EQ(refusal<weft::PytorchFile>(floats({0, 7, 0}, {1, 1, 1})), "no exception");
  EXPECT_EQ(refusal<weft::PytorchFile>(floats({0}, {0})), "no exception");
  EXPECT_EQ(refusal<weft::SafetensorsFile>(safetensors(R"({"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})")),
            "no exception");
  const std::string unnamed = dict({{"", tensor(storage("FloatStorage", "0", 6), 0, {6}, {1})}});
  EXPECT_EQ(refusal<weft::PytorchFile>(make_zip(archive(unnamed, {{"0", std::string(24, '\0')}})).bytes),
            "no exception");
  EXPECT_EQ(refusal<weft::PytorchFile>(make_zip({{"/data.pkl", whole("}")}, {"", ""}}).bytes), "no exception");
  const std::string no_key = dict({{"t", tensor(storage("FloatStorage", "", 0), 0, {0}, {1})}});
  EXPECT_THAT(refusal<weft::PytorchFile>(make_zip(archive(no_key, {})).bytes), HasSubstr("the archive has no m/data/"));
  directory.write("params.json", R"({"dim":0,"n_heads":0,"n_layers":0,"multiple_of":0,"norm_eps":0})");
  const std::string embedding =
      dict({{"tok_embeddings.weight", tensor(storage("FloatStorage", "0", 0), 0, {0, 0}, {1, 1})}});
  directory.write("consolidated.00.pth", make_zip(archive(embedding, {{"0", ""}})).bytes);
  EXPECT_THAT(weft_tests::message_of<weft::FormatError>([&] { weft::Checkpoint::open(directory.path()); }),
              HasSubstr("params.json: dim"));
}

// Files that are programs: CVE-2024-34359, CVE-2026-5760 of chat templates, and every pickle that is unpickled.
TEST_F(HostileFiles, Programs) {
  const std::string command = text("id");
  const std::string one_command = command + "\x85R";
  for (const std::string& program :
       {global("posix system") + one_command, global("builtins eval") + one_command, global("os system"),
        "(" + command + "ios\nsystem\n", "(" + global("os system") + command + "o", global("numpy load") + one_command,
        global("torch.storage _load_from_bytes") + one_command, global("__main__ x")}) {
    EXPECT_THAT(refusal<weft::PytorchFile>(make_zip(archive(program, {})).bytes), HasSubstr("hostile: byte "));
    EXPECT_THAT(refused_pickle(whole(program)), HasSubstr("tensors need"));
  }
}

}  // namespace
