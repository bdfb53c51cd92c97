// Misuse of generators that must not compile: a text that refers to a generator which is gone.
#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include <weft/generation/seq2seq_generator.hpp>

using weft::TokenId;

inline std::size_t control(weft::CausalLM model, weft::Seq2Seq translator, std::span<const TokenId> ids) {
  weft::Generator generate(model);
  weft::Seq2SeqGenerator translate(translator);
  std::size_t bytes = weft::Generator(std::move(model)).text("a").size();
  for (const std::string_view piece : generate(ids)) bytes += piece.size();
  for (const std::string_view piece : translate("a")) bytes += piece.size();
  return bytes;
}

#if CASE == 1  // expect: use of deleted function | call to deleted
inline void of_a_prompt(weft::CausalLM model) {
  for (const std::string_view piece : weft::Generator(std::move(model))("a")) static_cast<void>(piece);
}
#elif CASE == 2  // expect: use of deleted function | call to deleted
inline void of_ids(weft::CausalLM model, std::span<const TokenId> ids) {
  for (const std::string_view piece : weft::Generator(std::move(model))(ids)) static_cast<void>(piece);
}
#elif CASE == 3  // expect: use of deleted function | call to deleted
inline void of_a_source(weft::Seq2Seq model) {
  for (const std::string_view piece : weft::Seq2SeqGenerator(std::move(model))("a")) static_cast<void>(piece);
}
#elif CASE == 4  // expect: use of deleted function | call to deleted
inline void of_an_encoded_source(weft::Seq2Seq model, weft::EncodedSource source) {
  for (const std::string_view piece : weft::Seq2SeqGenerator(std::move(model))(std::move(source)))
    static_cast<void>(piece);
}
#elif CASE == 5  // expect: use of deleted function | call to deleted
inline void of_source_ids(weft::Seq2Seq model, std::span<const TokenId> ids) {
  for (const std::string_view piece : weft::Seq2SeqGenerator(std::move(model))(ids)) static_cast<void>(piece);
}
#endif
