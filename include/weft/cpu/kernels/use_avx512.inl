// Included by the sets that extend AVX-512, inside their namespace: the vectors and the functions on them.

using avx512::IntVec;
using avx512::Vec;
using avx512::width;

using avx512::abs;
using avx512::add;
using avx512::fma;
using avx512::load;
using avx512::load_partial;
using avx512::max;
using avx512::mul;
using avx512::reduce_add;
using avx512::reduce_add4;
using avx512::reduce_max4;
using avx512::round;
using avx512::select_less;
using avx512::set;
using avx512::store;
using avx512::store_partial;
using avx512::sub;
using avx512::to_bfloat16;
using avx512::transpose;
using avx512::zero;

using avx512::add_bytes;
using avx512::as_float;
using avx512::bit_and;
using avx512::bit_or;
using avx512::bit_xor;
using avx512::load_ints;
using avx512::low_element;
using avx512::multiply;
using avx512::set_byte;
using avx512::set_int;
using avx512::shift_left;
using avx512::shift_right;
using avx512::shift_right_by;
using avx512::shift_right_signed;
using avx512::store_ints;
using avx512::to_float;
