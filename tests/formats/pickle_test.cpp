#include <weft/formats/pickle.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "pickle_writer.hpp"
#include "temporary_directory.hpp"

namespace {

using namespace weft_tests::pickle;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;
using weft_tests::message_of;

/// A pickle that keeps its bytes.
struct Read {
  explicit Read(const std::string& program) : bytes(program), pickle(bytes, "data.pkl", 1000) {}
  weft::PickleValue root() const { return pickle.root(); }

  std::string bytes;
  weft::Pickle pickle;
};

template <class E = weft::FormatError>
std::string error(const std::string& pickle) {
  return message_of<E>([&] { Read read(pickle); });
}

TEST(Pickle, ReadsPlainValues) {
  EXPECT_TRUE(Read(whole("N")).root().is_none());
  EXPECT_TRUE(Read(whole("\x88")).root().as_bool());
  EXPECT_FALSE(Read(whole("\x89")).root().as_bool());
  EXPECT_EQ(Read(whole("K\xff")).root().as_int(), 255);
  EXPECT_EQ(Read(whole("M\xff\xfe")).root().as_int(), 0xfeff);
  EXPECT_EQ(Read(whole("J\xfe\xff\xff\xff")).root().as_int(), -2);
  EXPECT_EQ(Read(whole("\x8a\x00"s)).root().as_int(), 0);
  EXPECT_EQ(Read(whole("\x8a\x01\xff")).root().as_int(), -1);
  EXPECT_EQ(Read(whole("\x8a\x05\x00\x00\x00\x00\x01"s)).root().as_int(), std::int64_t{1} << 32);
  EXPECT_EQ(Read(whole("\x8a\x02\x00\x80"s)).root().as_int(), -32768);
  EXPECT_EQ(Read(whole(integer(INT64_MIN))).root().as_int(), INT64_MIN);
  EXPECT_EQ(Read(whole("G\xbf\xf8\x00\x00\x00\x00\x00\x00"s)).root().as_double(), -1.5);
  EXPECT_EQ(Read(whole(text("caf\xc3\xa9"))).root().as_string(), "caf\xc3\xa9");
  EXPECT_EQ(Read(whole("U\3abc")).root().as_string(), "abc");
  EXPECT_EQ(Read(whole("T\3\0\0\0abc"s)).root().as_string(), "abc");
  EXPECT_EQ(Read(whole(text(""))).root().as_string(), "");
}

TEST(Pickle, ReadsContainers) {
  EXPECT_EQ(Read(whole(")")).root().as_tuple().size(), 0u);
  EXPECT_EQ(Read(whole("N\x85")).root().size(), 1u);
  EXPECT_EQ(Read(whole("NN\x86")).root().size(), 2u);
  EXPECT_EQ(Read(whole("NNN\x87")).root().size(), 3u);
  EXPECT_EQ(Read(whole("(t")).root().size(), 0u);
  const Read list(whole("]K\1a(K\2K\3eK\4a"));
  std::vector<std::int64_t> seen;
  for (const weft::PickleValue item : list.root()) seen.push_back(item.as_int());
  EXPECT_THAT(seen, ElementsAre(1, 2, 3, 4));
  const Read dict(whole("}" + text("a") + "K\1s(" + text("b") + "K\2u"));
  EXPECT_EQ(dict.root().find("a")->as_int(), 1);
  EXPECT_EQ(dict.root().find("b")->as_int(), 2);
  EXPECT_EQ(Read(whole(ordered_dict)).root().as_dict().size(), 0u);
  EXPECT_EQ(Read(whole(ordered_dict + "}" + text("_metadata") + "Nsb")).root().as_dict().size(), 0u);
}

TEST(Pickle, RemembersWhatIsStored) {
  EXPECT_EQ(Read(whole("K\7q\0h\0\x86"s)).root().size(), 2u);
  EXPECT_EQ(Read(whole("]q\1(h\1K\1e"s)).root().size(), 2u);  // a list in itself
  EXPECT_EQ(Read(whole("K\7r\5\0\0\0j\5\0\0\0\x86"s)).root().size(), 2u);
  EXPECT_EQ(Read("\x80\x04\x95\x08\0\0\0\0\0\0\0K\7\x94K\x08\x94h\1\x87."s).root().size(), 3u);
  EXPECT_THAT(error(whole("h\0"s)), HasSubstr("byte 1002: nothing was stored under 0"));
  EXPECT_THAT(error(whole("K\7q\2h\1"s)), HasSubstr("nothing was stored under 1"));
  EXPECT_THAT(error(whole("K\7r\xff\xff\xff\xff")), HasSubstr("memo index 4294967295 in a pickle of 10 bytes"));
  EXPECT_THAT(error(whole("q\0"s)), HasSubstr("the stack is empty"));
}

TEST(Pickle, ReadsTensors) {
  const Read read(whole(tensor(storage("HalfStorage", "12", 24), 3, {2, 3}, {3, 1})));
  const weft::PickleTensor found = read.root().as_tensor();
  EXPECT_EQ(found.storage.type, "HalfStorage");
  EXPECT_EQ(found.storage.key, "12");
  EXPECT_EQ(found.storage.elements, 24u);
  EXPECT_EQ(found.offset, 3u);
  EXPECT_THAT(found.extents, ElementsAre(2, 3));
  EXPECT_THAT(found.strides, ElementsAre(3, 1));
  const std::string inner = tensor(storage("FloatStorage", "0", 1), 0, {}, {});
  const Read parameter(whole(global("torch._utils _rebuild_parameter") + tuple({inner, "\x88", ordered_dict}) + "R"));
  EXPECT_EQ(parameter.root().as_tensor().extents.size(), 0u);
  const Read stack_global(
      "\x80\x04\x8c\x0b"
      "collections\x8c\x0bOrderedDict\x93)R."s);
  EXPECT_EQ(stack_global.root().as_dict().size(), 0u);
}

// What makes pickles programs: none of it is run, all of it is named.
TEST(Pickle, RefusesEveryOtherNameWithIt) {
  for (const char* name :
       {"posix system", "builtins eval", "__builtin__ exec", "torch load", "os system", "torch._utils _rebuild_tensor",
        "collections OrderedDictt", "torch FloatStorage2", "numpy.core.multiarray _reconstruct", "argparse Namespace",
        "torch.storage _load_from_bytes", "runpy _run_code", "torch._tensor _rebuild_from_type_v2"})
    EXPECT_EQ(error<weft::UnsupportedError>(whole(global(name) + text("id") + "\x85R")),
              "data.pkl: byte 1002: the pickle names " + std::string(name) +
                  ", which is not one of the types that tensors need");
  EXPECT_THAT(error<weft::UnsupportedError>("\x80\x04\x8c\x02os\x8c\x06system\x93."s), HasSubstr("names os system"));
  EXPECT_THAT(error<weft::UnsupportedError>(whole("c" + std::string(100000, 'a') + "\nb\n")),
              HasSubstr("names " + std::string(200, 'a') + " b"));
  EXPECT_THAT(error<weft::UnsupportedError>(whole("c\xff\nb\n")), HasSubstr("names \xEF\xBF\xBD b"));
}

TEST(Pickle, RefusesOpcodesThatMakeObjects) {
  const std::pair<const char*, const char*> opcodes[] = {{"(ios\nsystem\n", "INST"},
                                                         {"("
                                                          "cos\nsystem\no",
                                                          "os system"},
                                                         {"(o", "OBJ"},
                                                         {"))\x81", "NEWOBJ"},
                                                         {")))\x92", "NEWOBJ_EX"},
                                                         {"\x82\x01", "EXT1"},
                                                         {"\x83\x01\x01", "EXT2"},
                                                         {"\x84\x01\x01\x01\x01", "EXT4"},
                                                         {"Pid\n", "PERSID"},
                                                         {"C\x01x", "SHORT_BINBYTES"},
                                                         {"\x97", "NEXT_BUFFER"},
                                                         {"I01\n", "another kind"},
                                                         {"0", "opcode 48"}};
  for (const auto& [opcode, name] : opcodes)
    EXPECT_THAT(error<weft::UnsupportedError>(whole(opcode)), AllOf(StartsWith("data.pkl: byte "), HasSubstr(name)));
}

TEST(Pickle, CallsNothing) {
  EXPECT_THAT(error<weft::UnsupportedError>(whole(global("torch FloatStorage") + ")R")),
              HasSubstr("the pickle calls torch FloatStorage"));
  EXPECT_THAT(error<weft::UnsupportedError>(whole(global("collections OrderedDict") + "]\x85R")),
              HasSubstr("an OrderedDict that is made of arguments"));
  EXPECT_THAT(error(whole("N)R")), HasSubstr("expected a global, found None"));
  EXPECT_THAT(error(whole(global("collections OrderedDict") + "]R")), HasSubstr("expected a tuple, found a list"));
  EXPECT_THAT(error(whole("]}b")), HasSubstr("expected a dict, found a list"));
  EXPECT_THAT(error(whole("}Nb")), HasSubstr("expected a dict, found None"));
}

TEST(Pickle, RefusesMalformedTensors) {
  const std::string good = storage("FloatStorage", "0", 6);
  const auto rebuild = [](const std::vector<std::string>& arguments) {
    return whole(global("torch._utils _rebuild_tensor_v2") + tuple(arguments) + "R");
  };
  const std::string two = integers({2, 3});
  EXPECT_THAT(error(rebuild({good, "K\0"s, two, two})), HasSubstr("expected 6 or 7 arguments of torch._utils"));
  EXPECT_THAT(error(rebuild({"N", "K\0"s, two, two, "\x89", "}"})), HasSubstr("expected a storage, found None"));
  EXPECT_THAT(error(rebuild({good, integer(-1), two, two, "\x89", "}"})), HasSubstr("expected a count, found -1"));
  EXPECT_THAT(error(rebuild({good, "N", two, two, "\x89", "}"})), HasSubstr("expected an integer, found None"));
  EXPECT_THAT(error(rebuild({good, "K\0"s, "]", two, "\x89", "}"})), HasSubstr("expected a tuple, found a list"));
  EXPECT_THAT(error(rebuild({good, "K\0"s, two, integers({3}), "\x89", "}"})),
              HasSubstr("a tensor of 2 dimensions with 1 strides"));
  EXPECT_THAT(error(rebuild({good, "K\0"s, integers({2, -3}), two, "\x89", "}"})), HasSubstr("found -3"));
  EXPECT_THAT(error(rebuild({good, "K\0"s, two, integers({-3, 1}), "\x89", "}"})), HasSubstr("found -3"));
  EXPECT_THAT(error(rebuild({good, "K\0"s, two, two, "N", "}"})), HasSubstr("expected a boolean"));
  EXPECT_THAT(error(rebuild({good, "K\0"s, two, two, "\x89", "N"})), HasSubstr("expected a dict"));
  EXPECT_THAT(error<weft::UnsupportedError>(rebuild({good, "K\0"s, two, two, "\x89", "}", dict({{"neg", "\x88"}})})),
              HasSubstr("a tensor with metadata"));
  EXPECT_NO_THROW(Read(rebuild({good, "K\0"s, two, two, "\x89", "}", "}"})));
  const std::string nine = integers({1, 1, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_THAT(error<weft::UnsupportedError>(rebuild({good, "K\0"s, nine, nine, "\x89", "}"})),
              HasSubstr("9 dimensions"));
  const auto parameter = global("torch._utils _rebuild_parameter");
  EXPECT_THAT(error(whole(parameter + "NNN\x87R")), HasSubstr("expected a tensor to make a parameter of, found None"));
  EXPECT_THAT(error(whole(parameter + ")R")), HasSubstr("expected 3 arguments"));
}

TEST(Pickle, RefusesMalformedStorages) {
  const auto id = [](const std::vector<std::string>& parts) { return whole(tuple(parts) + "Q"); };
  const std::string type = global("torch FloatStorage");
  EXPECT_THAT(error(id({text("storage"), type, text("0"), text("cpu")})), HasSubstr("a persistent id of 4 parts"));
  EXPECT_THAT(error(id({text("module"), type, text("0"), text("cpu"), "K\1"})), HasSubstr("of kind \"module\""));
  EXPECT_THAT(error(id({text("storage"), global("collections OrderedDict"), text("0"), text("cpu"), "K\1"})),
              HasSubstr("expected the type of a storage, found collections OrderedDict"));
  EXPECT_THAT(error(id({text("storage"), text("torch FloatStorage"), text("0"), text("cpu"), "K\1"})),
              HasSubstr("expected a global, found a string"));
  EXPECT_THAT(error(id({text("storage"), type, "N", text("cpu"), "K\1"})), HasSubstr("expected a string"));
  EXPECT_THAT(error(id({text("storage"), type, text("0"), "N", "K\1"})), HasSubstr("expected a string"));
  EXPECT_THAT(error(id({text("storage"), type, text("0"), text("cpu"), integer(-1)})), HasSubstr("found -1"));
  EXPECT_THAT(error(whole("NQ")), HasSubstr("expected a tuple, found None"));
}

TEST(Pickle, RefusesWhatIsNoPickle) {
  EXPECT_THAT(error(""), HasSubstr("byte 1000: the pickle is truncated"));
  EXPECT_THAT(error("N."), HasSubstr("not a pickle of protocol 2 or later"));
  EXPECT_THAT(error("\x80\x01N."), HasSubstr("pickle protocol 1, expected 2 to 5"));
  EXPECT_THAT(error("\x80\x06N."), HasSubstr("pickle protocol 6"));
  EXPECT_THAT(error(whole("NN")), HasSubstr("ends with 2 values, expected one"));
  EXPECT_THAT(error(whole("")), HasSubstr("ends with 0 values"));
  EXPECT_THAT(error(whole("N(")), HasSubstr("ends with 1 values"));
  EXPECT_THAT(error(whole("N") + "N"), HasSubstr("bytes follow the end of the pickle"));
  EXPECT_THAT(error(whole(text("\xff"))), HasSubstr("a string that is not UTF-8"));
  EXPECT_THAT(error<weft::UnsupportedError>(whole("\x8a\x09" + std::string(9, '\1'))),
              HasSubstr("an integer of 9 bytes"));
  const std::string good =
      whole(dict({{"t", tensor(storage("FloatStorage", "0", 6), 0, {2, 3}, {3, 1})}, {"n", "G\xbf\xf8\0\0\0\0\0\0"s}}));
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_THAT(error(good.substr(0, size)), StartsWith("data.pkl: byte ")) << size;
  EXPECT_THAT(error("\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN."), HasSubstr("truncated"));
}

TEST(Pickle, RefusesStacksThatAreTooShort) {
  for (const char* program : {"\x85", "N\x86", "NN\x87", "t",  "e", "u",  "a",  "Na",     "s",    "Ns",    "NNs",
                              "R",    "NR",    "b",      "Nb", "Q", "(e", "(u", "N(\x85", "](Na", "}(NNs", "(("})
    EXPECT_THAT(error(whole(program)), StartsWith("data.pkl: byte ")) << program;
  EXPECT_THAT(error(whole("}(Nu")), HasSubstr("a key without a value"));
  EXPECT_THAT(error(whole(")(Ne")), HasSubstr("expected a list to add to, found a tuple"));
  EXPECT_THAT(error(whole("](NNu")), HasSubstr("expected a dict to add to, found a list"));
}

TEST(Pickle, IsBounded) {
  EXPECT_NO_THROW(Read(whole(std::string(64, '(') + std::string(64, 't'))));
  EXPECT_THAT(error(whole(std::string(65, '('))), HasSubstr("nested deeper than 64 levels"));
  EXPECT_THAT(error(whole(std::string(1000, ']'))), HasSubstr("more values than a pickle of this size can hold"));
  // Half a million lists inside one another: nothing recurses.
  std::string nested;
  for (int i = 0; i < 500000; ++i) nested += "]q\1";
  nested += std::string(499999, 'a');
  EXPECT_EQ(Read(whole(nested)).root().size(), 1u);
  EXPECT_THAT(error(whole("X\xff\xff\xff\xff"
                          "abc")),
              HasSubstr("truncated"));
}

TEST(Pickle, SurvivesRandomChanges) {
  const std::string good = whole(dict({{"t", tensor(storage("FloatStorage", "0", 6), 0, {2, 3}, {3, 1})},
                                       {"l", "](K\1K\2e"},
                                       {"o", ordered_dict},
                                       {"u", "q\5h\5\x85"}}));
  std::mt19937 random(3);
  std::size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = good;
    for (int i = 0; i <= round % 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    try {
      const Read read(bytes);
      for (const weft::PickleValue item : read.root())
        accepted += item.is_tensor() && item.as_tensor().extents.size() == 2;
    } catch (const weft::Error& e) {
      ASSERT_THAT(e.what(), StartsWith("data.pkl: "));
    }
  }
  EXPECT_GT(accepted, 500u);
}

}  // namespace
