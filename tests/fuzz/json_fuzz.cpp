#include <weft/formats/json.hpp>

#include "fuzz.hpp"

namespace {

void visit(const weft::Json& json) {
  static_cast<void>(json.location());
  for (const weft::Json& member : json) {
    static_cast<void>(json.find(member.key()));
    visit(member);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return weft_fuzz::run([&] { visit(weft::parse_json(weft_fuzz::text_of(data, size), "config.json")); });
}
