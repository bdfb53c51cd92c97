#include <weft/formats/pickle.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return weft_fuzz::run([&] {
    // The pickle of a whole checkpoint begins behind the name of its file.
    std::string_view bytes = weft_fuzz::text_of(data, size);
    if (const std::size_t begin = bytes.find("\x80\x02"); begin != bytes.npos && !bytes.starts_with("\x80"))
      bytes.remove_prefix(begin);
    const weft::Pickle pickle(bytes, "data.pkl");
    for (const weft::PickleValue value : pickle.root())
      if (value.is_tensor()) static_cast<void>(value.as_tensor());
    static_cast<void>(pickle.root().find("model"));
  });
}
