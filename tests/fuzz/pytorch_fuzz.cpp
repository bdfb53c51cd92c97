#include <weft/formats/pytorch.hpp>

#include "fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return weft_fuzz::read_weights<weft::PytorchFile>(weft_fuzz::text_of(data, size));
}
