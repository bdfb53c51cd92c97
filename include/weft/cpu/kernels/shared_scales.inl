// Included by avx2_vnni.hpp and avx512_vnni.hpp, inside their namespace and target region: what both write of four
// blocks of a token at once.

/// generic::shared_scale_bits of four blocks; largest: the bits of the largest magnitude in each.
WEFT_ALWAYS_INLINE __m128i shared_scale_bits(__m128i largest) noexcept {
  const __m128i above = _mm_cmpgt_epi32(_mm_and_si128(largest, _mm_set1_epi32(0x7fffff)), _mm_set1_epi32(0x7e0000));
  const __m128i power = _mm_sub_epi32(_mm_sub_epi32(_mm_srli_epi32(largest, 23), _mm_set1_epi32(6)), above);
  const __m128i within = _mm_min_epi32(_mm_max_epi32(power, _mm_set1_epi32(127 - 60)), _mm_set1_epi32(127 + 60));
  return _mm_slli_epi32(within, 23);
}

/// The bits of 1 / scale, of those of the scale.
WEFT_ALWAYS_INLINE __m128i inverse_bits(__m128i scale) noexcept {
  return _mm_sub_epi32(_mm_set1_epi32(254 << 23), scale);
}

/// The bits of 1.5 * 2^23 * scale, from which sums are counted: its exponent above that of 1, and its half.
WEFT_ALWAYS_INLINE __m128i origin_bits(__m128i scale) noexcept {
  return _mm_add_epi32(scale, _mm_set1_epi32((23 << 23) + (1 << 22)));
}

/// Where the sums of products begin: at -128 times that of the codes.
WEFT_ALWAYS_INLINE __m128i start(__m128i sums) noexcept {
  return _mm_slli_epi32(_mm_sub_epi32(_mm_setzero_si128(), sums), 7);
}
