#include <weft/formats/gguf.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <weft/quant/quantize.hpp>

#include "gguf_bytes.hpp"
#include "temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using weft::GgufType;
using weft_tests::GgufBytes;
using weft_tests::message_of;
using weft_tests::raw;
using weft_tests::text;
using weft_tests::u32;
using weft_tests::u64;

constexpr std::uint32_t f32 = 0, q8_0 = 8, i8 = 24;

std::filesystem::path fixture(const char* name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "gguf" / name;
}

class Gguf : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;

  weft::GgufFile open(std::string_view bytes) { return weft::GgufFile(directory.write("m.gguf", bytes)); }
  std::string error(std::string_view bytes) {
    return message_of<weft::FormatError>([&] { open(bytes); });
  }
  std::string refusal(std::string_view bytes) {
    return message_of<weft::UnsupportedError>([&] { open(bytes); });
  }
};

TEST_F(Gguf, ReadsMetadataOfEveryType) {
  const weft::GgufFile file(fixture("types.gguf"));
  EXPECT_EQ(file.version(), 3u);
  EXPECT_EQ(file.alignment(), 32u);
  EXPECT_EQ(file.architecture(), "llama");
  EXPECT_EQ(file.value("t.u8").as_int(), 200);
  EXPECT_EQ(file.value("t.i8").as_int(), -100);
  EXPECT_EQ(file.value("t.u16").as_int(), 60000);
  EXPECT_EQ(file.value("t.i16").as_int(), -30000);
  EXPECT_EQ(file.value("t.u32").as_int(), 4000000000);
  EXPECT_EQ(file.value("t.i32").as_int(), -2000000000);
  EXPECT_EQ(file.value("t.i64").as_int(), -(std::int64_t{1} << 62));
  EXPECT_EQ(file.value("t.u64").type(), GgufType::u64);
  EXPECT_EQ(file.value("t.f32").as_double(), static_cast<double>(0.1f));
  EXPECT_EQ(file.value("t.f64").as_double(), 0.1);
  EXPECT_TRUE(file.value("t.bool").as_bool());
  EXPECT_EQ(file.value("t.string").as_string(), "h\xC3\xA9llo \"q\"\n");
  EXPECT_THAT(file.value("t.strings").as_strings(), ElementsAre("a", "",
                                                                "\xE2\x96\x81"
                                                                "b"));
  EXPECT_THAT(file.value("t.u8s").as_ints(), ElementsAre(0, 255, 7));
  EXPECT_THAT(file.value("t.i32s").as_ints(), ElementsAre(-1, 0, 1));
  EXPECT_THAT(file.value("t.f32s").as_doubles(), ElementsAre(0.5, -0.25));
  EXPECT_EQ(file.value("t.bools").size(), 2u);
  EXPECT_EQ(file.metadata()[0].key(), "general.architecture");
  EXPECT_EQ(file.find_value("t.none"), nullptr);
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(file.value("t.none")); }),
              AllOf(HasSubstr("types.gguf"), HasSubstr("\"t.none\" is missing")));
}

TEST_F(Gguf, ReadsPlainTensorsInPlace) {
  weft::AnyTensor kept;
  {
    const weft::GgufFile file(fixture("types.gguf"));
    kept = file.tensor("F32");
    EXPECT_EQ(kept.bytes().data(), file.tensor("F32").bytes().data());
    EXPECT_THAT(file.tensor("I8").elements<std::int8_t>(), ElementsAre(-3, -2, -1, 0, 1, 2));
    EXPECT_THAT(file.tensor("I32").elements<std::int32_t>(), ElementsAre(-3, -2, -1, 0, 1, 2));
    EXPECT_THAT(file.tensor("I64").elements<std::int64_t>(), ElementsAre(-3, -2, -1, 0, 1, 2));
    EXPECT_THAT(file.tensor("F64").elements<double>(), ElementsAre(-3, -2, -1, 0, 1, 2));
    EXPECT_EQ(static_cast<float>(file.tensor("F16").elements<weft::half>()[5]), 2.f);
    EXPECT_EQ(file.tensor("cube").shape(), (weft::Shape{2, 3, 4}));
    for (const weft::WeightsEntry& entry : file.entries()) EXPECT_EQ(entry.offset % 32, 0u) << entry.name;
  }
  EXPECT_EQ(kept.shape(), (weft::Shape{2, 3}));
  EXPECT_THAT(kept.elements<float>(), ElementsAre(-3, -2, -1, 0, 1, 2));
}

TEST_F(Gguf, ReadsBlockFormatsAsTheReferenceDoes) {
  const weft::GgufFile file(fixture("types.gguf"));
  std::size_t compared = 0;
  for (const weft::WeightsEntry& entry : file.entries()) {
    const weft::detail::GgufTensorType& type = *weft::detail::find_gguf_tensor_type(entry.type);
    if (!file.contains(entry.name + ".values") || !type.dtype) continue;
    const weft::AnyTensor tensor = file.tensor(entry.name);
    const weft::AnyTensor values = file.tensor(entry.name + ".values");
    ASSERT_EQ(tensor.shape(), values.shape()) << entry.name;
    const std::size_t k = tensor.extent(1);
    const std::size_t row_bytes = weft::bytes_of(tensor.dtype(), k);
    std::vector<float> row(k);
    for (std::size_t r = 0; r < tensor.extent(0); ++r) {
      weft::dequantize_row(tensor.dtype(), tensor.bytes().data() + r * row_bytes, k, row.data());
      for (std::size_t i = 0; i < k; ++i)
        ASSERT_EQ(row[i], values.elements<float>()[r * k + i]) << entry.name << " " << r << " " << i;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 12u);
}

TEST_F(Gguf, ListsTypesItDoesNotHaveAndRefusesThem) {
  const weft::GgufFile file(fixture("types.gguf"));
  EXPECT_EQ(file.find("IQ2_XS")->type, "IQ2_XS");
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { static_cast<void>(file.tensor("IQ2_XS")); }),
              AllOf(HasSubstr("types.gguf: tensor IQ2_XS"), HasSubstr("not supported")));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(file.tensor("none")); }),
              HasSubstr("there is no tensor none"));
}

TEST_F(Gguf, SizesOfTypesAreThoseOfTheTypesTheyName) {
  for (const weft::detail::GgufTensorType& type : weft::detail::gguf_tensor_types) {
    if (!type.dtype) continue;
    EXPECT_EQ(weft::block_elements(*type.dtype), type.block_elements) << type.name;
    EXPECT_EQ(weft::bytes_of(*type.dtype, type.block_elements), type.block_bytes) << type.name;
  }
}

TEST_F(Gguf, FollowsTheAlignmentOfTheFile) {
  const weft::GgufFile file(fixture("aligned.gguf"));
  EXPECT_EQ(file.alignment(), 128u);
  for (const weft::WeightsEntry& entry : file.entries()) EXPECT_EQ(entry.offset % 128, 0u) << entry.name;
  EXPECT_THAT(file.tensor("a").elements<float>(), ElementsAre(1, 2, 3));
  EXPECT_THAT(file.tensor("b").elements<float>(), ElementsAre(4));
}

TEST_F(Gguf, CopiesMisalignedTensors) {
  for (std::size_t shift = 0; shift < 4; ++shift) {
    GgufBytes file;
    file.value("general.alignment", 4, u32(1)).tensor("t", {2}, f32, shift);
    const weft::GgufFile opened = open(file.with(std::string(shift, '\7') + raw(1.5f) + raw(-2.f), 1));
    EXPECT_THAT(opened.tensor("t").elements<float>(), ElementsAre(1.5f, -2.f)) << opened.find("t")->offset;
  }
}

TEST_F(Gguf, ReadsVersion2AndFilesWithoutTensors) {
  GgufBytes file;
  file.version = 2;
  EXPECT_TRUE(open(file.with()).entries().empty());
  file.value("a", 8, text("b")).tensor("t", {2, 1}, f32, 0);
  const weft::GgufFile opened = open(file.with(u64(0)));
  EXPECT_EQ(opened.version(), 2u);
  EXPECT_EQ(opened.value("a").as_string(), "b");
  EXPECT_EQ(opened.tensor("t").shape(), (weft::Shape{1, 2}));
  EXPECT_EQ(open(GgufBytes().tensor("none", {0, 3}, f32, 0).tensor("one", {}, f32, 0).with(u32(0))).find("none")->bytes,
            0u);
}

TEST_F(Gguf, RefusesOtherFilesAndVersions) {
  EXPECT_THAT(error(""), AllOf(HasSubstr("m.gguf"), HasSubstr("empty")));
  EXPECT_THAT(error("GGU"), HasSubstr("byte 0: the magic takes 4 bytes, the file has 3 left"));
  GgufBytes file;
  file.magic = "ggml";
  EXPECT_THAT(error(file.with()), HasSubstr("expected the characters GGUF"));
  file.magic = "GGUF";
  file.version = 1;
  EXPECT_THAT(refusal(file.with()), HasSubstr("version 1 is not supported"));
  file.version = 0x03000000;
  EXPECT_THAT(refusal(file.with()), HasSubstr("big-endian"));
  for (const std::uint32_t version : {0u, 4u, ~0u}) {
    file.version = version;
    EXPECT_THAT(error(file.with()), HasSubstr("expected 2 or 3"));
  }
}

TEST_F(Gguf, RefusesTruncatedFiles) {
  const std::string good = GgufBytes()
                               .value("general.alignment", 4, u32(32))
                               .value("a", 9, u32(8) + u64(2) + text("b") + text("c"))
                               .tensor("t", {2}, f32, 0)
                               .with(u64(0));
  EXPECT_TRUE(open(good).contains("t"));
  for (std::size_t size = 1; size < good.size(); ++size)
    EXPECT_THAT(error(good.substr(0, size)), HasSubstr("m.gguf: ")) << size;
}

TEST_F(Gguf, RefusesCountsBeyondTheFile) {
  GgufBytes file;
  file.value("a", 0, "\1");
  for (const std::uint64_t count : {std::uint64_t{2}, std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
    file.value_count = count;
    EXPECT_THAT(error(file.with()), HasSubstr("a metadata key takes 8 bytes, the file has 0 left"));
  }
  file.value_count = 1;
  file.tensor_count = ~std::uint64_t{0};
  EXPECT_THAT(error(file.with()), HasSubstr("a tensor name takes 8 bytes, the file has 0 left"));
}

TEST_F(Gguf, RefusesDuplicateEmptyAndMalformedNames) {
  EXPECT_THAT(error(GgufBytes().value("a", 0, "\1").value("b", 0, "\1").value("a", 0, "\2").with()),
              HasSubstr("m.gguf: a (byte 65): duplicate key"));
  EXPECT_THAT(error(GgufBytes().value("", 0, "\1").with()), HasSubstr("byte 24: the metadata key is empty"));
  EXPECT_THAT(error(GgufBytes().value("\xFF", 0, "\1").with()), HasSubstr("the metadata key is not UTF-8"));
  EXPECT_THAT(error(GgufBytes().tensor("\xFF", {1}, f32, 0).with(u32(0))), HasSubstr("the tensor name is not UTF-8"));
  EXPECT_THAT(error(GgufBytes().tensor("t", {1}, f32, 0).tensor("t", {1}, f32, 32).with(std::string(36, '\0'))),
              HasSubstr("two tensors are named t"));
}

TEST_F(Gguf, RefusesWrongAlignments) {
  const auto with_alignment = [&](std::uint32_t type, const std::string& value) {
    return error(
        GgufBytes().value("general.alignment", type, value).tensor("t", {1}, f32, 0).with(std::string(64, '\0')));
  };
  EXPECT_THAT(with_alignment(4, u32(0)), HasSubstr("general.alignment (byte 53): expected a power of two, found 0"));
  EXPECT_THAT(with_alignment(4, u32(33)), HasSubstr("expected a power of two, found 33"));
  EXPECT_THAT(with_alignment(5, raw(-32)), HasSubstr("expected a count, found -32"));
  EXPECT_THAT(with_alignment(8, text("32")), HasSubstr("expected a whole number, found a string"));
  EXPECT_THAT(with_alignment(10, u64(std::uint64_t{1} << 62)), HasSubstr("expected a power of two"));
  EXPECT_THAT(with_alignment(4, u32(std::uint32_t{1} << 31)), HasSubstr("are outside the 0 bytes of tensor data"));
}

TEST_F(Gguf, RefusesWrongShapesAndTypes) {
  const auto one = [&](std::initializer_list<std::uint64_t> extents, std::uint32_t type, std::uint64_t offset = 0) {
    return error(GgufBytes().tensor("t", extents, type, offset).with(std::string(34, '\0')));
  };
  EXPECT_THAT(one({1, 1, 1, 1, 1}, f32), HasSubstr("tensor t (byte 24): found 5 dimensions, expected at most 4"));
  EXPECT_THAT(one({1}, 4), HasSubstr("found the element type 4, which is none"));
  EXPECT_THAT(one({1}, 43), HasSubstr("found the element type 43"));
  EXPECT_THAT(one({1}, ~0u), HasSubstr("found the element type 4294967295"));
  EXPECT_THAT(one({33}, q8_0), HasSubstr("rows of 33 elements do not fill the blocks of 32 of Q8_0"));
  EXPECT_THAT(one({}, q8_0), HasSubstr("rows of 1 elements do not fill the blocks of 32 of Q8_0"));
  // 2^62 * 4 bytes is 0 modulo 2^64, and so are the products of the next.
  EXPECT_THAT(one({std::uint64_t{1} << 62}, f32), HasSubstr("the number of bytes overflows"));
  EXPECT_THAT(one({std::uint64_t{1} << 32, std::uint64_t{1} << 32}, i8), HasSubstr("overflows"));
  EXPECT_THAT(one({std::uint64_t{1} << 32, std::uint64_t{1} << 32, 0}, i8), HasSubstr("overflows"));
  EXPECT_THAT(one({~std::uint64_t{0}}, f32), HasSubstr("overflows"));
  GgufBytes many;
  many.head = text("t") + u32(~0u);
  many.tensor_count = 1;
  EXPECT_THAT(error(many.with()), HasSubstr("found 4294967295 dimensions"));
}

TEST_F(Gguf, RefusesOffsetsOutsideTheFileAndOverlaps) {
  const auto two = [&](std::uint64_t a, std::uint64_t b, std::size_t bytes) {
    return GgufBytes().tensor("a", {10}, f32, a).tensor("b", {8}, f32, b).with(std::string(bytes, '\0'));
  };
  EXPECT_EQ(open(two(0, 64, 96)).entries().size(), 2u);
  EXPECT_EQ(open(two(32, 0, 72)).entries().size(), 2u);
  EXPECT_EQ(open(two(64, 0, 200)).entries().size(), 2u);
  EXPECT_THAT(error(two(0, 64, 95)), HasSubstr("tensor b: 32 bytes at offset 64 are outside the 95 bytes"));
  EXPECT_THAT(error(two(0, 1 << 20, 96)), HasSubstr("tensor b: 32 bytes at offset 1048576 are outside"));
  EXPECT_THAT(error(two(0, ~std::uint64_t{31}, 96)), HasSubstr("are outside the 96 bytes"));
  EXPECT_THAT(error(two(0, 65, 97)), HasSubstr("the offset 65 is not a multiple of the alignment 32"));
  EXPECT_THAT(error(two(0, 32, 64)), AllOf(HasSubstr("tensor b"), HasSubstr("overlaps the tensor a")));
  EXPECT_THAT(error(two(0, 0, 64)), HasSubstr("overlaps"));
}

TEST_F(Gguf, SurvivesRandomChanges) {
  const std::string good = GgufBytes()
                               .value("general.architecture", 8, text("llama"))
                               .value("a", 9, u32(8) + u64(2) + text("b") + text("c"))
                               .value("f", 12, raw(0.5))
                               .tensor("t", {2, 2}, f32, 0)
                               .tensor("u", {32}, q8_0, 32)
                               .with(std::string(66, '\1'));
  std::mt19937 random(29);
  std::size_t accepted = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = good;
    for (int i = 0; i <= round % 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random() % 256);
    try {
      const weft::GgufFile file = open(bytes);
      for (const weft::WeightsEntry& e : file.entries())
        accepted += file.tensor(e.name).bytes().size() == e.bytes ? 1 : 0;
      for (const weft::GgufValue& value : file.metadata())
        if (value.is_array()) value.for_each([](const weft::GgufValue&) {});
    } catch (const weft::Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("m.gguf"));
    }
  }
  EXPECT_GT(accepted, 5u);
}

}  // namespace
