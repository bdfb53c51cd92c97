// Misuse of tensors and views that must not compile.
#include <string>

#include <weft/core/any_tensor.hpp>
#include <weft/core/tensor.hpp>

using weft::dynamic;
using weft::Extents;
using weft::Tensor;
using weft::TensorView;

template <std::size_t Columns>
using Table = TensorView<const float, 2, Extents<dynamic, Columns>>;

inline float read_table(Table<64> table) { return table(0, 0); }
inline void write(TensorView<float, 2> out) { out(0, 0) = 1.0f; }

// The same things done properly: what fails below fails for the reason it names.
inline float control() {
  Tensor<float, 2> values({2, 64});
  const Tensor<float, 2, Extents<dynamic, 64>> table({2, 64});
  write(values);
  const TensorView<const float, 2> reader = values;
  Tensor<float, 1> vector({3});
  const TensorView<const float, 2, Extents<dynamic, 64>> stated(values.view());
  return read_table(table.view()) + read_table(stated) + reader(1, 2) + vector(0) +
         values.view().transpose(0, 1).contiguous()(0, 0);
}

#if CASE == 1  // expect: no matching function | no viable conversion | could not convert
inline float mismatch(Table<32> narrow) { return read_table(narrow); }
#elif CASE == 2   // expect: no matching function | no matching conversion
inline float explicit_mismatch(Table<32> narrow) { return Table<64>(narrow)(0, 0); }
#elif CASE == 3   // expect: could not convert | no viable conversion | no known conversion
inline float unchecked(TensorView<const float, 2> table) { return read_table(table); }
#elif CASE == 4   // expect: a Tensor owns mutable elements
inline std::size_t constant_elements() { return Tensor<const float, 1>({3}).size(); }
#elif CASE == 5   // expect: constraints not satisfied
inline std::size_t not_an_element() { return Tensor<std::string, 1>({3}).size(); }
#elif CASE == 6   // expect: TensorView holds the element types of DType
inline std::size_t not_an_element_of_a_view() { return TensorView<std::string, 1>().size(); }
#elif CASE == 7   // expect: a tensor has 1 to 8 dimensions
inline std::size_t rank_0() { return TensorView<float, 0>().size(); }
#elif CASE == 8   // expect: a tensor has 1 to 8 dimensions
inline std::size_t rank_9() { return Tensor<float, 9>().size(); }
#elif CASE == 9   // expect: could not convert | no viable conversion | no known conversion
inline void mutable_from_const(TensorView<const float, 2> reader) { write(reader); }
#elif CASE == 10  // expect: read-only | const-qualified
inline void write_through_const(TensorView<const float, 2> reader) { reader(0, 0) = 1.0f; }
#elif CASE == 11  // expect: could not convert | no viable conversion | no known conversion | no matching function
inline void write_constant_tensor(const Tensor<float, 2>& values) { write(values); }
#elif CASE == 12  // expect: no match for | no matching function
inline float too_few_indices(TensorView<const float, 2> reader) { return reader(1); }
#elif CASE == 13  // expect: could not convert | no viable conversion | no known conversion
inline void another_element_type(TensorView<weft::bfloat16, 2> values) { write(values); }
#elif CASE == 14  // expect: could not convert | no viable conversion | no known conversion
inline void another_rank(TensorView<float, 3> values) { write(values); }
#elif CASE == 15  // expect: constraints not satisfied | no matching member function
inline auto elements_of_no_type(const weft::AnyTensor& any) { return any.elements<std::string>(); }
#elif CASE == 16  // expect: broadcasting never removes a dimension
inline auto fewer_dimensions(TensorView<float, 2> values) { return values.broadcast_to(weft::Dims<1>{4}); }
#elif CASE == 17  // expect: as many extents as dimensions
inline std::size_t extents_of_another_rank() { return TensorView<float, 2, Extents<4>>().size(); }
#endif
