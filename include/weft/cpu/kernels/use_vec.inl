// Included by the sets that extend another, inside their namespace, where `vec` names that set: its vectors and the
// functions on them.

using vec::IntVec;
using vec::Vec;
using vec::width;

using vec::abs;
using vec::add;
using vec::fma;
using vec::less;
using vec::load;
using vec::load_partial;
using vec::max;
using vec::mul;
using vec::reduce_add;
using vec::reduce_add4;
using vec::reduce_max4;
using vec::round;
using vec::select_less;
using vec::set;
using vec::store;
using vec::store_partial;
using vec::sub;
using vec::transpose;
using vec::unordered;
using vec::zero;

using vec::add_bytes;
using vec::add_ints;
using vec::as_float;
using vec::bit_and;
using vec::bit_or;
using vec::bit_xor;
using vec::load_ints;
using vec::low_element;
using vec::multiply;
using vec::set_byte;
using vec::set_int;
using vec::shift_left;
using vec::shift_right;
using vec::shift_right_by;
using vec::shift_right_signed;
using vec::store_ints;
using vec::to_float;
