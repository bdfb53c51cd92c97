#include <weft/core/memory.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace {

using namespace weft;

TEST(AllocateAligned, EveryAddressIsAMultipleOf64) {
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{65}, std::size_t{5} << 20}) {
    const AlignedBytes memory = allocate_aligned(bytes);
    ASSERT_TRUE(memory);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory.get()) % alignment, 0u);
    std::memset(memory.get(), 0x5a, bytes);
    if (bytes) {
      EXPECT_EQ(memory[bytes - 1], std::byte{0x5a});
    }
  }
}

class MappedFiles : public ::testing::Test {
 protected:
  MappedFiles() {
    std::string name = ::testing::TempDir() + "weft_memory_XXXXXX";
    folder = ::mkdtemp(name.data());
  }
  ~MappedFiles() override {
    ::unlink(path().c_str());
    ::rmdir(folder.c_str());
  }
  std::string path() const { return folder + "/file"; }
  void write(const std::string& text) const { std::ofstream(path(), std::ios::binary) << text; }
  static std::string text(const MappedFile& file) {
    return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  }
  /// The message of the FormatError that opening gives, or "".
  static std::string failure(const std::string& of) {
    try {
      const MappedFile file(of);
    } catch (const FormatError& error) {
      return error.what();
    }
    return "";
  }
  std::string folder;
};

TEST_F(MappedFiles, ShowTheBytes) {
  write(std::string("weft\0data", 9));
  const MappedFile file(path());
  EXPECT_EQ(text(file), std::string("weft\0data", 9));
}

TEST_F(MappedFiles, AreNotPointersOfGitLfs) {
  write("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 12345\n");
  EXPECT_EQ(failure(path()),
            path() + ": a pointer of Git LFS in the place of the file, which \"git lfs pull\" fetches");
  write("version https");
  EXPECT_EQ(text(MappedFile(path())), "version https");
}

TEST_F(MappedFiles, KeepTheirBytesWhenReleased) {
  std::string content(5 * 4096 + 77, 'a');
  for (std::size_t i = 0; i < content.size(); i += 37) content[i] = static_cast<char>('b' + i % 19);
  write(content);
  const MappedFile file(path());
  EXPECT_EQ(text(file), content);
  file.release(file.bytes());
  EXPECT_EQ(text(file), content);
  file.release(file.bytes().subspan(100, 9000));
  file.release(file.bytes().subspan(4097, 10));
  file.release(file.bytes().subspan(0, 0));
  EXPECT_EQ(text(file), content);
  // Memory of others is left alone.
  std::vector<std::byte> other(8 * 4096, std::byte{7});
  file.release(other);
  EXPECT_EQ(other, std::vector<std::byte>(8 * 4096, std::byte{7}));
}

TEST_F(MappedFiles, KeepTheirBytesWhenFetched) {
  const std::string content(3 * 4096 + 5, 'a');
  write(content);
  const MappedFile file(path());
  file.fetch(0, content.size(), {});
  file.fetch(4097, 1, {});
  file.fetch(4097, 0, {});
  file.fetch(100, static_cast<std::size_t>(-1), {});
  file.fetch(content.size(), 1, {});
  EXPECT_EQ(text(file), content);
}

/// The bytes that this process has read by read(2) and its like; 0 where the system does not tell.
std::size_t bytes_read() {
  std::ifstream counters("/proc/self/io");
  std::string name;
  std::size_t bytes = 0;
  return counters >> name >> bytes && name == "rchar:" ? bytes : 0;
}

TEST_F(MappedFiles, AreReadOnceWhereTheyStayInMemory) {
  constexpr std::size_t part = std::size_t{1} << 20;
  write(std::string(4 * part, 'a'));
  const int descriptor = ::open(path().c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(descriptor, 0);
  ::fsync(descriptor);
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
  const MappedFile file(path());
  const auto fetched = [&] {
    const std::size_t before = bytes_read();
    for (std::size_t i = 0; i < 4; ++i) file.fetch(i * part, part, {});
    return bytes_read() - before;
  };
  if (bytes_read() == 0 || fetched() < 4 * part) GTEST_SKIP() << "this file system keeps files in memory";
  EXPECT_LT(fetched(), part);
  EXPECT_LT(fetched(), part);
}

// Letting go of memory that is no file would lose what it holds.
TEST_F(MappedFiles, LeaveBytesThatAreNotTheirsAlone) {
  write(std::string(4096, 'a'));
  const MappedFile file(path());
  const AlignedBytes elsewhere = allocate_aligned(5 * 4096);
  std::memset(elsewhere.get(), 'b', 5 * 4096);
  file.release({elsewhere.get(), 5 * 4096});
  for (std::size_t i = 0; i < 5 * 4096; ++i) ASSERT_EQ(elsewhere[i], std::byte{'b'}) << i;
}

TEST_F(MappedFiles, Move) {
  write("first");
  MappedFile a(path());
  MappedFile b(std::move(a));
  EXPECT_TRUE(a.bytes().empty());
  EXPECT_EQ(text(b), "first");
  MappedFile c;
  c = std::move(b);
  EXPECT_EQ(text(c), "first");
}

TEST_F(MappedFiles, NameTheFileThatFails) {
  EXPECT_EQ(failure(path()), path() + ": cannot be opened: No such file or directory");
  write("");
  EXPECT_EQ(failure(path()), path() + ": the file is empty");
  EXPECT_EQ(failure(folder), folder + ": not a regular file");
}

TEST_F(MappedFiles, DoNotWaitForAPipe) {
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_EQ(failure(path()), path() + ": not a regular file");
}

}  // namespace
