#include <weft/cpu/define_kernels.hpp>
