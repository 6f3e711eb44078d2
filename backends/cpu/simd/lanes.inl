// Vectors of kLanes floats by the compiler's vector types. Included inside the namespace of one instruction set, after
// MODELC_SIMD_LANES is set; everything is internal to that file, so no two instruction sets share an inline function.

constexpr int kLanes = MODELC_SIMD_LANES;
#define MODELC_INLINE [[maybe_unused]] static inline __attribute__((always_inline))

typedef float F32 __attribute__((ext_vector_type(MODELC_SIMD_LANES)));
typedef int32_t I32 __attribute__((ext_vector_type(MODELC_SIMD_LANES)));
typedef uint32_t U32 __attribute__((ext_vector_type(MODELC_SIMD_LANES)));
typedef uint16_t U16 __attribute__((ext_vector_type(MODELC_SIMD_LANES)));
typedef int16_t I16 __attribute__((ext_vector_type(MODELC_SIMD_LANES)));
typedef int8_t I8 __attribute__((ext_vector_type(MODELC_SIMD_LANES)));
typedef uint8_t U8 __attribute__((ext_vector_type(MODELC_SIMD_LANES)));

// A size as a type: what a function that takes it has as a constant.
template <int N>
struct Size {
  static constexpr int value = N;
};

template <typename V, typename T>
MODELC_INLINE V Load(const T* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(V));
  return v;
}
MODELC_INLINE F32 Load(const float* p) { return Load<F32>(p); }

template <typename V, typename T>
MODELC_INLINE void Store(V v, T* p) {
  __builtin_memcpy(p, &v, sizeof(V));
}

// The first n < kLanes elements; the others are `fill`.
MODELC_INLINE F32 LoadPart(const float* p, int64_t n, float fill = 0) {
  float part[kLanes];
  for (int i = 0; i < kLanes; ++i) part[i] = i < n ? p[i] : fill;
  return Load(part);
}
MODELC_INLINE void StorePart(F32 v, float* p, int64_t n) {
  float part[kLanes];
  Store(v, part);
  for (int i = 0; i < n; ++i) p[i] = part[i];
}

MODELC_INLINE F32 MultiplyAdd(F32 a, F32 b, F32 c) {
#if defined(__FMA__)
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// Each lane of a and b holds two int16; c plus the sum of their products. By name where there is an instruction: of a
// factor that meets many others the compiler would widen the halves once, and multiply int32.
MODELC_INLINE I32 MultiplyAddPairs(I32 a, I32 b, I32 c) {
#if defined(__AVX512VNNI__) && MODELC_SIMD_LANES == 16
  return __builtin_bit_cast(I32, _mm512_dpwssd_epi32(__builtin_bit_cast(__m512i, c), __builtin_bit_cast(__m512i, a),
                                                     __builtin_bit_cast(__m512i, b)));
#elif defined(__AVX512BW__) && MODELC_SIMD_LANES == 16
  return c + __builtin_bit_cast(I32, _mm512_madd_epi16(__builtin_bit_cast(__m512i, a), __builtin_bit_cast(__m512i, b)));
#elif defined(__AVX2__) && MODELC_SIMD_LANES == 8
  return c + __builtin_bit_cast(I32, _mm256_madd_epi16(__builtin_bit_cast(__m256i, a), __builtin_bit_cast(__m256i, b)));
#else
  typedef int16_t Narrow __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));
  typedef int32_t Wide __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));
  const Wide products = __builtin_convertvector(__builtin_bit_cast(Narrow, a), Wide) *
                        __builtin_convertvector(__builtin_bit_cast(Narrow, b), Wide);
  return c + (products.even + products.odd);
#endif
}

typedef int8_t S8 __attribute__((ext_vector_type(4 * MODELC_SIMD_LANES)));
typedef uint8_t B8 __attribute__((ext_vector_type(4 * MODELC_SIMD_LANES)));

// Each lane of a and b holds four bytes, a's without sign; c plus the sum of their products.
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

#if MODELC_SIMD_LANES == 16
// Four columns of 32 bits of kLanes rows: row r in lane r. Quarters of four vectors are filled from memory first;
// within them fours are exchanged.
template <typename T>
MODELC_INLINE void LoadColumns(const T* const* rows, int64_t at, I32 columns[4]) {
  typedef int32_t Quarter __attribute__((ext_vector_type(4)));
  I32 v[4];
  for (int j = 0; j < 4; ++j) {
    v[j].lo.lo = Load<Quarter>(rows[j] + at);
    v[j].lo.hi = Load<Quarter>(rows[4 + j] + at);
    v[j].hi.lo = Load<Quarter>(rows[8 + j] + at);
    v[j].hi.hi = Load<Quarter>(rows[12 + j] + at);
  }
  const auto low = [](I32 a, I32 b) {
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
  };
  const auto high = [](I32 a, I32 b) {
    return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  };
  const auto low_pairs = [](I32 a, I32 b) {
    return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
  };
  const auto high_pairs = [](I32 a, I32 b) {
    return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  };
  const I32 ab = low(v[0], v[1]), cd = low(v[2], v[3]), ef = high(v[0], v[1]), gh = high(v[2], v[3]);
  columns[0] = low_pairs(ab, cd);
  columns[1] = high_pairs(ab, cd);
  columns[2] = low_pairs(ef, gh);
  columns[3] = high_pairs(ef, gh);
}
#endif

MODELC_INLINE U32 Bits(F32 v) { return __builtin_bit_cast(U32, v); }
MODELC_INLINE F32 FromBits(U32 v) { return __builtin_bit_cast(F32, v); }
MODELC_INLINE F32 Abs(F32 v) { return FromBits(Bits(v) & 0x7fffffffu); }
MODELC_INLINE F32 Select(I32 mask, F32 a, F32 b) { return mask ? a : b; }
// b where a is NaN; so a running maximum passes NaN by.
MODELC_INLINE F32 Max(F32 a, F32 b) { return a > b ? a : b; }

MODELC_INLINE I32 LaneNumbers() {
  I32 v;
  for (int i = 0; i < kLanes; ++i) v[i] = i;
  return v;
}

// Sums and maxima over lanes in a fixed tree.
MODELC_INLINE float Sum(F32 v) {
  float x[kLanes];
  Store(v, x);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) x[i] += x[i + width];
  return x[0];
}
#if MODELC_SIMD_LANES >= 8
typedef float Eight __attribute__((ext_vector_type(8)));
#if MODELC_SIMD_LANES == 8
MODELC_INLINE Eight FoldToEight(F32 v) { return v; }
#else
MODELC_INLINE Eight FoldToEight(F32 v) { return v.lo + v.hi; }
#endif
// Sum of each of eight vectors, by the same tree.
MODELC_INLINE Eight Sums(const F32* v) {
  Eight a[4], b[2];
  for (int i = 0; i < 4; ++i) {
    const Eight x = FoldToEight(v[2 * i]), y = FoldToEight(v[2 * i + 1]);
    a[i] = __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11) +
           __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15);
  }
  for (int i = 0; i < 2; ++i) {
    const Eight x = a[2 * i], y = a[2 * i + 1];
    b[i] = __builtin_shufflevector(x, y, 0, 1, 8, 9, 4, 5, 12, 13) +
           __builtin_shufflevector(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
  }
  const Eight c = __builtin_shufflevector(b[0], b[1], 0, 2, 8, 10, 4, 6, 12, 14) +
                  __builtin_shufflevector(b[0], b[1], 1, 3, 9, 11, 5, 7, 13, 15);
  return __builtin_shufflevector(c, c, 0, 4, 1, 5, 2, 6, 3, 7);
}
#endif
#if MODELC_SIMD_LANES == 16
// Sum of each of sixteen vectors, by the same tree.
MODELC_INLINE F32 Sums16(const F32* v) {
  F32 a[8], b[4], c[2];
  for (int i = 0; i < 8; ++i) {
    const F32 x = v[2 * i], y = v[2 * i + 1];
    a[i] = __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           __builtin_shufflevector(x, y, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  }
  for (int i = 0; i < 4; ++i) {
    const F32 x = a[2 * i], y = a[2 * i + 1];
    b[i] = __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
           __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
  for (int i = 0; i < 2; ++i) {
    const F32 x = b[2 * i], y = b[2 * i + 1];
    c[i] = __builtin_shufflevector(x, y, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           __builtin_shufflevector(x, y, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  }
  const F32 d = __builtin_shufflevector(c[0], c[1], 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
                __builtin_shufflevector(c[0], c[1], 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
  return __builtin_shufflevector(d, d, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}
#endif
// out[i] = Sum(v[i])
template <int kCount>
MODELC_INLINE void SumEach(const F32* v, float* out) {
  int i = 0;
#if MODELC_SIMD_LANES == 16
  for (; i + 16 <= kCount; i += 16) Store(Sums16(v + i), out + i);
#endif
#if MODELC_SIMD_LANES >= 8
  for (; i + 8 <= kCount; i += 8) Store(Sums(v + i), out + i);
#endif
  for (; i < kCount; ++i) out[i] = Sum(v[i]);
}

MODELC_INLINE float Max(F32 v) {
  float x[kLanes];
  Store(v, x);
  for (int width = kLanes / 2; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) x[i] = x[i] > x[i + width] ? x[i] : x[i + width];
  return x[0];
}

// e^v within 2 ulp; 0 below -87, infinity above 88.7; NaN stays.
MODELC_INLINE F32 Exp(F32 v) {
  F32 x = v < -87.0f ? F32(-87.0f) : v;
  x = x > 88.7f ? F32(88.7f) : x;
  const F32 shift = F32(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const F32 n = MultiplyAdd(x, F32(1.44269504f), shift) - shift;
  F32 r = MultiplyAdd(n, F32(-0.693359375f), x);
  r = MultiplyAdd(n, F32(2.12194440e-4f), r);
  F32 p = F32(1.9875691500e-4f);
  p = MultiplyAdd(p, r, F32(1.3981999507e-3f));
  p = MultiplyAdd(p, r, F32(8.3334519073e-3f));
  p = MultiplyAdd(p, r, F32(4.1665795894e-2f));
  p = MultiplyAdd(p, r, F32(1.6666665459e-1f));
  p = MultiplyAdd(p, r, F32(5.0000001201e-1f));
  p = MultiplyAdd(p, r * r, r) + 1.0f;
  // 2^n in two factors, so that n = 128 does not overflow the exponent before the product does.
  const I32 exponent = __builtin_convertvector(n == n ? n : F32(0.0f), I32);
  const I32 half = exponent >> 1;
  p = p * __builtin_bit_cast(F32, (half + 127) << 23) * __builtin_bit_cast(F32, (exponent - half + 127) << 23);
  p = v > 88.7228f ? F32(__builtin_inff()) : p;
  return v < -87.0f ? F32(0.0f) : p;
}

// e4m3 (OCP, no infinity) to f32, exactly, but for a power of two and for NaN: the value times kE4M3Factor is right.
MODELC_INLINE F32 E4M3Bits(const uint8_t* p) {
  // Sign-extended, a byte has its sign wherever the wider format wants it; the bits between are cleared.
#if defined(__F16C__)
  // A half of the same bits is 2^8 times smaller; F16C knows subnormals.
  typedef _Float16 F16 __attribute__((ext_vector_type(MODELC_SIMD_LANES)));
  const U16 b = __builtin_bit_cast(U16, __builtin_convertvector(Load<I8>(p), I16));
  return __builtin_convertvector(__builtin_bit_cast(F16, (b << U16(7)) & U16(0xbf80)), F32);
#else
  const U32 b = __builtin_bit_cast(U32, __builtin_convertvector(Load<I8>(p), I32));
  return FromBits((b << 20) & 0x87f00000u);
#endif
}
#if defined(__F16C__)
constexpr float kE4M3Factor = 256.0f;
#else
constexpr float kE4M3Factor = 0x1p120f;
#endif

MODELC_INLINE F32 FromE4M3(const uint8_t* p) {
  const U32 u = __builtin_convertvector(Load<U8>(p), U32);
  return Select((u & 0x7fu) == 0x7fu, F32(__builtin_nanf("")), E4M3Bits(p) * kE4M3Factor);
}

// Any NaN among n bytes: so rare that whole rows are looked at before the cheaper conversion is taken.
MODELC_INLINE bool HasE4M3NaN(const uint8_t* p, int64_t n) {
  typedef uint8_t Bytes __attribute__((ext_vector_type(32)));
  Bytes most = Bytes(0);  // without signs, doubled: 0xfe is NaN
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) most = __builtin_elementwise_max(most, Load<Bytes>(p + i) << 1);
  bool any = __builtin_reduce_max(most) == 0xfe;
  for (; i < n; ++i) any |= (p[i] & 0x7f) == 0x7f;
  return any;
}

// |v| <= 448 to e4m3, to nearest, ties to even; NaN to 0x7f.
MODELC_INLINE U8 ToE4M3(F32 v) {
  const F32 a = Abs(v);
  const U32 sign = (Bits(v) >> 24) & 0x80u;
  // Below 2^-6 the step is 2^-9 everywhere: adding 2^14 leaves it in the last mantissa bit.
  const U32 small = Bits(a + 16384.0f) - 0x46800000u;
  const U32 bits = Bits(a);
  const U32 normal = ((bits + 0x7ffffu + ((bits >> 20) & 1u)) >> 20) - (120u << 3);
  U32 e = (a < 0.015625f) ? small : normal;
  e = (a == a) ? e : U32(0x7fu);
  return __builtin_convertvector(e | sign, U8);
}

MODELC_INLINE F32 FromBf16(const uint16_t* p) { return FromBits(__builtin_convertvector(Load<U16>(p), U32) << 16); }

MODELC_INLINE U16 ToBf16(F32 v) {
  const U32 bits = Bits(v);
  const U32 rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const U32 nan = (bits >> 16) | 0x40u;
  return __builtin_convertvector((v == v) ? rounded : nan, U16);
}

// Orders floats as unsigned integers: greater float, greater key; -0 as 0; NaN below all (1), so that 0 is no key.
MODELC_INLINE U32 SortKey(F32 v) {
  const F32 x = v == 0.0f ? F32(0.0f) : v;
  const U32 bits = Bits(x);
  const U32 key = bits ^ (((bits >> 31) != 0) ? U32(0xffffffffu) : U32(0x80000000u));
  return (v == v) ? key : U32(1u);
}

// The largest of `least` and the magnitudes of n floats; NaN where one of them is not finite.
MODELC_INLINE float LargestMagnitude(const float* x, int64_t n, float least) {
  F32 most = F32(least), odd = F32(0.0f);  // odd becomes NaN where a value is not finite
  for (int64_t i = 0; i < n; i += kLanes) {
    const F32 v = i + kLanes <= n ? Load(x + i) : LoadPart(x + i, n - i);
    most = Max(Abs(v), most);
    odd += v * 0.0f;
  }
  return Max(most) + Sum(odd);
}

// n products of x and the factor, at most 127 in magnitude, to the nearest integer, ties to even; NaN to 0.
MODELC_INLINE void RoundToInt8(const float* x, int64_t n, float factor, int8_t* out) {
  const F32 shift = F32(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, which then is in the low bits
  for (int64_t i = 0; i < n; i += kLanes) {
    const bool whole = i + kLanes <= n;
    const F32 v = (whole ? Load(x + i) : LoadPart(x + i, n - i)) * factor;
    const I8 rounded = __builtin_convertvector(Bits(Select(v == v, v, F32(0.0f)) + shift), I8);
    if (whole) {
      Store(rounded, out + i);
    } else {
      for (int64_t j = i; j < n; ++j) out[j] = rounded[j - i];
    }
  }
}
