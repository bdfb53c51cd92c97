#include <weft/formats/json.hpp>
#include <weft/tokenizers/chat_template.hpp>

#include "fuzz.hpp"

namespace {

const weft::Json& conversation() {
  static const weft::Json messages = weft::parse_json(
      R"([{"role": "system", "content": "Be brief. "},
          {"role": "user", "content": "Gr\u00fc\u00dfe <b> 'x' \ud83d\ude00"},
          {"role": "assistant", "content": "", "reasoning_content": "hm",
           "tool_calls": [{"id": "abcdef123", "function": {"name": "f", "arguments": {"a": [1, 2.5, null, true]}}}]},
          {"role": "tool", "content": "21", "tool_call_id": "abcdef123"},
          {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}])",
      "messages");
  return messages;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return weft_fuzz::run([&] {
    const weft::ChatTemplate chat(std::string(weft_fuzz::text_of(data, size)), {{"bos_token", "<s>"}});
    weft::ChatTemplateOptions options{.add_generation_prompt = true};
    options.limits = {.steps = 20'000, .bytes = 1 << 22};
    options.tools = conversation();
    weft_fuzz::run([&] { static_cast<void>(chat.apply(conversation(), options)); });
  });
}
