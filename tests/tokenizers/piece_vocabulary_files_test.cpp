#include <weft/tokenizers/piece_vocabulary_files.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <weft/tokenizers/load_tokenizer.hpp>

#include "../formats/temporary_directory.hpp"

namespace {

using namespace weft;
using ::testing::AllOf;
using ::testing::HasSubstr;
using weft_tests::message_of;

/// A copy of a fixture whose files a test may change.
class Copy {
 public:
  explicit Copy(const char* name) {
    const auto original = std::filesystem::path(WEFT_TESTS_DIR) / "fixtures" / "piece_vocabulary" / name;
    for (const auto& entry : std::filesystem::directory_iterator(original))
      std::filesystem::copy(entry.path(), directory.path() / entry.path().filename());
  }
  void set(const char* key, const nlohmann::json& value) const {
    nlohmann::json config = nlohmann::json::parse(weft_tests::read_file(directory.path() / "tokenizer_config.json"));
    config[key] = value;
    directory.write("tokenizer_config.json", config.dump());
  }
  std::shared_ptr<const Tokenizer> load() const { return load_tokenizer(directory.path()); }

  weft_tests::TemporaryDirectory directory;
};

TEST(PieceVocabularyFiles, T5MayHaveNoSentinels) {
  const Copy copy("t5");
  const std::size_t size = copy.load()->vocab_size();
  copy.set("extra_ids", 0);
  EXPECT_EQ(copy.load()->vocab_size(), size - 100);
  copy.set("extra_ids", 1000000);
  EXPECT_THROW(copy.load(), UnsupportedError);
}

TEST(PieceVocabularyFiles, TheSourceLanguageIsAsTheFilesSay) {
  const Copy mbart("mbart");
  mbart.set("src_lang", "fr_XX");
  EXPECT_EQ(mbart.load()->encode("").back(), mbart.load()->id_of("fr_XX"));
  const Copy nllb("nllb");
  nllb.set("src_lang", nullptr);
  EXPECT_EQ(nllb.load()->encode("").front(), nllb.load()->id_of("eng_Latn"));
  const Copy m2m("m2m-100");
  m2m.set("src_lang", "xx");
  EXPECT_THAT(message_of<FormatError>([&] { m2m.load(); }), HasSubstr("the token \"__xx__\" is missing"));
}

TEST(PieceVocabularyFiles, IdsMayBeThoseOfTheOrder) {
  const Copy copy("xlm-roberta");
  const std::vector<TokenId> ids = copy.load()->encode("the <mask> cat");
  copy.set("added_tokens_decoder", nullptr);
  EXPECT_EQ(copy.load()->encode("the <mask> cat"), ids);
  copy.set("added_tokens_decoder", {{"1000000", {{"content", "<mask>"}, {"special", true}}}});
  EXPECT_THAT(message_of<FormatError>([&] { copy.load(); }), HasSubstr("\"<mask>\" has the id 1000000"));
}

TEST(PieceVocabularyFiles, RefuseWhatIsNotBuilt) {
  const Copy albert("t5");
  albert.set("tokenizer_class", "AlbertTokenizer");
  EXPECT_THAT(message_of<UnsupportedError>([&] { albert.load(); }),
              AllOf(HasSubstr("spiece.model"), HasSubstr("\"AlbertTokenizer\"")));
  const Copy unknown("nllb");
  unknown.set("tokenizer_class", "");
  EXPECT_THROW(unknown.load(), UnsupportedError);
  const Copy marian("marian");
  marian.set("separate_vocabs", true);
  EXPECT_THROW(marian.load(), UnsupportedError);
}

TEST(PieceVocabularyFiles, NameWhatIsWrong) {
  const Copy marian("marian");
  marian.directory.write("vocab.json", R"({"</s>": 0, "<pad>": 1})");
  EXPECT_THAT(message_of<FormatError>([&] { marian.load(); }),
              AllOf(HasSubstr("source.spm"), HasSubstr("the token \"<unk>\" is missing")));
  marian.directory.write("vocab.json", R"({"</s>": 0, "<pad>": 1000000000})");
  EXPECT_THAT(message_of<FormatError>([&] { marian.load(); }), HasSubstr("id 1000000000 in a vocabulary of 2"));
  marian.directory.write("vocab.json", R"({"</s>": -1})");
  EXPECT_THROW(marian.load(), FormatError);
  const Copy t5("t5");
  t5.directory.write("spiece.model", "no model");
  EXPECT_THROW(t5.load(), FormatError);
}

}  // namespace
