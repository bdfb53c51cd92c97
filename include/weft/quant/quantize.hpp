#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>

#include <weft/core/dtype.hpp>
#include <weft/core/error.hpp>
#include <weft/quant/iq4_nl.hpp>
#include <weft/quant/q2_k.hpp>
#include <weft/quant/q3_k.hpp>
#include <weft/quant/q4_0.hpp>
#include <weft/quant/q4_1.hpp>
#include <weft/quant/q4_k.hpp>
#include <weft/quant/q5_0.hpp>
#include <weft/quant/q5_1.hpp>
#include <weft/quant/q5_k.hpp>
#include <weft/quant/q6_k.hpp>
#include <weft/quant/q8_0.hpp>
#include <weft/quant/q8_128.hpp>
#include <weft/quant/q8_row.hpp>

namespace weft::inline v0 {

namespace detail {

/// How rows of one type are made and read.
struct RowCodec {
  DType dtype;
  void (*encode)(const float* x, std::size_t n, std::byte* row) noexcept;
  void (*decode)(const std::byte* row, std::size_t n, float* y) noexcept;
};

template <class Block>
constexpr RowCodec block_codec(DType dtype) noexcept {
  return {dtype,
          [](const float* x, std::size_t n, std::byte* row) noexcept {
            for (std::size_t i = 0; i < n; i += Block::elements, row += sizeof(Block)) {
              Block block;
              encode(x + i, block);
              std::memcpy(row, &block, sizeof block);
            }
          },
          [](const std::byte* row, std::size_t n, float* y) noexcept {
            for (std::size_t i = 0; i < n; i += Block::elements, row += sizeof(Block)) {
              Block block;
              std::memcpy(&block, row, sizeof block);
              decode(block, y + i);
            }
          }};
}

template <class T>
constexpr RowCodec element_codec(DType dtype) noexcept {
  return {dtype,
          [](const float* x, std::size_t n, std::byte* row) noexcept {
            for (std::size_t i = 0; i < n; ++i) {
              const T element(x[i]);
              std::memcpy(row + i * sizeof element, &element, sizeof element);
            }
          },
          [](const std::byte* row, std::size_t n, float* y) noexcept {
            for (std::size_t i = 0; i < n; ++i) {
              T element;
              std::memcpy(&element, row + i * sizeof element, sizeof element);
              y[i] = static_cast<float>(element);
            }
          }};
}

/// Every type that weights are stored in, one line each.
inline constexpr auto row_codecs = std::to_array<RowCodec>({
    element_codec<float>(DType::f32),
    element_codec<half>(DType::f16),
    element_codec<bfloat16>(DType::bf16),
    block_codec<BlockQ8_0>(DType::q8_0),
    block_codec<BlockQ4_0>(DType::q4_0),
    block_codec<BlockQ4_1>(DType::q4_1),
    block_codec<BlockQ5_0>(DType::q5_0),
    block_codec<BlockQ5_1>(DType::q5_1),
    block_codec<BlockQ4_K>(DType::q4_k),
    block_codec<BlockQ5_K>(DType::q5_k),
    block_codec<BlockQ6_K>(DType::q6_k),
    block_codec<BlockQ8_128>(DType::q8_128),
    {DType::q8_row, encode_q8_row, decode_q8_row},
    block_codec<BlockQ2_K>(DType::q2_k),
    block_codec<BlockQ3_K>(DType::q3_k),
    block_codec<BlockIQ4_NL>(DType::iq4_nl),
});

/// How rows of one type become rows of another that holds the same numbers.
struct RowConversion {
  DType from;
  DType to;
  void (*convert)(const std::byte* row, std::size_t n, std::byte* out) noexcept;
};

template <class From, class To>
constexpr RowConversion block_conversion(DType from, DType to) noexcept {
  static_assert(From::elements == To::elements);
  return {from, to, [](const std::byte* row, std::size_t n, std::byte* out) noexcept {
            for (std::size_t i = 0; i < n; i += From::elements, row += sizeof(From), out += sizeof(To)) {
              From block;
              To converted;
              std::memcpy(&block, row, sizeof block);
              convert(block, converted);
              std::memcpy(out, &converted, sizeof converted);
            }
          }};
}

inline constexpr auto row_conversions = std::to_array<RowConversion>({
    block_conversion<BlockQ3_K, BlockQ6_K>(DType::q3_k, DType::q6_k),
    block_conversion<BlockIQ4_NL, BlockQ8_0>(DType::iq4_nl, DType::q8_0),
});

inline const RowCodec& row_codec(DType dtype, std::size_t n) {
  static_cast<void>(bytes_of(dtype, n));
  for (const RowCodec& codec : row_codecs)
    if (codec.dtype == dtype) return codec;
  raise<UnsupportedError>("rows of weights are not stored as ", name(dtype));
}

}  // namespace detail

/// Encodes n elements as one row of type `to`: bytes_of(to, n) bytes at any address. Throws ShapeError where n elements
/// do not fill its blocks, UnsupportedError for types that hold no weights.
inline void quantize_row(DType to, const float* x, std::size_t n, std::byte* row) {
  detail::row_codec(to, n).encode(x, n, row);
}

/// Decodes a row of n elements at any address, exactly. Throws as quantize_row.
inline void dequantize_row(DType from, const std::byte* row, std::size_t n, float* y) {
  detail::row_codec(from, n).decode(row, n, y);
}

/// A row of n elements of type `from` as one of type `to`: exactly where that holds the same numbers (q3_k in q6_k,
/// iq4_nl in q8_0), otherwise decoded into `floats` (n) and encoded. Throws as quantize_row.
inline void convert_row(DType from, const std::byte* row, std::size_t n, DType to, std::byte* out, float* floats) {
  for (const detail::RowConversion& conversion : detail::row_conversions)
    if (conversion.from == from && conversion.to == to) {
      static_cast<void>(bytes_of(from, n));
      return conversion.convert(row, n, out);
    }
  dequantize_row(from, row, n, floats);
  quantize_row(to, floats, n, out);
}

/// The type in which weights of type `dtype` are multiplied: itself for all but the formats that have no kernels, which
/// are q3_k and iq4_nl (q6_k and q8_0 hold the same numbers) and q2_k (q8_0 moves an element by less than 1/220 of the
/// largest of its 32).
constexpr DType kernel_dtype(DType dtype) noexcept {
  switch (dtype) {
    case DType::q3_k: return DType::q6_k;
    case DType::q2_k:
    case DType::iq4_nl: return DType::q8_0;
    default: return dtype;
  }
}

}  // namespace weft::inline v0
