#include <weft/formats/safetensors.hpp>

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
#include <utility>
#include <vector>

#include <weft/core/half.hpp>

#include "temporary_directory.hpp"

namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using weft_tests::message_of;

std::string with_length(std::uint64_t length, std::string_view rest) {
  std::string file(sizeof length, '\0');
  std::memcpy(file.data(), &length, sizeof length);
  return file.append(rest);
}
std::string with_header(std::string_view header, std::string_view data) {
  return with_length(header.size(), std::string(header).append(data));
}
std::string entry(std::string_view name, std::string_view type, std::string_view shape, std::string_view offsets) {
  return weft::detail::concat("\"", name, "\":{\"dtype\":\"", type, "\",\"shape\":", shape,
                              ",\"data_offsets\":", offsets, "}");
}
// A file of one tensor "t".
std::string one(std::string_view type, std::string_view shape, std::string_view offsets, std::size_t bytes) {
  return with_header("{" + entry("t", type, shape, offsets) + "}", std::string(bytes, '\1'));
}

template <class T>
weft::AnyTensor tensor(const weft::Shape& shape, const std::vector<T>& values) {
  return weft::AnyTensor::make(weft::dtype_of<T>, shape, [&](std::span<std::byte> out) {
    const auto bytes = std::as_bytes(std::span(values));
    std::copy(bytes.begin(), bytes.end(), out.begin());
  });
}

class Safetensors : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;

  weft::SafetensorsFile open(std::string_view bytes) {
    return weft::SafetensorsFile(directory.write("m.safetensors", bytes));
  }
  std::string error(std::string_view bytes) {
    return message_of<weft::FormatError>([&] { open(bytes); });
  }
};

TEST_F(Safetensors, ReadsWhatItWrites) {
  const auto path = directory.path() / "w.safetensors";
  const std::vector<std::pair<std::string, weft::AnyTensor>> tensors{
      {"f32", tensor<float>({2, 2}, {1, 2, 3, -4})},
      {"scalar", tensor<double>({}, {0.5})},
      {"bf16 \"q\\\" \xEA\xB0\x80\n",
       tensor<weft::bfloat16>({3}, {weft::bfloat16(1), weft::bfloat16(2), weft::bfloat16(3)})},
      {"f16", tensor<weft::half>({1}, {weft::half(0.5f)})},
      {"i8", tensor<std::int8_t>({3}, {-1, 0, 1})},
      {"u8", tensor<std::uint8_t>({1}, {255})},
      {"i32", tensor<std::int32_t>({1}, {-5})},
      {"i64", tensor<std::int64_t>({1}, {-6})},
      {"empty", tensor<float>({0, 7}, {})}};
  weft::write_safetensors(path, tensors, {{"format", "pt"}, {"note", "\"x\""}});
  const weft::SafetensorsFile file(path);
  EXPECT_THAT(file.metadata(), ElementsAre(std::pair("format", "pt"), std::pair("note", "\"x\"")));
  ASSERT_EQ(file.entries().size(), tensors.size());
  for (const auto& [name, written] : tensors) {
    const weft::AnyTensor read = file.tensor(name);
    EXPECT_EQ(read.dtype(), written.dtype()) << name;
    EXPECT_EQ(read.shape(), written.shape()) << name;
    EXPECT_TRUE(std::equal(read.bytes().begin(), read.bytes().end(), written.bytes().begin(), written.bytes().end()))
        << name;
    EXPECT_EQ(file.find(name)->offset % weft::detail::dtype_table[static_cast<std::size_t>(read.dtype())].block_bytes,
              0u);
  }
  EXPECT_EQ(file.tensor("f32").elements<float>()[3], -4.0f);
  EXPECT_FALSE(file.contains("f33"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(file.tensor("f33")); }),
              AllOf(HasSubstr("w.safetensors"), HasSubstr("there is no tensor f33")));
}

// Bytes that the reference implementation (safetensors 0.8 for Python) wrote for the same tensors.
TEST_F(Safetensors, WritesTheBytesOfTheReference) {
  const auto path = directory.path() / "w.safetensors";
  const std::vector<std::pair<std::string, weft::AnyTensor>> tensors{{"b", tensor<std::uint8_t>({1}, {7})},
                                                                     {"z", tensor<weft::half>({1}, {weft::half(1)})},
                                                                     {"a", tensor<weft::half>({1, 1}, {weft::half(2)})},
                                                                     {"i", tensor<std::int64_t>({1}, {1})}};
  weft::write_safetensors(path, tensors, {{"k", "v"}});
  const std::string header =
      R"({"__metadata__":{"k":"v"},"i":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
      R"("a":{"dtype":"F16","shape":[1,1],"data_offsets":[8,10]},"z":{"dtype":"F16","shape":[1],"data_offsets":[10,12]},)"
      R"("b":{"dtype":"U8","shape":[1],"data_offsets":[12,13]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(weft_tests::read_file(path),
            with_header(padded, std::string_view("\1\0\0\0\0\0\0\0\x00\x40\x00\x3C\7", 13)));
}

TEST_F(Safetensors, UsesTensorsInPlaceAndKeepsThemAlive) {
  const auto path = directory.path() / "w.safetensors";
  const std::vector<std::pair<std::string, weft::AnyTensor>> tensors{{"t", tensor<double>({2}, {1.5, 2.5})}};
  weft::write_safetensors(path, tensors);
  weft::AnyTensor kept;
  {
    const weft::SafetensorsFile file(path);
    kept = file.tensor("t");
    EXPECT_EQ(kept.bytes().data(), file.tensor("t").bytes().data());
  }
  std::filesystem::remove(path);
  EXPECT_THAT(kept.elements<double>(), ElementsAre(1.5, 2.5));
}

TEST_F(Safetensors, CopiesMisalignedTensors) {
  for (std::size_t shift = 0; shift < 8; ++shift) {
    std::string header = "{" + entry("t", "F64", "[2]", "[0,16]") + "}";
    header.append((8 - header.size() % 8) % 8 + shift, ' ');
    const double values[] = {1.5, -2.5};
    std::string data(sizeof values, '\0');
    std::memcpy(data.data(), values, sizeof values);
    const weft::SafetensorsFile file = open(with_header(header, data));
    EXPECT_EQ(file.find("t")->offset % 8, shift);
    const weft::AnyTensor tensor = file.tensor("t");
    EXPECT_THAT(tensor.elements<double>(), ElementsAre(1.5, -2.5));
  }
}

TEST_F(Safetensors, ReadsEmptyFilesOfTensors) {
  EXPECT_TRUE(open(with_header("{}", "")).entries().empty());
  EXPECT_TRUE(open(with_header("{}      ", "")).entries().empty());
  const weft::SafetensorsFile file = open(one("F32", "[3,0]", "[0,0]", 0));
  EXPECT_EQ(file.tensor("t").size(), 0u);
}

TEST_F(Safetensors, ListsTypesItDoesNotHaveAndRefusesThem) {
  for (const char* type : {"F8_E8M0", "I16", "U16", "U32", "U64", "C64"}) {
    const std::size_t bytes = weft::detail::find_safetensors_type(type)->bits / 8 * 4;
    const weft::SafetensorsFile file = open(one(type, "[4]", "[0," + std::to_string(bytes) + "]", bytes));
    EXPECT_EQ(file.entries()[0].type, type);
    EXPECT_THAT(message_of<weft::UnsupportedError>([&] { static_cast<void>(file.tensor("t")); }),
                AllOf(HasSubstr("m.safetensors"), HasSubstr("tensor t"), HasSubstr(type)));
  }
  EXPECT_EQ(open(one("F4", "[4]", "[0,2]", 2)).entries()[0].bytes, 2u);
  EXPECT_EQ(open(one("F6_E2M3", "[4]", "[0,3]", 3)).entries()[0].bytes, 3u);
  EXPECT_THAT(error(one("F4", "[3]", "[0,1]", 1)), HasSubstr("shape (3) of F4"));
}

TEST_F(Safetensors, ReadsNumbersOfEightBits) {
  const weft::AnyTensor e4m3 = open(one("F8_E4M3", "[4]", "[0,4]", 4)).tensor("t");
  EXPECT_EQ(e4m3.elements<weft::float8_e4m3>().size(), 4u);
  const weft::AnyTensor e5m2 = open(one("F8_E5M2", "[2,2]", "[0,4]", 4)).tensor("t");
  EXPECT_EQ(e5m2.elements<weft::float8_e5m2>().size(), 4u);
}

TEST_F(Safetensors, RefusesMoreDimensionsThanTensorsHave) {
  const weft::SafetensorsFile file = open(one("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]", 1));
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { static_cast<void>(file.tensor("t")); }),
              HasSubstr("9 dimensions"));
}

TEST_F(Safetensors, RefusesBooleansThatAreNone) {
  const weft::SafetensorsFile good = open(one("BOOL", "[2]", "[0,2]", 2));
  EXPECT_TRUE(good.tensor("t").elements<bool>()[1]);
  const weft::SafetensorsFile bad = open(with_header("{" + entry("t", "BOOL", "[2]", "[0,2]") + "}", "\1\2"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(bad.tensor("t")); }),
              AllOf(HasSubstr("tensor t: byte " + std::to_string(bad.find("t")->offset + 1)), HasSubstr("found 2")));
}

TEST_F(Safetensors, RefusesMissingEmptyAndTruncatedFiles) {
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::SafetensorsFile(directory.path() / "none.safetensors"); }),
              AllOf(HasSubstr("none.safetensors"), HasSubstr("cannot be opened")));
  EXPECT_THAT(error(""), AllOf(HasSubstr("m.safetensors"), HasSubstr("empty")));
  EXPECT_THAT(error("1234567"), HasSubstr("truncated: 7 bytes"));
  const std::string good = one("F32", "[2]", "[0,8]", 8);
  for (std::size_t size = 1; size < good.size(); ++size)
    EXPECT_THAT(error(good.substr(0, size)), HasSubstr("m.safetensors: ")) << size;
  EXPECT_THAT(error(good.substr(0, good.size() - 1)), HasSubstr("bytes 0 to 8 are outside the 7 bytes"));
  EXPECT_THAT(error(good + "x"), HasSubstr("the tensors end at byte"));
}

TEST_F(Safetensors, RefusesLyingHeaderLengths) {
  EXPECT_THAT(error(with_length(3, "{}")), HasSubstr("byte 0: the header length says 3 bytes, the file has 2"));
  EXPECT_THAT(error(with_length(~std::uint64_t{0}, "{}")), HasSubstr("18446744073709551615"));
  EXPECT_THAT(error(with_length(std::uint64_t{1} << 63, "{}")), HasSubstr("byte 0: the header length"));
  EXPECT_THAT(error(with_length(0, "{}")), HasSubstr("byte 8: the header does not start with '{'"));
  EXPECT_THAT(error(with_length(1, "{}")), HasSubstr("not valid JSON"));
  EXPECT_THAT(error(with_length(8, std::string(8, '\0'))), HasSubstr("does not start with '{'"));
}

TEST_F(Safetensors, RefusesHeadersPastTheLimitOfTheFormat) {
  const auto path = directory.write("m.safetensors", with_length(100'000'001, "{"));
  std::filesystem::resize_file(path, 100'000'100);  // a hole: no disk is used
  EXPECT_THAT(message_of<weft::FormatError>([&] { weft::SafetensorsFile file(path); }), HasSubstr("at most 100000000"));
}

TEST_F(Safetensors, RefusesHeadersThatAreNoObjectOfTensors) {
  EXPECT_THAT(error(with_header("[]", "")), HasSubstr("does not start with '{'"));
  EXPECT_THAT(error(with_header(" {}", "")), HasSubstr("does not start with '{'"));
  EXPECT_THAT(error(with_header("{}x", "")), HasSubstr("not valid JSON"));
  EXPECT_THAT(error(with_header("{\"t\":1}", "")), HasSubstr("t (byte 15): expected an object, found an integer"));
  EXPECT_THAT(error(with_header("{\"t\":{}}", "")), HasSubstr("the key \"dtype\" is missing"));
  EXPECT_THAT(error(with_header(R"({"t":{"dtype":"U8","shape":[0]}})", "")), HasSubstr("\"data_offsets\" is missing"));
  EXPECT_THAT(error(with_header(R"({"t":{"dtype":"U8","data_offsets":[0,0]}})", "")),
              HasSubstr("\"shape\" is missing"));
  EXPECT_THAT(error(with_header(R"({"t":{"dtype":8,"shape":[0],"data_offsets":[0,0]}})", "")), HasSubstr("t.dtype"));
  EXPECT_TRUE(open(with_header(R"({"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"more":1}})", "")).contains("t"));
  EXPECT_THAT(error(with_header(R"({"__metadata__":{"a":1}})", "")), HasSubstr("__metadata__.a"));
  EXPECT_THAT(error(with_header(R"({"__metadata__":[]})", "")), HasSubstr("expected an object, found an array"));
  EXPECT_THAT(error(one("F33", "[1]", "[0,4]", 4)),
              AllOf(HasSubstr("t.dtype"), HasSubstr("unknown element type \"F33\"")));
  EXPECT_THAT(error(one("U8", "[[1]]", "[0,1]", 1)), HasSubstr("expected an integer, found an array"));
  EXPECT_THAT(error(one("U8", "[[[[1]]]]", "[0,1]", 1)), HasSubstr("nested deeper"));
}

TEST_F(Safetensors, RefusesWrongOffsets) {
  EXPECT_THAT(error(one("U8", "[4]", "[0,4]", 3)), HasSubstr("bytes 0 to 4 are outside the 3 bytes of tensor data"));
  EXPECT_THAT(error(one("U8", "[4]", "[4,0]", 4)), HasSubstr("bytes 4 to 0 are outside"));
  EXPECT_THAT(error(one("U8", "[4]", "[4,8]", 4)), HasSubstr("bytes 4 to 8 are outside"));
  EXPECT_THAT(error(one("U8", "[4]", "[-4,0]", 4)), HasSubstr("expected a count, found -4"));
  EXPECT_THAT(error(one("U8", "[4]", "[0,9223372036854775807]", 4)), HasSubstr("are outside the 4 bytes"));
  EXPECT_THAT(error(one("U8", "[4]", "[0,18446744073709551620]", 4)), HasSubstr("expected an integer"));
  EXPECT_THAT(error(one("U8", "[4]", "[0,4.0]", 4)), HasSubstr("expected an integer, found a number"));
  EXPECT_THAT(error(one("U8", "[4]", "[0]", 4)), HasSubstr("expected 2 offsets, found 1"));
  EXPECT_THAT(error(one("U8", "[4]", "[0,2,4]", 4)), HasSubstr("expected 2 offsets, found 3"));
}

TEST_F(Safetensors, RefusesShapesThatContradictTheOffsets) {
  EXPECT_THAT(error(one("F32", "[3]", "[0,8]", 8)),
              HasSubstr("t (byte 14): shape (3) of F32 takes 12 bytes, the offsets span 8"));
  EXPECT_THAT(error(one("F32", "[]", "[0,8]", 8)), HasSubstr("shape () of F32 takes 4 bytes"));
  EXPECT_THAT(error(one("F32", "[-1]", "[0,4]", 4)), HasSubstr("expected a count, found -1"));
  EXPECT_THAT(error(one("F32", "[1.0]", "[0,4]", 4)), HasSubstr("expected an integer, found a number"));
  EXPECT_THAT(error(one("F32", "[\"1\"]", "[0,4]", 4)), HasSubstr("expected an integer, found a string"));
  EXPECT_THAT(error(one("F32", "[100000000000000000000]", "[0,4]", 4)), HasSubstr("expected an integer"));
  // 2^62 * 4 bytes is 0 modulo 2^64, and so is the product of the next.
  EXPECT_THAT(error(one("F32", "[4611686018427387904]", "[0,0]", 0)), HasSubstr("overflows"));
  EXPECT_THAT(error(one("U8", "[4294967296,4294967296]", "[0,0]", 0)), HasSubstr("overflows"));
  EXPECT_THAT(error(one("U8", "[4294967296,4294967296,0]", "[0,0]", 0)), HasSubstr("overflows"));
}

TEST_F(Safetensors, RefusesOverlapsAndGaps) {
  const auto two = [&](std::string_view a, std::string_view b, std::size_t bytes) {
    return with_header("{" + entry("a", "U8", "[4]", a) + "," + entry("b", "U8", "[4]", b) + "}",
                       std::string(bytes, '\0'));
  };
  EXPECT_EQ(open(two("[0,4]", "[4,8]", 8)).entries().size(), 2u);
  EXPECT_EQ(open(two("[4,8]", "[0,4]", 8)).find("a")->bytes, 4u);
  EXPECT_THAT(error(two("[0,4]", "[3,7]", 7)), AllOf(HasSubstr("tensor b: byte"), HasSubstr("overlaps")));
  EXPECT_THAT(error(two("[0,4]", "[0,4]", 4)), AllOf(HasSubstr("tensor "), HasSubstr("overlaps")));
  EXPECT_THAT(error(two("[0,4]", "[5,9]", 9)), AllOf(HasSubstr("tensor b: byte"), HasSubstr("gap")));
  EXPECT_THAT(error(two("[1,5]", "[5,9]", 9)), AllOf(HasSubstr("tensor a: byte"), HasSubstr("gap")));
  EXPECT_THAT(error(two("[0,4]", "[4,8]", 9)), HasSubstr("the tensors end at byte"));
}

TEST_F(Safetensors, RefusesDuplicateAndMalformedNames) {
  EXPECT_THAT(
      error(with_header("{" + entry("t", "U8", "[1]", "[0,1]") + "," + entry("t", "U8", "[1]", "[1,2]") + "}", "ab")),
      AllOf(HasSubstr("m.safetensors: t (byte "), HasSubstr("duplicate key \"t\"")));
  EXPECT_THAT(error(with_header(R"({"t":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", "a")),
              HasSubstr("duplicate key \"dtype\""));
  EXPECT_THAT(error(with_header("{" + entry("\xFF", "U8", "[1]", "[0,1]") + "}", "a")), HasSubstr("UTF-8"));
  EXPECT_THAT(error(with_header("{" + entry("\\ud800", "U8", "[1]", "[0,1]") + "}", "a")), HasSubstr("not valid JSON"));
  EXPECT_EQ(open(with_header("{" + entry("\\u0000", "U8", "[1]", "[0,1]") + "}", "a")).entries()[0].name,
            std::string(1, '\0'));
  EXPECT_TRUE(open(with_header("{" + entry("", "U8", "[1]", "[0,1]") + "}", "a")).contains(""));
}

TEST_F(Safetensors, RefusesToWriteWhatCannotBeRead) {
  using Tensors = std::vector<std::pair<std::string, weft::AnyTensor>>;
  const weft::AnyTensor value = tensor<float>({1}, {1});
  const auto write = [&](const Tensors& tensors, const char* name = "w.safetensors") {
    return message_of<weft::FormatError>([&] { weft::write_safetensors(directory.path() / name, tensors); });
  };
  EXPECT_THAT(write({{"a", value}, {"a", value}}), HasSubstr("two tensors are named a"));
  EXPECT_THAT(write({{"\xFF", value}}), HasSubstr("not UTF-8"));
  EXPECT_THAT(write({{"__metadata__", value}}), HasSubstr("reserved"));
  EXPECT_THAT(write({{"a", value}}, "no/such/directory"), HasSubstr("cannot be written"));
}

TEST_F(Safetensors, WritesInThePlaceOfTheFileThatTensorsComeFrom) {
  const std::filesystem::path path = directory.path() / "w.safetensors";
  const std::vector<float> values(100000, 3.f);
  weft::write_safetensors(path, std::vector<std::pair<std::string, weft::AnyTensor>>{
                                    {"a", tensor<float>({100000}, values)}, {"b", tensor<float>({1}, {2})}});
  const weft::SafetensorsFile before(path);
  weft::write_safetensors(
      path, std::vector<std::pair<std::string, weft::AnyTensor>>{{"a", before.tensor("a")}, {"c", before.tensor("b")}});
  const weft::SafetensorsFile after(path);
  EXPECT_TRUE(std::ranges::equal(after.tensor("a").elements<float>(), values));
  EXPECT_THAT(after.tensor("c").elements<float>(), ElementsAre(2));
  const auto fail = [](const weft::WriteProgress&) { throw weft::Cancelled("enough"); };
  const std::vector<weft::TensorToWrite> one{{"a", weft::DType::f32, {100000}, [&] { return after.tensor("a"); }}};
  EXPECT_THROW(weft::write_safetensors(path, one, {}, fail), weft::Cancelled);
  EXPECT_TRUE(weft::SafetensorsFile(path).contains("c"));
}

TEST_F(Safetensors, MakesTensorsInTheirTurnAndReports) {
  std::vector<std::string> events;
  const auto make = [&](std::string name, std::size_t size, std::size_t made) {
    return weft::TensorToWrite{name, weft::DType::u8, {size}, [&events, name, made] {
                                 events.push_back("make " + name);
                                 return weft::AnyTensor::make(weft::DType::u8, {made}, [](std::span<std::byte> out) {
                                   std::fill(out.begin(), out.end(), std::byte{7});
                                 });
                               }};
  };
  const std::filesystem::path path = directory.path() / "w.safetensors";
  weft::write_safetensors(
      path, std::vector<weft::TensorToWrite>{make("b", 2, 2), make("a", 3, 3)}, {{"format", "pt"}},
      [&](const weft::WriteProgress& progress) {
        events.push_back(weft::detail::concat(progress.tensor, " ", progress.bytes_done, "/", progress.bytes_total));
      });
  EXPECT_EQ(events, (std::vector<std::string>{"make a", "a 3/5", "make b", "b 5/5"}));
  const weft::SafetensorsFile file(path);
  EXPECT_EQ(file.tensor("b").size(), 2u);
  EXPECT_EQ(file.metadata(), (weft::SafetensorsFile::Metadata{{"format", "pt"}}));
  EXPECT_THAT(message_of<weft::ShapeError>(
                  [&] { weft::write_safetensors(path, std::vector<weft::TensorToWrite>{make("t", 2, 3)}); }),
              HasSubstr("tensor t was made as u8 of shape (3), announced were rows of u8 of shape (2)"));
}

TEST_F(Safetensors, SurvivesRandomChanges) {
  const std::string good = with_header("{\"__metadata__\":{\"a\":\"b\"}," + entry("a", "F32", "[2,1]", "[0,8]") + "," +
                                           entry("b", "BOOL", "[3]", "[8,11]") + "}",
                                       std::string(11, '\1'));
  std::mt19937 random(29);
  std::size_t accepted = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = good;
    for (int i = 0; i <= round % 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random() % 128);
    try {
      const weft::SafetensorsFile file = open(bytes);
      for (const weft::WeightsEntry& e : file.entries())
        accepted += file.tensor(e.name).bytes().size() == e.bytes ? 1 : 0;
    } catch (const weft::Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("m.safetensors"));
    }
  }
  EXPECT_GT(accepted, 5u);
}

}  // namespace
