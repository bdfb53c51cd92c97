// A view knows of tensors, and does not have them: who makes one is told that core/tensor.hpp is missing.
#include <weft/core/tensor_view.hpp>

inline float read_table(weft::TensorView<const float, 2> table) { return table(0, 0); }
inline float control(const float* values) { return read_table({values, {2, 64}}); }
inline void take(const weft::Tensor<float, 2>& values);

#if CASE == 1  // expect: incomplete type | undefined template
inline float no_definition() { return weft::Tensor<float, 2>({2, 64})(0, 0); }
#elif CASE == 2  // expect: incomplete type | undefined template
inline void no_definition_of_a_variable() { weft::Tensor<float, 2> values({2, 64}); }
#endif
