// Products of weights in int8 and int4 (plugins/abi/ops.md) with rows rounded to int8 in groups of 128: integer sums of
// a group, which no order of summation changes, then one multiply-add in float32 per group. Lanes add up the same
// columns whatever the tile, so here too a row has the same bits in any company.
constexpr int64_t kIntGroup = 128;

typedef int8_t S8 __attribute__((ext_vector_type(4 * MODELC_SIMD_LANES)));
typedef uint8_t B8 __attribute__((ext_vector_type(4 * MODELC_SIMD_LANES)));
typedef int8_t HalfS8 __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));
typedef int16_t S16 __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));
typedef uint16_t B16 __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));

// a[2i]·b[2i] + a[2i+1]·b[2i+1] of bytes, a without sign. The sum must fit 16 bits: the instruction saturates.
MODELC_INLINE S16 MultiplyPairs(B8 a, S8 b) {
#if defined(__AVX512BW__) && MODELC_SIMD_LANES == 16
  return __builtin_bit_cast(S16, _mm512_maddubs_epi16(__builtin_bit_cast(__m512i, a), __builtin_bit_cast(__m512i, b)));
#elif defined(__AVX2__) && MODELC_SIMD_LANES == 8
  return __builtin_bit_cast(S16, _mm256_maddubs_epi16(__builtin_bit_cast(__m256i, a), __builtin_bit_cast(__m256i, b)));
#else
  const B16 x = __builtin_bit_cast(B16, a);
  const S16 y = __builtin_bit_cast(S16, b);
  return __builtin_bit_cast(S16, x & B16(0xff)) * ((y << S16(8)) >> S16(8)) +
         __builtin_bit_cast(S16, x >> B16(8)) * (y >> S16(8));
#endif
}

// c plus sums of four products of bytes, a without sign.
MODELC_INLINE I32 MultiplyAddFours(B8 a, S8 b, I32 c) {
#if defined(__AVX512VNNI__) && MODELC_SIMD_LANES == 16
  return __builtin_bit_cast(I32, _mm512_dpbusd_epi32(__builtin_bit_cast(__m512i, c), __builtin_bit_cast(__m512i, a),
                                                     __builtin_bit_cast(__m512i, b)));
#else
  const U32 x = __builtin_bit_cast(U32, a);
  const I32 y = __builtin_bit_cast(I32, b);
  for (int j = 0; j < 4; ++j) c += __builtin_bit_cast(I32, (x >> (8 * j)) & 0xffu) * ((y << (24 - 8 * j)) >> 24);
  return c;
#endif
}

// A format of weights: bytes of a group with its scale in front, bytes of a packed group of x, how x is packed, and the
// sums of a group, of products in units of the two scales.
struct Int8Weights {
  static constexpr int64_t kGroupBytes = 4 + kIntGroup;
  static constexpr int64_t kInputBytes = 2 * kIntGroup;  // int16: what the weights are widened to
  static constexpr int kRowsOfFew = 4, kRowsOfMany = 3;  // weights in a tile with up to two rows of x, and more

  static void Pack(const int8_t* q, std::byte* out) {
    int16_t* wide = reinterpret_cast<int16_t*>(out);
    for (int64_t i = 0; i < kIntGroup; ++i) wide[i] = q[i];
  }

  template <int kX, int kRows>
  MODELC_INLINE void Sums(const std::byte* const* w, const std::byte* const* x, I32 sum[kX][kRows]) {
    for (int t = 0; t < kX; ++t)
      for (int r = 0; r < kRows; ++r) sum[t][r] = I32(0);
#pragma unroll 2
    for (int64_t i = 0; i < kIntGroup; i += 2 * kLanes) {
      S16 v[kRows];
      for (int r = 0; r < kRows; ++r) v[r] = __builtin_convertvector(Load<HalfS8>(w[r] + 4 + i), S16);
      for (int t = 0; t < kX; ++t) {
        const I32 u = Load<I32>(x[t] + 2 * i);
        for (int r = 0; r < kRows; ++r) sum[t][r] = MultiplyAddPairs(u, __builtin_bit_cast(I32, v[r]), sum[t][r]);
      }
    }
  }
};

// The same summed four at a time: weights go without sign, 128 more than they are, and a packed group ends with what to
// take off each lane for that.
struct Int8Fours {
  static constexpr int64_t kGroupBytes = Int8Weights::kGroupBytes;
  static constexpr int kBytes = 4 * kLanes;  // in a vector
  static constexpr int64_t kInputBytes = kIntGroup + kBytes;
  static constexpr int kRowsOfFew = 4, kRowsOfMany = 3;

  static void Pack(const int8_t* q, std::byte* out) {
    __builtin_memcpy(out, q, kIntGroup);
    int32_t* offset = reinterpret_cast<int32_t*>(out + kIntGroup);
    for (int i = 0; i < kLanes; ++i) offset[i] = 0;
    for (int64_t i = 0; i < kIntGroup; ++i) offset[i % kBytes / 4] -= 128 * q[i];
  }

  template <int kX, int kRows>
  MODELC_INLINE void Sums(const std::byte* const* w, const std::byte* const* x, I32 sum[kX][kRows]) {
    for (int t = 0; t < kX; ++t)
      for (int r = 0; r < kRows; ++r) sum[t][r] = Load<I32>(x[t] + kIntGroup);
#pragma unroll
    for (int64_t i = 0; i < kIntGroup; i += kBytes) {
      B8 v[kRows];
      for (int r = 0; r < kRows; ++r) v[r] = Load<B8>(w[r] + 4 + i) ^ B8(0x80);
      for (int t = 0; t < kX; ++t) {
        const S8 u = Load<S8>(x[t] + i);
        for (int r = 0; r < kRows; ++r) sum[t][r] = MultiplyAddFours(v[r], u, sum[t][r]);
      }
    }
  }
};

// The factors of int4 vector v's blocks, one a lane.
MODELC_INLINE U32 Int4Factors(const std::byte* w, int64_t v) {
  uint32_t bytes;
  __builtin_memcpy(&bytes, w + 4, sizeof bytes);
  const U32 block = __builtin_bit_cast(U32, LaneNumbers()) / 4u + static_cast<uint32_t>(v) * (kLanes / 4);
  return (U32(bytes) >> (block * 8u)) & 0xffu;
}

struct Int4Weights {
  static constexpr int64_t kGroupBytes = 4 + 4 + kIntGroup / 2;
  static constexpr int kBytes = 4 * kLanes;  // in a vector, two columns each
  static constexpr int64_t kVectors = kIntGroup / 2 / kBytes;
  static constexpr int64_t kInputBytes = kVectors * 3 * kBytes;
  static constexpr int kRowsOfFew = 2, kRowsOfMany = 1;

  // For each vector of weights: the even columns of x, the odd ones, and 8 times the sum of the four columns that share
  // a 16-bit lane, as a nibble is its weight plus 8.
  static void Pack(const int8_t* q, std::byte* out) {
    for (int64_t v = 0; v < kVectors; ++v, q += 2 * kBytes, out += 3 * kBytes) {
      int8_t* even = reinterpret_cast<int8_t*>(out);
      int8_t* odd = even + kBytes;
      int16_t* offset = reinterpret_cast<int16_t*>(odd + kBytes);
      for (int i = 0; i < kBytes; ++i) {
        even[i] = q[2 * i];
        odd[i] = q[2 * i + 1];
      }
      for (int i = 0; i < kBytes / 2; ++i)
        offset[i] = static_cast<int16_t>(8 * (q[4 * i] + q[4 * i + 1] + q[4 * i + 2] + q[4 * i + 3]));
    }
  }

  template <int kX, int kRows>
  MODELC_INLINE void Sums(const std::byte* const* w, const std::byte* const* x, I32 sum[kX][kRows]) {
    for (int t = 0; t < kX; ++t)
      for (int r = 0; r < kRows; ++r) sum[t][r] = I32(0);
#pragma unroll
    for (int64_t v = 0; v < kVectors; ++v) {
      B8 low[kRows], high[kRows];
      I32 factor[kRows];
      for (int r = 0; r < kRows; ++r) {
        const B16 both = Load<B16>(w[r] + 8 + v * kBytes);
        low[r] = __builtin_bit_cast(B8, both & B16(0x0f0f));
        high[r] = __builtin_bit_cast(B8, (both >> B16(4)) & B16(0x0f0f));
        const U32 f = Int4Factors(w[r], v);
        factor[r] = __builtin_bit_cast(I32, f | (f << 16));
      }
      for (int t = 0; t < kX; ++t) {
        const std::byte* from = x[t] + v * 3 * kBytes;
        const S8 even = Load<S8>(from), odd = Load<S8>(from + kBytes);
        const S16 offset = Load<S16>(from + 2 * kBytes);
        for (int r = 0; r < kRows; ++r) {
          const S16 four = MultiplyPairs(low[r], even) + MultiplyPairs(high[r], odd) - offset;  // below 2^13 in magnitude
          sum[t][r] = MultiplyAddPairs(__builtin_bit_cast(I32, four), factor[r], sum[t][r]);
        }
      }
    }
  }
};

// The same summed four at a time: eight columns share a lane.
struct Int4Fours {
  static constexpr int64_t kGroupBytes = Int4Weights::kGroupBytes;
  static constexpr int kBytes = 4 * kLanes;
  static constexpr int64_t kVectors = kIntGroup / 2 / kBytes;
  static constexpr int64_t kInputBytes = kVectors * 3 * kBytes;
  static constexpr int kRowsOfFew = 4, kRowsOfMany = 3;

  static void Pack(const int8_t* q, std::byte* out) {
    for (int64_t v = 0; v < kVectors; ++v, q += 2 * kBytes, out += 3 * kBytes) {
      int8_t* even = reinterpret_cast<int8_t*>(out);
      int8_t* odd = even + kBytes;
      int32_t* offset = reinterpret_cast<int32_t*>(odd + kBytes);
      for (int i = 0; i < kLanes; ++i) offset[i] = 0;
      for (int i = 0; i < kBytes; ++i) {
        even[i] = q[2 * i];
        odd[i] = q[2 * i + 1];
        offset[i / 4] -= 8 * (q[2 * i] + q[2 * i + 1]);
      }
    }
  }

  template <int kX, int kRows>
  MODELC_INLINE void Sums(const std::byte* const* w, const std::byte* const* x, I32 sum[kX][kRows]) {
    for (int t = 0; t < kX; ++t)
      for (int r = 0; r < kRows; ++r) sum[t][r] = I32(0);
#pragma unroll
    for (int64_t v = 0; v < kVectors; ++v) {
      B8 low[kRows], high[kRows];
      I32 factor[kRows];
      for (int r = 0; r < kRows; ++r) {
        const B16 both = Load<B16>(w[r] + 8 + v * kBytes);
        low[r] = __builtin_bit_cast(B8, both & B16(0x0f0f));
        high[r] = __builtin_bit_cast(B8, (both >> B16(4)) & B16(0x0f0f));
        factor[r] = __builtin_bit_cast(I32, Int4Factors(w[r], v));
      }
      for (int t = 0; t < kX; ++t) {
        const std::byte* from = x[t] + v * 3 * kBytes;
        const S8 even = Load<S8>(from), odd = Load<S8>(from + kBytes);
        const I32 offset = Load<I32>(from + 2 * kBytes);
        for (int r = 0; r < kRows; ++r) {
          const I32 eight = MultiplyAddFours(high[r], odd, MultiplyAddFours(low[r], even, offset));  // fits 16 bits
          sum[t][r] = MultiplyAddPairs(eight, factor[r], sum[t][r]);
        }
      }
    }
  }
};

using Int8 = std::conditional_t<kFours, Int8Fours, Int8Weights>;
using Int4 = std::conditional_t<kFours, Int4Fours, Int4Weights>;

MODELC_INLINE int64_t IntGroups(int64_t k) { return (k + kIntGroup - 1) / kIntGroup; }

// Rounds n <= 128 values to int8, zeros beyond; returns the scale. What is not finite makes the scale NaN.
static float QuantizeGroup(const float* x, int64_t n, int8_t* q) {
  const float amax = LargestMagnitude(x, n, 0.0f);
  const bool some = amax >= 1e-30f;
  RoundToInt8(x, n, some ? 127.0f / amax : 0.0f, q);
  for (int64_t i = n; i < kIntGroup; ++i) q[i] = 0;
  return amax * (some ? 1.0f / 127.0f : 0.0f);
}

// A packed row: the groups' values, then their scales.
template <typename W>
static void PackIntegers(const float* x, int64_t k, float* out) {
  const int64_t groups = IntGroups(k);
  std::byte* values = reinterpret_cast<std::byte*>(out);
  float* scales = reinterpret_cast<float*>(values + groups * W::kInputBytes);
  for (int64_t g = 0; g < groups; ++g) {
    int8_t q[kIntGroup];
    scales[g] = QuantizeGroup(x + g * kIntGroup, k - g * kIntGroup < kIntGroup ? k - g * kIntGroup : kIntGroup, q);
    W::Pack(q, values + g * W::kInputBytes);
  }
}

// acc[t][r] (+)= x[t]·w[r] over groups g0 … g1-1, for kX rows of x and kRows rows of weights from number n on.
template <typename W, int kX, int kRows>
static void DotIntegersTile(const WeightRows& w, int64_t n, const float* const* x, int64_t g0, int64_t g1, F32* acc,
                            int64_t acc_stride) {
  const int64_t groups = IntGroups(w.k), row_bytes = groups * W::kGroupBytes;
  const std::byte *rows[kRows], *values[kX];
  const float* scales[kX];
  F32 total[kX][kRows];
  for (int r = 0; r < kRows; ++r)
    rows[r] = static_cast<const std::byte*>(w.data) + (n + r) * row_bytes + g0 * W::kGroupBytes;
  for (int t = 0; t < kX; ++t) {
    values[t] = reinterpret_cast<const std::byte*>(x[t]);
    scales[t] = reinterpret_cast<const float*>(values[t] + groups * W::kInputBytes);
    values[t] += g0 * W::kInputBytes;
    for (int r = 0; r < kRows; ++r) total[t][r] = g0 == 0 ? F32(0.0f) : acc[t * acc_stride + r];
  }
  for (int64_t g = g0; g < g1; ++g) {
    I32 sum[kX][kRows];
    W::template Sums<kX, kRows>(rows, values, sum);
    for (int r = 0; r < kRows; ++r) {
      float scale;
      __builtin_memcpy(&scale, rows[r], sizeof scale);
      for (int t = 0; t < kX; ++t)
        total[t][r] = MultiplyAdd(__builtin_convertvector(sum[t][r], F32), F32(scale) * scales[t][g], total[t][r]);
      __builtin_prefetch(rows[r] + kRows * row_bytes);  // the rows that come next
      __builtin_prefetch(rows[r] + kRows * row_bytes + 64);
      rows[r] += W::kGroupBytes;
    }
    for (int t = 0; t < kX; ++t) values[t] += W::kInputBytes;
  }
  for (int t = 0; t < kX; ++t)
    for (int r = 0; r < kRows; ++r) acc[t * acc_stride + r] = total[t][r];
}

// kX rows of x from number t on against `count` rows of weights from number n on.
template <typename W, int kX>
static void DotIntegersRows(const WeightRows& w, int64_t n, int64_t count, const InputRows& x, int64_t t, int64_t g0,
                            int64_t g1, F32* acc) {
  constexpr int kRows = kX <= 2 ? W::kRowsOfFew : W::kRowsOfMany;
  const float* row[kX];
  for (int i = 0; i < kX; ++i) row[i] = Row(x, t + i);
  acc += t * kPanelW;
  int64_t r = 0;
  for (; r + kRows <= count; r += kRows) DotIntegersTile<W, kX, kRows>(w, n + r, row, g0, g1, acc + r, kPanelW);
  for (; r < count; ++r) DotIntegersTile<W, kX, 1>(w, n + r, row, g0, g1, acc + r, kPanelW);
}

template <typename W>
static void DotIntegers(const WeightRows& w, const InputRows& x, const OutputRows& out, std::byte* scratch) {
  constexpr int kFew = 4;
  F32* acc = reinterpret_cast<F32*>(scratch);
  // With many rows a block of weights stays in L1 while they pass.
  const int64_t groups = IntGroups(w.k), chunk = x.count <= kFew ? groups : 8;
  for (int64_t n = 0; n < w.count; n += kPanelW) {
    const int64_t count = w.count - n < kPanelW ? w.count - n : kPanelW;
    for (int64_t g0 = 0; g0 < groups; g0 += chunk) {
      const int64_t g1 = g0 + chunk < groups ? g0 + chunk : groups;
      int64_t t = 0;
      for (; t + kFew <= x.count; t += kFew) DotIntegersRows<W, kFew>(w, n, count, x, t, g0, g1, acc);
      for (; t + 2 <= x.count; t += 2) DotIntegersRows<W, 2>(w, n, count, x, t, g0, g1, acc);
      for (; t < x.count; ++t) DotIntegersRows<W, 1>(w, n, count, x, t, g0, g1, acc);
    }
    Finish(acc, kPanelW, x.count, count, out.data + n, out.stride);
  }
}
