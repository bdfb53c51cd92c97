// What these tests need of <weft/define.hpp>: kernels of the CPU and readers of checkpoints. Tokenizers are no part of
// them, whose libraries a machine with a device may lack.
#include <weft/cpu/define_kernels.hpp>
#include <weft/formats/checkpoint.hpp>
#include <weft/formats/json.hpp>

#include <weft/formats/checkpoint.inl>
#include <weft/formats/json.inl>
