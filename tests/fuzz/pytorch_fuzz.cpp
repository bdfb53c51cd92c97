#include <weft/formats/pytorch.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return weft_fuzz::run([&] { weft_fuzz::read_weights(weft::PytorchFile(weft_fuzz::source_of(data, size))); });
}
