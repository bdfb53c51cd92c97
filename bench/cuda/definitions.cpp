// The kernels of the CPU, which the host's side of models on a device names.
#include <weft/cpu/define_kernels.hpp>
