#include <weft/formats/zip.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "temporary_directory.hpp"
#include "zip_writer.hpp"

namespace {

using testing::AllOf;
using testing::HasSubstr;
using weft_tests::make_zip;
using weft_tests::message_of;
using weft_tests::overwrite;
using weft_tests::ZipParts;

const std::vector<std::pair<std::string, std::string>> files{
    {"m/b", "second"}, {"m/a", std::string(3, '\0')}, {"m/", ""}};

class Zip : public testing::Test {
 protected:
  weft_tests::TemporaryDirectory directory;

  weft::ZipArchive open(std::string_view bytes) { return weft::ZipArchive(directory.write("m.zip", bytes)); }
  template <class E = weft::FormatError>
  std::string error(std::string_view bytes) {
    return message_of<E>([&] { open(bytes); });
  }
  /// The message for the archive with a number at an offset overwritten.
  template <class E = weft::FormatError, class Number>
  std::string error(ZipParts zip, std::size_t offset, Number number) {
    overwrite(zip.bytes, offset, number);
    return error<E>(zip.bytes);
  }
};

TEST_F(Zip, ReadsEntriesInPlace) {
  for (const weft_tests::ZipOptions& options : {weft_tests::ZipOptions{},
                                                {.zip64 = false},
                                                {.zip64 = false, .sizes_follow = false},
                                                {.wide = true},
                                                {.wide = true, .sizes_follow = false},
                                                {.multiple = 64}}) {
    const ZipParts zip = make_zip(files, options);
    const weft::ZipArchive archive = open(zip.bytes);
    ASSERT_EQ(archive.entries().size(), 3u);
    EXPECT_EQ(archive.entries()[1].name, "m/a");
    ASSERT_TRUE(archive.find("m/b"));
    EXPECT_EQ(archive.text(*archive.find("m/b")), "second");
    EXPECT_EQ(archive.text(*archive.find("m/a")), std::string(3, '\0'));
    EXPECT_EQ(archive.text(*archive.find("m/")), "");
    EXPECT_EQ(archive.find("m"), nullptr);
    EXPECT_EQ(archive.find("m/c"), nullptr);
    EXPECT_EQ(archive.find("m/b")->offset % options.multiple, 0u);
    EXPECT_EQ(archive.content(*archive.find("m/a")).data(), archive.bytes().span.data() + archive.find("m/a")->offset);
  }
}

TEST_F(Zip, ReadsAnEmptyArchive) {
  EXPECT_TRUE(open(make_zip({}).bytes).entries().empty());
  EXPECT_TRUE(open(make_zip({}, {.zip64 = false}).bytes).entries().empty());
}

TEST_F(Zip, RefusesWhatIsNoArchive) {
  EXPECT_THAT(error(""), AllOf(HasSubstr("m.zip"), HasSubstr("empty")));
  EXPECT_THAT(error("PK\5\6"), AllOf(HasSubstr("m.zip: not a ZIP archive"), HasSubstr("byte 0")));
  EXPECT_THAT(error(std::string(100, 'x')), HasSubstr("byte 78: expected the end of a central directory"));
  const std::string good = make_zip(files).bytes;
  for (std::size_t size = 1; size < good.size(); ++size) EXPECT_THAT(error(good.substr(0, size)), HasSubstr("m.zip: "));
  EXPECT_THAT(error(good + "x"), HasSubstr("expected the end of a central directory"));
  EXPECT_THAT(error("x" + good), HasSubstr("m.zip: byte "));
}

TEST_F(Zip, RefusesCompressedAndEncryptedEntriesByName) {
  ZipParts zip = make_zip(files);
  EXPECT_THAT(error<weft::UnsupportedError>(zip, zip.centrals[1] + 10, std::uint16_t{8}),
              AllOf(HasSubstr("m.zip: byte " + std::to_string(zip.centrals[1])),
                    HasSubstr("entry m/a is compressed (method 8)")));
  EXPECT_THAT(error<weft::UnsupportedError>(zip, zip.centrals[1] + 8, std::uint16_t{0x809}),
              HasSubstr("entry m/a is encrypted"));
  EXPECT_THAT(error<weft::UnsupportedError>(zip, zip.centrals[1] + 8, std::uint16_t{0x2808}),
              HasSubstr("has the flags"));
  EXPECT_THAT(error(zip, zip.centrals[0] + 20, std::uint32_t{5}), HasSubstr("its 6 bytes take 5"));
}

TEST_F(Zip, RefusesPartsAndComments) {
  const ZipParts zip = make_zip(files);
  EXPECT_THAT(error<weft::UnsupportedError>(zip, zip.end + 4, std::uint16_t{1}), HasSubstr("several parts"));
  EXPECT_THAT(error<weft::UnsupportedError>(zip, zip.end64 + 16, std::uint32_t{1}), HasSubstr("several parts"));
  EXPECT_THAT(error(zip, zip.end + 20, std::uint16_t{4}), HasSubstr("archive comment of 4 bytes"));
}

TEST_F(Zip, RefusesEndRecordsThatLie) {
  const ZipParts zip = make_zip(files);
  const ZipParts plain = make_zip(files, {.zip64 = false});
  const ZipParts wide = make_zip(files, {.wide = true});
  EXPECT_THAT(error(plain, plain.end + 12, std::uint32_t{1}), HasSubstr("is said to take 1 bytes"));
  EXPECT_THAT(error(plain, plain.end + 12, std::uint32_t{0xfffffff0}), HasSubstr("is said to take 4294967280 bytes"));
  EXPECT_THAT(error(plain, plain.end + 16, std::uint32_t{0xffffffff}), HasSubstr("from byte 4294967295"));
  EXPECT_THAT(error(plain, plain.end + 16, std::uint32_t{0}), HasSubstr("from byte 0 on"));
  EXPECT_THAT(error(plain, plain.end + 10, std::uint16_t{0xffff}), HasSubstr("65535 entries do not fit"));
  EXPECT_THAT(error(plain, plain.end + 10, std::uint16_t{2}), HasSubstr("has more bytes than its 2 entries"));
  EXPECT_THAT(error(plain, plain.end + 10, std::uint16_t{4}), HasSubstr("m.zip: byte "));
  EXPECT_THAT(error(zip, zip.end + 10, std::uint16_t{2}), HasSubstr("number of entries is 2, the ZIP64 record says 3"));
  EXPECT_THAT(error(zip, zip.end + 12, std::uint32_t{2}), HasSubstr("size of the central directory is 2"));
  EXPECT_THAT(error(zip, zip.end + 16, std::uint32_t{2}), HasSubstr("start of the central directory is 2"));
  EXPECT_THAT(error(zip, zip.end - 12, ~std::uint64_t{0}), HasSubstr("no ZIP64 record at byte 18446744073709551615"));
  EXPECT_THAT(error(zip, zip.end - 12, std::uint64_t{zip.end - 30}), HasSubstr("no ZIP64 record"));
  EXPECT_THAT(error(zip, zip.end64, std::uint32_t{0}), HasSubstr("no ZIP64 record"));
  // Sums of these with the offsets of the file wrap around 2^64.
  for (const std::uint64_t huge : {~std::uint64_t{0}, ~std::uint64_t{0} - 64, std::uint64_t{1} << 63}) {
    EXPECT_THAT(error(wide, wide.end64 + 32, huge), HasSubstr("do not fit"));
    EXPECT_THAT(error(wide, wide.end64 + 40, huge), HasSubstr("is said to take"));
    EXPECT_THAT(error(wide, wide.end64 + 48, huge), HasSubstr("is said to take"));
    EXPECT_THAT(error(wide, wide.centrals[0] + 46 + 3 + 4 + 16, huge), HasSubstr("there is no local header at byte"));
    ZipParts both = wide;
    overwrite(both.bytes, wide.centrals[0] + 46 + 3 + 4, huge);
    EXPECT_THAT(error(both, wide.centrals[0] + 46 + 3 + 4 + 8, huge), HasSubstr("reach into the central directory"));
  }
}

TEST_F(Zip, RefusesEntriesOutsideTheFile) {
  const ZipParts zip = make_zip(files);
  for (const std::size_t field : {20u, 24u}) {
    ZipParts larger = zip;
    overwrite(larger.bytes, zip.centrals[0] + 20, std::uint32_t{0x7fffffff});
    overwrite(larger.bytes, zip.centrals[0] + 24, std::uint32_t{0x7fffffff});
    EXPECT_THAT(error(larger.bytes), HasSubstr("2147483647 bytes from byte 0 on reach into the central directory"));
    EXPECT_THAT(error(zip, zip.centrals[0] + field, std::uint32_t{7}), HasSubstr("m/b is stored, but its"));
  }
  EXPECT_THAT(error(zip, zip.centrals[0] + 42, std::uint32_t{0x7fffffff}),
              HasSubstr("no local header at byte 2147483647"));
  EXPECT_THAT(error(zip, zip.centrals[0] + 42, static_cast<std::uint32_t>(zip.directory)),
              HasSubstr("no local header"));
  EXPECT_THAT(error(zip, zip.centrals[0] + 42, std::uint32_t{1}), HasSubstr("no local header at byte 1"));
  EXPECT_THAT(error(zip, zip.locals[2] + 28, std::uint16_t{0xffff}), HasSubstr("reach into the central directory"));
  EXPECT_THAT(error(zip, zip.centrals[2] + 28, std::uint16_t{0xffff}),
              HasSubstr("entry 2 leaves the central directory"));
  EXPECT_THAT(error(zip, zip.centrals[2] + 30, std::uint16_t{1}), HasSubstr("leaves the central directory"));
  EXPECT_THAT(error(zip, zip.centrals[1], std::uint32_t{0}), HasSubstr("expected entry 1 of the central directory"));
}

TEST_F(Zip, RefusesLocalHeadersThatSayOtherwise) {
  const ZipParts zip = make_zip(files, {.sizes_follow = false});
  EXPECT_THAT(error(zip, zip.locals[0] + 32, 'c'), HasSubstr("entry m/b: the local header at byte 0 is that of m/c"));
  EXPECT_THAT(error(zip, zip.locals[0] + 8, std::uint16_t{8}), HasSubstr("the local header at byte 0 has method 8"));
  EXPECT_THAT(error(zip, zip.locals[0] + 6, std::uint16_t{1}), HasSubstr("flags 1"));
  EXPECT_THAT(error(zip, zip.locals[0] + 18, std::uint32_t{7}), HasSubstr("byte 18: found 7 bytes, expected 6"));
  EXPECT_THAT(error(zip, zip.locals[0] + 22, std::uint32_t{0}), HasSubstr("byte 22: found 0 bytes, expected 6"));
}

TEST_F(Zip, RefusesOverlapsAndDuplicateNames) {
  // The directory lists the first entry twice, under the name of the second, and under its own.
  const ZipParts zip = make_zip({{"a", "12345678"}, {"a", "1234"}});
  EXPECT_THAT(error(zip.bytes), HasSubstr("two entries are named a"));
  EXPECT_THAT(error(zip, zip.centrals[1] + 42, std::uint32_t{0}), HasSubstr("entry a overlaps"));
  // A local header inside the content of another entry: the way archives that unpack to more than they hold are made.
  const std::string inner = make_zip({{"b", "x"}}, {.sizes_follow = false}).bytes;
  ZipParts nested = make_zip({{"a", inner}, {"b", "y"}}, {.sizes_follow = false});
  overwrite(nested.bytes, nested.centrals[1] + 42, static_cast<std::uint32_t>(30 + 1 + 4));
  EXPECT_THAT(error(nested.bytes), AllOf(HasSubstr("m.zip: byte 35: entry b overlaps"), HasSubstr("ends at byte")));
}

TEST_F(Zip, RefusesMalformedExtraBytes) {
  const ZipParts wide = make_zip(files, {.wide = true});
  EXPECT_THAT(error(wide, wide.centrals[0] + 46 + 3 + 2, std::uint16_t{99}), HasSubstr("malformed extra bytes"));
  EXPECT_THAT(error(wide, wide.centrals[0] + 46 + 3 + 2, std::uint16_t{4}), HasSubstr("m.zip: byte "));
  EXPECT_THAT(error(wide, wide.centrals[0] + 46 + 3, std::uint16_t{2}), HasSubstr("m.zip: byte "));
}

TEST_F(Zip, SurvivesRandomChanges) {
  for (const bool wide : {false, true}) {
    const ZipParts zip = make_zip(files, {.wide = wide, .sizes_follow = !wide});
    std::mt19937 random(5);
    std::size_t accepted = 0;
    for (int round = 0; round < 300; ++round) {
      std::string bytes = zip.bytes;
      for (int i = 0; i <= round % 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
      try {
        const weft::ZipArchive archive = open(bytes);
        for (const weft::ZipEntry& entry : archive.entries()) accepted += archive.text(entry).size() == entry.bytes;
      } catch (const weft::Error& e) {
        EXPECT_THAT(e.what(), HasSubstr("m.zip"));
      }
    }
    EXPECT_GT(accepted, 5u);
  }
}

}  // namespace
