// What products of weights in int8 and int4 (plugins/abi/ops.md) with rows rounded to int8 in groups of 128 share,
// whether two products of bytes are summed at a time (pairs.inl) or four (fours.inl): integer sums of a group, which no
// order of summation changes, then one multiply-add in float32 per group. Lanes add up the same columns whatever the
// tile, so here too a row has the same bits in any company.
constexpr int64_t kIntGroup = 128;

typedef int8_t HalfS8 __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));
typedef int16_t S16 __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));
typedef uint16_t B16 __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));

MODELC_INLINE int64_t IntGroups(int64_t k) { return (k + kIntGroup - 1) / kIntGroup; }

// Rounds n <= 128 values to int8, zeros beyond; returns the scale. What is not finite makes the scale NaN.
static float QuantizeGroup(const float* x, int64_t n, int8_t* q) {
  const float amax = LargestMagnitude(x, n, 0.0f);
  const bool some = amax >= 1e-30f;
  RoundToInt8(x, n, some ? 127.0f / amax : 0.0f, q);
  for (int64_t i = n; i < kIntGroup; ++i) q[i] = 0;
  return some ? amax / 127.0f : amax * 0.0f;
}
