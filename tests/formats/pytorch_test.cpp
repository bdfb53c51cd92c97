#include <weft/formats/pytorch.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <weft/formats/safetensors.hpp>

#include "pickle_writer.hpp"
#include "temporary_directory.hpp"

namespace {

using namespace weft_tests::pickle;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using weft_tests::make_zip;
using weft_tests::message_of;
using Files = std::vector<std::pair<std::string, std::string>>;

std::filesystem::path fixture(std::string_view name) {
  return std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "pytorch" / name;
}

/// The bytes of floats.
std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

class Pytorch : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;

  weft::PytorchFile open(std::string_view bytes) { return weft::PytorchFile(directory.write("m.pt", bytes)); }
  weft::PytorchFile open(const Files& files, const weft_tests::ZipOptions& options = {.multiple = 64}) {
    return open(make_zip(files, options).bytes);
  }
  template <class E = weft::FormatError>
  std::string error(const Files& files) {
    return message_of<E>([&] { open(files); });
  }
  /// A file of one tensor "t" in six floats.
  static Files one(std::int64_t offset, const std::vector<std::int64_t>& extents,
                   const std::vector<std::int64_t>& strides) {
    return archive(dict({{"t", tensor(storage("FloatStorage", "0", 6), offset, extents, strides)}}),
                   {{"0", floats({0, 1, 2, 3, 4, 5})}});
  }
};

TEST_F(Pytorch, ReadsWhatPytorchWrote) {
  const weft::SafetensorsFile expected(fixture("types.safetensors"));
  for (const char* name : {"types.pt", "protocol4.pt"}) {
    const weft::PytorchFile file(fixture(name));
    ASSERT_EQ(file.entries().size(), expected.entries().size()) << name;
    for (const weft::WeightsEntry& entry : expected.entries()) {
      ASSERT_TRUE(file.contains(entry.name)) << entry.name;
      const weft::AnyTensor a = file.tensor(entry.name);
      const weft::AnyTensor b = expected.tensor(entry.name);
      EXPECT_EQ(a.dtype(), b.dtype()) << entry.name;
      EXPECT_EQ(a.shape(), b.shape()) << entry.name;
      EXPECT_TRUE(std::equal(a.bytes().begin(), a.bytes().end(), b.bytes().begin(), b.bytes().end())) << entry.name;
      EXPECT_EQ(file.find(entry.name)->bytes, entry.bytes) << entry.name;
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.bytes().data()) % (a.size() ? a.bytes().size() / a.size() : 1), 0u);
    }
  }
}

TEST_F(Pytorch, SharesStoragesInPlace) {
  const weft::PytorchFile file(fixture("types.pt"));
  EXPECT_EQ(file.tensor("f32").bytes().data(), file.tensor("f32").bytes().data());
  EXPECT_EQ(file.tensor("rows").bytes().data(), file.tensor("f32").bytes().data() + 6 * sizeof(float));
  EXPECT_EQ(file.find("odd-offset")->offset % 64, 2u) << "the second of the elements";
  EXPECT_NE(file.tensor("columns").bytes().data(), file.tensor("columns").bytes().data());
  EXPECT_EQ(file.find("rows")->offset, file.find("f32")->offset + 6 * sizeof(float));
}

TEST_F(Pytorch, TensorsOutliveIt) {
  const weft::AnyTensor kept = open(one(0, {6}, {1})).tensor("t");
  std::filesystem::remove(directory.path() / "m.pt");
  EXPECT_THAT(kept.elements<float>(), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST_F(Pytorch, FindsTheTensorsOfATrainingCheckpoint) {
  for (const char* name : {"state-dict.pt", "model.pt"}) {
    const weft::PytorchFile file(fixture(name));
    ASSERT_EQ(file.entries().size(), 2u) << name;
    EXPECT_THAT(file.tensor("weight").elements<float>(), ElementsAre(0, 1, 2, 3, 4, 5));
    EXPECT_THAT(file.tensor("bias").elements<float>(), ElementsAre(0.5f, -0.5f));
  }
}

TEST_F(Pytorch, PassesOverNumbersAndTexts) {
  const weft::PytorchFile file =
      open(archive("}(" + text("n") + "N" + text("i") + "K\1" + text("s") + text("x") + text("b") + "\x88" +
                       text("model") + tensor(storage("FloatStorage", "0", 1), 0, {}, {}) + "u",
                   {{"0", floats({7})}}));
  ASSERT_EQ(file.entries().size(), 1u);
  EXPECT_THAT(file.tensor("model").elements<float>(), ElementsAre(7));
}

TEST_F(Pytorch, CopiesViews) {
  EXPECT_THAT(open(one(0, {3, 2}, {1, 3})).tensor("t").elements<float>(), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(open(one(1, {2, 2}, {3, 1})).tensor("t").elements<float>(), ElementsAre(1, 2, 4, 5));
  EXPECT_THAT(open(one(5, {2, 2}, {0, 0})).tensor("t").elements<float>(), ElementsAre(5, 5, 5, 5));
  EXPECT_THAT(open(one(0, {3}, {2})).tensor("t").elements<float>(), ElementsAre(0, 2, 4));
  EXPECT_THAT(open(one(2, {}, {})).tensor("t").elements<float>(), ElementsAre(2));
  // Strides of single elements do not matter.
  EXPECT_THAT(open(one(4, {1, 2, 1}, {INT64_MAX, 1, 77})).tensor("t").elements<float>(), ElementsAre(4, 5));
  EXPECT_THAT(open(one(0, {1, 2}, {INT64_MAX, 3})).tensor("t").elements<float>(), ElementsAre(0, 3));
  EXPECT_EQ(open(one(6, {0, 3}, {1, 7})).tensor("t").size(), 0u);
  EXPECT_EQ(open(one(6, {0}, {1})).tensor("t").size(), 0u);
}

TEST_F(Pytorch, CopiesWhatIsNotAligned) {
  for (std::size_t shift = 0; shift < 4; ++shift) {
    Files files = one(0, {6}, {1});
    files[0].first = std::string(shift, 'm') + "/data.pkl";
    files[2].first = std::string(shift, 'm') + "/data/0";
    const weft::PytorchFile file = open(files, {.multiple = 1});
    const weft::AnyTensor tensor = file.tensor("t");
    EXPECT_THAT(tensor.elements<float>(), ElementsAre(0, 1, 2, 3, 4, 5));
    file.release(tensor);
    EXPECT_THAT(tensor.elements<float>(), ElementsAre(0, 1, 2, 3, 4, 5));
  }
}

TEST_F(Pytorch, RefusesOldFormatsByName) {
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { weft::PytorchFile file(fixture("before-1.6.pt")); }),
              AllOf(HasSubstr("before-1.6.pt: byte 0"), HasSubstr("saved by PyTorch before 1.6")));
  EXPECT_THAT(message_of<weft::FormatError>([&] { open("version https://git-lfs.github.com/spec/v1\n"); }),
              HasSubstr("m.pt: a pointer of Git LFS"));
  EXPECT_THAT(message_of<weft::FormatError>([&] { open("a text in the place of an archive"); }),
              HasSubstr("m.pt: not a ZIP archive"));
}

TEST_F(Pytorch, RefusesWholeModules) {
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { weft::PytorchFile file(fixture("module.pt")); }),
              AllOf(HasSubstr("module.pt: byte "), HasSubstr("the pickle names torch.nn.modules.linear Linear")));
}

TEST_F(Pytorch, ListsTypesItDoesNotHaveAndRefusesThem) {
  const weft::PytorchFile file =
      open(archive(dict({{"t", tensor(storage("ShortStorage", "0", 3), 0, {3}, {1})}}), {{"0", std::string(6, 'x')}}));
  EXPECT_EQ(file.find("t")->type, "ShortStorage");
  EXPECT_THAT(message_of<weft::UnsupportedError>([&] { static_cast<void>(file.tensor("t")); }),
              AllOf(HasSubstr("m.pt: tensor t"), HasSubstr("ShortStorage is not supported")));
}

TEST_F(Pytorch, ReadsDoubles) {
  const weft::PytorchFile file(fixture("double.pt"));
  EXPECT_EQ(file.find("double")->type, "DoubleStorage");
  EXPECT_EQ(file.tensor("double").dtype(), weft::DType::f64);
  EXPECT_THAT(file.tensor("float").elements<float>(), ElementsAre(1));
  EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(file.tensor("x")); }), HasSubstr("no tensor x"));
}

TEST_F(Pytorch, RefusesOtherByteOrders) {
  Files files = one(0, {6}, {1});
  files[1].second = "big";
  EXPECT_THAT(error<weft::UnsupportedError>(files), AllOf(HasSubstr("m.pt: byte "), HasSubstr("big-endian")));
  files[1].second = "middle";
  EXPECT_THAT(error(files), HasSubstr("neither little nor big"));
  files.erase(files.begin() + 1);
  EXPECT_EQ(open(files).entries().size(), 1u);
}

TEST_F(Pytorch, RefusesArchivesOfOtherThings) {
  EXPECT_THAT(error({{"m/data", "x"}}), HasSubstr("the archive has no data.pkl"));
  EXPECT_THAT(error({{"data.pkl", whole("}")}}), HasSubstr("the archive has no data.pkl"));
  EXPECT_THAT(error({{"a/data.pkl", whole("}")}, {"b/data.pkl", whole("}")}}),
              HasSubstr("both a/data.pkl and b/data.pkl"));
  EXPECT_THAT(error({{"a/data.pkl", ""}}), HasSubstr("the pickle is truncated"));
  EXPECT_THAT(error(archive("]", {})), HasSubstr("expected a dict, found a list"));
  EXPECT_TRUE(open(archive("}", {})).entries().empty());
}

TEST_F(Pytorch, RefusesDictsOfOtherThings) {
  EXPECT_THAT(error<weft::UnsupportedError>(archive(dict({{"a", "]"}}), {})),
              AllOf(HasSubstr("m.pt: byte "), HasSubstr("a: expected a tensor, found a list")));
  EXPECT_THAT(error<weft::UnsupportedError>(archive(dict({{"a", dict({})}}), {})), HasSubstr("found a dict"));
  EXPECT_THAT(error(archive("}K\1Ns", {})), HasSubstr("expected a string, found an integer"));
  const std::string t = tensor(storage("FloatStorage", "0", 1), 0, {}, {});
  EXPECT_THAT(error(archive(dict({{"a", t}, {"a", t}}), {{"0", floats({1})}})), HasSubstr("the same name"));
  EXPECT_THAT(error(archive("}(" + text("a") + "q\1" + t + "h\1" + t + "u", {{"0", floats({1})}})),
              HasSubstr("the same name"));
}

TEST_F(Pytorch, RefusesViewsOutsideTheirStorage) {
  EXPECT_THAT(
      error(one(0, {7}, {1})),
      AllOf(HasSubstr("m.pt: byte "), HasSubstr("tensor t: shape (7) with strides (1) takes 7 elements from 0 on, "
                                                "its storage has 6")));
  EXPECT_THAT(error(one(1, {6}, {1})), HasSubstr("takes 6 elements from 1 on"));
  EXPECT_THAT(error(one(7, {0}, {1})), HasSubstr("from 7 on"));
  EXPECT_THAT(error(one(6, {}, {})), HasSubstr("takes 1 elements from 6 on"));
  EXPECT_THAT(error(one(0, {2, 3}, {4, 1})), HasSubstr("takes 7 elements"));
  EXPECT_THAT(error(one(INT64_MAX, {6}, {1})), HasSubstr("from 9223372036854775807 on"));
}

TEST_F(Pytorch, RefusesShapesThatOverflow) {
  // 2^62 floats are 0 bytes modulo 2^64, and so is the product of the next.
  EXPECT_THAT(error(one(0, {std::int64_t{1} << 62}, {0})), HasSubstr("overflows"));
  EXPECT_THAT(error(one(0, {std::int64_t{1} << 32, std::int64_t{1} << 32}, {0, 0})), HasSubstr("overflows"));
  EXPECT_THAT(error(one(0, {3, 3}, {INT64_MAX, INT64_MAX})), HasSubstr("overflows"));
  EXPECT_THAT(error(one(0, {std::int64_t{1} << 40, 0}, {std::int64_t{1} << 40, 1})), HasSubstr("overflows"));
}

// A few bytes that repeat themselves must not ask for more memory than the file has bytes.
TEST_F(Pytorch, RefusesViewsThatAreLargerThanTheFile) {
  EXPECT_THAT(error(one(0, {std::int64_t{1} << 40}, {0})), HasSubstr("repeats its elements to 4398046511104 bytes"));
  EXPECT_THAT(error(one(0, {1000, 1000}, {0, 0})), HasSubstr("repeats its elements to 4000000 bytes"));
}

TEST_F(Pytorch, RefusesStoragesThatContradictTheArchive) {
  const auto files = [](const std::string& of, const std::string& key, const std::string& content) {
    return archive(dict({{"t", tensor(of, 0, {1}, {1})}}), {{key, content}});
  };
  EXPECT_THAT(error(files(storage("FloatStorage", "1", 1), "0", floats({1}))),
              HasSubstr("the archive has no m/data/1"));
  EXPECT_THAT(error(files(storage("FloatStorage", "0", 2), "0", floats({1}))),
              HasSubstr("a FloatStorage of 2 elements takes 4 bytes for each, m/data/0 has 4 bytes"));
  EXPECT_THAT(error(files(storage("FloatStorage", "0", 1), "0", "12345")), HasSubstr("m/data/0 has 5 bytes"));
  EXPECT_THAT(error(files(storage("HalfStorage", "0", 1), "0", floats({1}))), HasSubstr("2 bytes for each"));
  EXPECT_THAT(error(files(storage("FloatStorage", "0", INT64_MAX), "0", floats({1}))),
              HasSubstr("m/data/0 has 4 bytes"));
  // Names that lead out of the archive are names that are not in it.
  EXPECT_THAT(error(files(storage("FloatStorage", "../../x", 1), "0", floats({1}))), HasSubstr("no m/data/../../x"));
  EXPECT_THAT(error(files(storage("FloatStorage", std::string(1000, '1'), 1), "0", floats({1}))),
              HasSubstr("the key of its storage has 1000 bytes"));
}

TEST_F(Pytorch, RefusesBooleansThatAreNone) {
  const auto files = [](const std::vector<std::int64_t>& extents, const std::vector<std::int64_t>& strides) {
    return archive(dict({{"t", tensor(storage("BoolStorage", "0", 4), 0, extents, strides)}}), {{"0", "\1\1\0\2"s}});
  };
  EXPECT_TRUE(open(files({3}, {1})).tensor("t").elements<bool>()[1]);
  for (const weft::PytorchFile& bad : {open(files({4}, {1})), open(files({2, 2}, {1, 2}))})
    EXPECT_THAT(message_of<weft::FormatError>([&] { static_cast<void>(bad.tensor("t")); }),
                AllOf(HasSubstr("tensor t: byte " + std::to_string(bad.find("t")->offset + 3)), HasSubstr("found 2")));
}

TEST_F(Pytorch, RefusesTruncatedFiles) {
  const std::string good = make_zip(one(0, {6}, {1}), {}).bytes;
  for (std::size_t size = 0; size < good.size(); size += 7)
    EXPECT_THAT(message_of<weft::FormatError>([&] { open(good.substr(0, size)); }), HasSubstr("m.pt: ")) << size;
}

TEST_F(Pytorch, SurvivesRandomChanges) {
  const std::string good = make_zip(one(0, {3, 2}, {1, 3}), {}).bytes;
  std::mt19937 random(11);
  std::size_t accepted = 0;
  for (int round = 0; round < 500; ++round) {
    std::string bytes = good;
    for (int i = 0; i <= round % 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      const weft::PytorchFile file = open(bytes);
      for (const weft::WeightsEntry& e : file.entries()) accepted += file.tensor(e.name).bytes().size() == e.bytes;
    } catch (const weft::Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("m.pt"));
    }
  }
  EXPECT_GT(accepted, 5u);
}

}  // namespace
