#pragma once

#include <cublasLt.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <type_traits>

#include <weft/cuda/core/device_buffer.cuh>
#include <weft/cuda/ops/elementwise.cuh>
#include <weft/cuda/ops/linear.cuh>

namespace weft::inline v0::cuda {

namespace detail {

inline void check(cublasStatus_t status, const char* call, const char* file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
  if (status != CUBLAS_STATUS_SUCCESS)
    raise<CudaError>(call, " failed: ", cublasLtGetStatusString(status), " at ", file, ":", line);
}

template <auto Destroy>
struct Destroyer {
  template <class T>
  void operator()(T* object) const noexcept {
    static_cast<void>(Destroy(object));
  }
};
using LtHandle = std::unique_ptr<std::remove_pointer_t<cublasLtHandle_t>, Destroyer<cublasLtDestroy>>;
using LtProduct = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>, Destroyer<cublasLtMatmulDescDestroy>>;
using LtLayout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>, Destroyer<cublasLtMatrixLayoutDestroy>>;
using LtPreference =
    std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, Destroyer<cublasLtMatmulPreferenceDestroy>>;

template <Storage T>
inline constexpr cudaDataType_t lt_type = std::same_as<T, float> ? CUDA_R_32F
                                          : is_bfloat16<T>       ? CUDA_R_16BF
                                                                 : CUDA_R_16F;

/// A matrix whose rows, or whose columns, lie one after the other.
struct LtMatrix {
  std::size_t rows;
  std::size_t columns;
  std::size_t stride;  // from row to row, or from column to column
  bool by_columns;
  cudaDataType_t type;
  std::size_t alignment;  // of the data, up to 256 bytes

  auto operator<=>(const LtMatrix&) const = default;
};

inline std::size_t alignment_of(const void* data) noexcept {
  std::size_t alignment = 256;
  while (!is_aligned(data, alignment)) alignment /= 2;
  return alignment;
}

template <class T>
LtMatrix lt_matrix(const char* what, const TensorView<T, 2>& x) {
  const bool by_rows = x.extent(1) <= 1 || x.stride(1) == 1;
  if (!by_rows && x.extent(0) > 1 && x.stride(0) != 1)
    raise<ShapeError>("matmul: neither rows nor columns of ", what, " lie one after the other");
  const std::size_t stride = x.stride(by_rows ? 0 : 1);
  const std::size_t line = x.extent(by_rows ? 1 : 0);
  return {x.extent(0),           x.extent(1), stride < line ? line : stride, !by_rows, lt_type<std::remove_const_t<T>>,
          alignment_of(x.data())};
}

/// One product as cuBLASLt runs it.
struct LtPlan {
  LtProduct product;
  LtLayout a, b, y;
  cublasLtMatmulAlgo_t algorithm;
};

}  // namespace detail

/// Products of matrices by cuBLASLt. For every shape the algorithm is looked for once and kept. One thread at a time;
/// the products of one object are of the device that
/// was current when it was made and follow each other in a stream, since they share its workspace.
class MatmulPlans {
 public:
  /// The device memory of each of these objects.
  static constexpr std::size_t workspace_bytes = std::size_t{32} << 20;

  /// Throws CudaError where there is no device.
  explicit MatmulPlans(cudaStream_t stream = {}) : workspace_(workspace_bytes, stream) {
    cublasLtHandle_t handle = nullptr;
    detail::check(cublasLtCreate(&handle), "cublasLtCreate");
    handle_.reset(handle);
  }

  std::size_t size() const noexcept { return plans_.size(); }

  /// y = a b + bias: a (m, k), b (k, n), y (m, n), of which y's rows and a's and b's rows or columns lie one after the
  /// other; transposes are views, as weight.transpose(0, 1). bias: (n), of the type of y, or null. Half or bfloat16 (y
  /// float too); sums in float. y must not overlap a or b. Throws ShapeError, CudaError.
  template <DeviceTensorLike A, DeviceTensorLike B, DeviceTensorLike Y>
  void matmul(const A& a, const B& b, const device_value_t<Y>* bias, Y&& y, cudaStream_t stream = {}) {
    static_assert(HalfStorage<device_value_t<A>> && std::same_as<device_value_t<A>, device_value_t<B>>,
                  "matmul: a and b are half or bfloat16, both the same");
    const auto left = device_view(a);
    const auto right = device_view(b);
    const auto result = device_view(y);
    weft::detail::require_extent("matmul", "the number of rows of b", right.extent(0), left.extent(1));
    weft::detail::require_shape("matmul", "y", result.extents(), Dims<2>{left.extent(0), right.extent(1)});
    if (result.empty()) return;
    if (left.extent(1) == 0) {
      if (!bias) return fill(result, device_value_t<Y>{}, stream);
      return copy(TensorView<const device_value_t<Y>, 1>(bias, {result.extent(1)}), result, stream);
    }
    const Key key{detail::lt_matrix("a", left), detail::lt_matrix("b", right), detail::lt_matrix("y", result),
                  bias ? detail::alignment_of(bias) : 0};
    if (key.y.by_columns) raise<ShapeError>("matmul: the elements of a row of y must lie one after the other");
    auto found = plans_.find(key);
    if (found == plans_.end()) found = plans_.emplace(key, plan(key, bias)).first;
    const detail::LtPlan& plan = found->second;
    if (bias) set(plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    const float one = 1.f;
    const float zero = 0.f;
    detail::check(cublasLtMatmul(handle_.get(), plan.product.get(), &one, right.data(), plan.b.get(), left.data(),
                                 plan.a.get(), &zero, result.data(), plan.y.get(), result.data(), plan.y.get(),
                                 &plan.algorithm, workspace_.data(), workspace_.bytes(), stream),
                  "cublasLtMatmul");
  }

 private:
  struct Key {
    detail::LtMatrix a, b, y;
    std::size_t bias_alignment;  // 0: no bias
    auto operator<=>(const Key&) const = default;
  };

  template <class Value>
  static void set(const detail::LtPlan& plan, cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    detail::check(cublasLtMatmulDescSetAttribute(plan.product.get(), attribute, &value, sizeof value),
                  "cublasLtMatmulDescSetAttribute");
  }
  static detail::LtLayout layout(cudaDataType_t type, std::size_t rows, std::size_t columns, std::size_t stride) {
    cublasLtMatrixLayout_t made = nullptr;
    detail::check(cublasLtMatrixLayoutCreate(&made, type, rows, columns, static_cast<std::int64_t>(stride)),
                  "cublasLtMatrixLayoutCreate");
    return detail::LtLayout(made);
  }
  /// cuBLASLt counts by columns, in which a matrix by rows is its transpose: y^T = b^T a^T.
  static detail::LtLayout layout(const detail::LtMatrix& m) {
    return m.by_columns ? layout(m.type, m.rows, m.columns, m.stride) : layout(m.type, m.columns, m.rows, m.stride);
  }

  /// The algorithm is looked for with a bias as aligned as the ones to come.
  detail::LtPlan plan(const Key& key, const void* bias) const {
    detail::LtPlan plan;
    cublasLtMatmulDesc_t product = nullptr;
    detail::check(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
    plan.product.reset(product);
    const auto turned = [](const detail::LtMatrix& m) { return m.by_columns ? CUBLAS_OP_T : CUBLAS_OP_N; };
    set(plan, CUBLASLT_MATMUL_DESC_TRANSA, turned(key.b));
    set(plan, CUBLASLT_MATMUL_DESC_TRANSB, turned(key.a));
    if (bias) {
      set(plan, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(plan, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, key.y.type);
      set(plan, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    }
    plan.a = layout(key.a);
    plan.b = layout(key.b);
    plan.y = layout(key.y);
    cublasLtMatmulPreference_t made = nullptr;
    detail::check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
    const detail::LtPreference preference(made);
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
      detail::check(cublasLtMatmulPreferenceSetAttribute(made, attribute, &value, sizeof value),
                    "cublasLtMatmulPreferenceSetAttribute");
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(workspace_.bytes()));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<std::uint32_t>(key.b.alignment));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<std::uint32_t>(key.a.alignment));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<std::uint32_t>(key.y.alignment));
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<std::uint32_t>(key.y.alignment));
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    detail::check(cublasLtMatmulAlgoGetHeuristic(handle_.get(), product, plan.b.get(), plan.a.get(), plan.y.get(),
                                                 plan.y.get(), made, 1, &best, &found),
                  "cublasLtMatmulAlgoGetHeuristic");
    if (found == 0)
      raise<CudaError>("matmul: cuBLASLt has no algorithm for (", key.a.rows, ", ", key.a.columns, ") x (", key.b.rows,
                       ", ", key.b.columns, ")");
    plan.algorithm = best.algo;
    return plan;
  }

  detail::LtHandle handle_;
  DeviceBuffer workspace_;
  std::map<Key, detail::LtPlan> plans_;
};

/// y = x weight^T + bias: linear_few() for up to 16 tokens, otherwise cuBLASLt. y is of the type of x, or float. Throws
/// as these do, UnsupportedError for a bias of another type than y's where there are more tokens.
template <DeviceTensorLike X, DeviceTensorLike W, DeviceTensorLike Y>
void linear(MatmulPlans& plans, const X& x, const W& weight, const device_value_t<X>* bias, Y&& y,
            cudaStream_t stream = {}) {
  if (device_view(x).extent(0) <= detail::most_linear_tokens) return linear_few(x, weight, bias, y, stream);
  const auto turned = device_view(weight).transpose(0, 1);
  if constexpr (std::same_as<device_value_t<X>, device_value_t<Y>>) {
    plans.matmul(x, turned, bias, y, stream);
  } else {
    if (bias) raise<UnsupportedError>("linear: a bias is of the type of the product");
    plans.matmul(x, turned, nullptr, y, stream);
  }
}

}  // namespace weft::inline v0::cuda
