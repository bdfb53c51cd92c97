#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <weft/core/half.hpp>

#include "cuda_runtime_api.h"

// The calls of cuBLASLt that weft makes: y = op(a) op(b) + bias by columns, in double.

enum cublasStatus_t { CUBLAS_STATUS_SUCCESS = 0, CUBLAS_STATUS_INVALID_VALUE = 7 };
enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_16F = 2, CUDA_R_16BF = 14 };
enum cublasComputeType_t { CUBLAS_COMPUTE_32F = 68 };
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum cublasLtEpilogue_t { CUBLASLT_EPILOGUE_DEFAULT = 1, CUBLASLT_EPILOGUE_BIAS = 4 };
enum cublasLtMatmulDescAttributes_t {
  CUBLASLT_MATMUL_DESC_TRANSA = 3,
  CUBLASLT_MATMUL_DESC_TRANSB = 4,
  CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
  CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8,
  CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE = 26,
};
enum cublasLtMatmulPreferenceAttributes_t {
  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8,
};

struct cublasLtContext {
  int device = emulation::current_device;
};
struct cublasLtMatmulDescOpaque_t {
  cublasOperation_t turn_a = CUBLAS_OP_N;
  cublasOperation_t turn_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
  cudaDataType_t bias_type = CUDA_R_32F;
};
struct cublasLtMatrixLayoutOpaque_t {
  cudaDataType_t type;
  std::uint64_t rows;
  std::uint64_t columns;
  std::int64_t stride;  // from column to column
};
struct cublasLtMatmulPreferenceOpaque_t {};
struct cublasLtMatmulAlgo_t {};
struct cublasLtMatmulHeuristicResult_t {
  cublasLtMatmulAlgo_t algo;
};
using cublasLtHandle_t = cublasLtContext*;
using cublasLtMatmulDesc_t = cublasLtMatmulDescOpaque_t*;
using cublasLtMatrixLayout_t = cublasLtMatrixLayoutOpaque_t*;
using cublasLtMatmulPreference_t = cublasLtMatmulPreferenceOpaque_t*;

inline const char* cublasLtGetStatusString(cublasStatus_t) { return "the emulated library refuses"; }
inline cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t, cudaDataType_t) {
  *made = new cublasLtMatmulDescOpaque_t;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType_t type, std::uint64_t rows,
                                                 std::uint64_t columns, std::int64_t stride) {
  *made = new cublasLtMatrixLayoutOpaque_t{type, rows, columns, stride};
  return stride >= static_cast<std::int64_t>(rows) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
inline cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) {
  *made = new cublasLtMatmulPreferenceOpaque_t;
  return CUBLAS_STATUS_SUCCESS;
}
template <class T>
cublasStatus_t cublas_lt_delete(T* object) {
  delete object;
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) { return cublas_lt_delete(handle); }
inline cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t product) { return cublas_lt_delete(product); }
inline cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return cublas_lt_delete(layout); }
inline cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) { return cublas_lt_delete(p); }

inline cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                           cublasLtMatmulPreferenceAttributes_t, const void*,
                                                           std::size_t) {
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                                     cublasLtMatmulDescAttributes_t attribute, const void* value,
                                                     std::size_t bytes) {
  const auto set = [&](auto& to) {
    if (bytes != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
  };
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(product->turn_a);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(product->turn_b);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(product->epilogue);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(product->bias);
    default: return set(product->bias_type);
  }
}
inline cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                                     cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                                     cublasLtMatrixLayout_t, cublasLtMatmulPreference_t, int,
                                                     cublasLtMatmulHeuristicResult_t*, int* found) {
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

namespace emulation {

inline double load_element(const void* data, cudaDataType_t type, std::size_t i) {
  if (type == CUDA_R_32F) return static_cast<const float*>(data)[i];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(data)[i];
  return type == CUDA_R_16F ? weft::detail::float_from_half_bits(bits) : weft::detail::float_from_bfloat16_bits(bits);
}
inline void store_element(void* data, cudaDataType_t type, std::size_t i, double value) {
  const auto rounded = static_cast<float>(value);
  if (type == CUDA_R_32F) {
    static_cast<float*>(data)[i] = rounded;
  } else {
    static_cast<std::uint16_t*>(data)[i] = type == CUDA_R_16F ? weft::detail::half_bits_from_float(rounded)
                                                              : weft::detail::bfloat16_bits_from_float(rounded);
  }
}
inline std::size_t place(const cublasLtMatrixLayoutOpaque_t& m, bool turned, std::size_t row, std::size_t column) {
  if (turned) std::swap(row, column);
  return column * static_cast<std::size_t>(m.stride) + row;
}

}  // namespace emulation

inline cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product, const void*, const void* a,
                                     cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                                     const void*, const void*, cublasLtMatrixLayout_t, void* y,
                                     cublasLtMatrixLayout_t y_layout, const cublasLtMatmulAlgo_t*, void*, std::size_t,
                                     cudaStream_t stream) {
  if (handle->device != (stream ? stream->device : emulation::current_device)) return CUBLAS_STATUS_INVALID_VALUE;
  const auto of_call = [p = *product, la = *a_layout, lb = *b_layout, ly = *y_layout, a, b, y] {
    const bool turn_a = p.turn_a == CUBLAS_OP_T;
    const bool turn_b = p.turn_b == CUBLAS_OP_T;
    const std::size_t k = turn_a ? la.rows : la.columns;
    for (std::size_t i = 0; i < ly.rows; ++i)
      for (std::size_t j = 0; j < ly.columns; ++j) {
        const bool biased = p.epilogue == CUBLASLT_EPILOGUE_BIAS;
        double sum = biased ? emulation::load_element(p.bias, p.bias_type, i) : 0.0;
        for (std::size_t l = 0; l < k; ++l)
          sum += emulation::load_element(a, la.type, emulation::place(la, turn_a, i, l)) *
                 emulation::load_element(b, lb.type, emulation::place(lb, turn_b, l, j));
        emulation::store_element(y, ly.type, emulation::place(ly, false, i, j), sum);
      }
    return cudaSuccess;
  };
  const std::uint64_t rows = product->turn_a == CUBLAS_OP_T ? a_layout->columns : a_layout->rows;
  const std::uint64_t columns = product->turn_b == CUBLAS_OP_T ? b_layout->rows : b_layout->columns;
  const std::uint64_t k_of_a = product->turn_a == CUBLAS_OP_T ? a_layout->rows : a_layout->columns;
  const std::uint64_t k_of_b = product->turn_b == CUBLAS_OP_T ? b_layout->columns : b_layout->rows;
  if (rows != y_layout->rows || columns != y_layout->columns || k_of_a != k_of_b) return CUBLAS_STATUS_INVALID_VALUE;
  return emulation::submit(stream, of_call) == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}
