// Products of weights in int8 and int4, two at a time (pmaddwd, pmaddubsw): a lane is some columns of one output.

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

// A format of weights: bytes of a group with its scale in front, bytes of a packed group of x, how x is packed, and the
// sums of a group, of products in units of the two scales.
struct Int8 {
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

struct Int4 {
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

  // The factors of vector v's blocks, in both 16-bit halves of every lane.
  MODELC_INLINE I32 Factors(const std::byte* w, int64_t v) {
    uint32_t bytes;
    __builtin_memcpy(&bytes, w + 4, sizeof bytes);
    const U32 block = __builtin_bit_cast(U32, LaneNumbers()) / 4u + static_cast<uint32_t>(v) * (kLanes / 4);
    const U32 factor = (U32(bytes) >> (block * 8u)) & 0xffu;
    return __builtin_bit_cast(I32, factor | (factor << 16));
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
        factor[r] = Factors(w[r], v);
      }
      for (int t = 0; t < kX; ++t) {
        const std::byte* from = x[t] + v * 3 * kBytes;
        const S8 even = Load<S8>(from), odd = Load<S8>(from + kBytes);
        const S16 offset = Load<S16>(from + 2 * kBytes);
        for (int r = 0; r < kRows; ++r) {
          const S16 four =
              MultiplyPairs(low[r], even) + MultiplyPairs(high[r], odd) - offset;  // below 2^13 in magnitude
          sum[t][r] = MultiplyAddPairs(__builtin_bit_cast(I32, four), factor[r], sum[t][r]);
        }
      }
    }
  }
};

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

constexpr size_t kIntegersScratch = kAccVectors * sizeof(F32);

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
