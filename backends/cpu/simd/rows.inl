// Loops over one row: norms, conversions, the Walsh-Hadamard transform. Included after lanes.inl.

static void Add(const float* a, const float* b, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(Load(a + i) + Load(b + i), out + i);
  for (; i < n; ++i) out[i] = a[i] + b[i];
}

static void MultiplyAddRow(const float* x, float factor, int64_t n, float* sum) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(MultiplyAdd(Load(x + i), F32(factor), Load(sum + i)), sum + i);
  if (i < n) StorePart(MultiplyAdd(LoadPart(x + i, n - i), F32(factor), LoadPart(sum + i, n - i)), sum + i, n - i);
}

// sum (x - mean)^2 over n, in four partial sums.
static float SquaredDistance(const float* x, float mean, int64_t n) {
  F32 sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
    for (int j = 0; j < 4; ++j) {
      const F32 d = Load(x + i + j * kLanes) - mean;
      sum[j] = MultiplyAdd(d, d, sum[j]);
    }
  for (; i < n; i += kLanes) {
    const F32 d = (i + kLanes <= n ? Load(x + i) : LoadPart(x + i, n - i, mean)) - mean;
    sum[0] = MultiplyAdd(d, d, sum[0]);
  }
  return Sum((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static void RmsNorm(const float* x, const float* w, float eps, int64_t n, float* out) {
  const float factor = 1.0f / __builtin_sqrtf(SquaredDistance(x, 0, n) / static_cast<float>(n) + eps);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(Load(x + i) * factor * Load(w + i), out + i);
  for (; i < n; ++i) out[i] = x[i] * factor * w[i];
}

static void LayerNorm(const float* x, const float* w, const float* b, float eps, int64_t n, float* out) {
  F32 sum = F32(0.0f);
  int64_t i = 0;
  for (; i < n; i += kLanes) sum += i + kLanes <= n ? Load(x + i) : LoadPart(x + i, n - i);
  const float mean = Sum(sum) / static_cast<float>(n);
  const float factor = 1.0f / __builtin_sqrtf(SquaredDistance(x, mean, n) / static_cast<float>(n) + eps);
  for (i = 0; i + kLanes <= n; i += kLanes)
    Store(MultiplyAdd((Load(x + i) - mean) * factor, Load(w + i), Load(b + i)), out + i);
  if (i < n)
    StorePart(MultiplyAdd((LoadPart(x + i, n - i) - mean) * factor, LoadPart(w + i, n - i), LoadPart(b + i, n - i)),
              out + i, n - i);
}

template <int... I>
struct Indices {};
template <typename, int... I>
using IndicesOf = Indices<I...>;

// Butterflies of values `Width` lanes apart inside one vector.
template <int Width, int... I>
MODELC_INLINE F32 Butterfly(F32 v, Indices<I...>) {
  if constexpr (Width < kLanes)
    return MultiplyAdd(v, F32{(I & Width ? -1.0f : 1.0f)...}, __builtin_shufflevector(v, v, (I ^ Width)...));
  return v;
}
template <int Width>
MODELC_INLINE F32 Butterfly(F32 v) {
  return Butterfly<Width>(v, __make_integer_seq<IndicesOf, int, kLanes>());
}

static void Hadamard(float* x, int64_t n) {
  const float factor = 1.0f / __builtin_sqrtf(static_cast<float>(n));
  if (n < kLanes) {
    for (int64_t width = 1; width < n; width *= 2)
      for (int64_t i = 0; i < n; ++i)
        if (!(i & width)) {
          const float a = x[i], b = x[i + width];
          x[i] = a + b;
          x[i + width] = a - b;
        }
    for (int64_t i = 0; i < n; ++i) x[i] *= factor;
    return;
  }
  for (int64_t i = 0; i < n; i += kLanes)
    Store(Butterfly<8>(Butterfly<4>(Butterfly<2>(Butterfly<1>(Load(x + i))))) * factor, x + i);
  for (int64_t width = kLanes; width < n; width *= 2)
    for (int64_t i = 0; i < n; i += 2 * width)
      for (int64_t j = i; j < i + width; j += kLanes) {
        const F32 a = Load(x + j), b = Load(x + j + width);
        Store(a + b, x + j);
        Store(a - b, x + j + width);
      }
}

// Pairs of neighbours turned; cosines and sines are those of the pairs.
template <int... I>
MODELC_INLINE F32 TurnPairs(F32 v, const float* cosine, const float* sine, Indices<I...>) {
  typedef float Half __attribute__((ext_vector_type(kLanes / 2)));
  const Half c = Load<Half>(cosine), s = Load<Half>(sine);
  const F32 signs = {(I % 2 ? 1.0f : -1.0f)...};
  return MultiplyAdd(__builtin_shufflevector(v, v, (I ^ 1)...), __builtin_shufflevector(s, s, (I / 2)...) * signs,
                     v * __builtin_shufflevector(c, c, (I / 2)...));
}

static void RopeInterleaved(const float* x, const float* cosine, const float* sine, int64_t pairs, float* out) {
  int64_t i = 0;
  for (; i + kLanes / 2 <= pairs; i += kLanes / 2)
    Store(TurnPairs(Load(x + 2 * i), cosine + i, sine + i, __make_integer_seq<IndicesOf, int, kLanes>()), out + 2 * i);
  for (; i < pairs; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    out[2 * i] = a * cosine[i] - b * sine[i];
    out[2 * i + 1] = a * sine[i] + b * cosine[i];
  }
}

static void RopeHalf(const float* x, const float* cosine, const float* sine, int64_t pairs, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= pairs; i += kLanes) {
    const F32 a = Load(x + i), b = Load(x + pairs + i), c = Load(cosine + i), s = Load(sine + i);
    Store(MultiplyAdd(a, c, -(b * s)), out + i);
    Store(MultiplyAdd(a, s, b * c), out + pairs + i);
  }
  for (; i < pairs; ++i) {
    const float a = x[i], b = x[pairs + i];
    out[i] = a * cosine[i] - b * sine[i];
    out[pairs + i] = a * sine[i] + b * cosine[i];
  }
}

// 2^ceil(log2(max(amax, 1e-4) / 448)) of n values. NaN is passed by; infinity gives 2^127.
MODELC_INLINE float PowerOfTwoScale(const float* x, int64_t n) {
  F32 amax = F32(1e-4f);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) amax = Max(Abs(Load(x + i)), amax);
  if (i < n) amax = Max(Abs(LoadPart(x + i, n - i)), amax);
  const uint32_t bits = __builtin_bit_cast(uint32_t, Max(amax) / 448.0f);
  const uint32_t exponent = (bits >> 23) + ((bits & 0x7fffffu) != 0);
  return __builtin_bit_cast(float, (exponent < 254 ? exponent : 254) << 23);
}

MODELC_INLINE F32 Clamp448(F32 v) {
  v = v > 448.0f ? F32(448.0f) : v;
  return v < -448.0f ? F32(-448.0f) : v;
}

static float ToE4M3Row(const float* x, int64_t n, uint8_t* out) {
  const float scale = PowerOfTwoScale(x, n), inverse = 1.0f / scale;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(ToE4M3(Clamp448(Load(x + i) * inverse)), out + i);
  if (i < n) {
    uint8_t part[kLanes];
    Store(ToE4M3(Clamp448(LoadPart(x + i, n - i) * inverse)), part);
    for (int64_t j = i; j < n; ++j) out[j] = part[j - i];
  }
  return scale;
}

static void FromE4M3Row(const uint8_t* x, float scale, int64_t n, float* out) {
  int64_t i = 0;
  const float factor = scale * kE4M3Factor;
  if (factor <= 0x1p127f && !HasE4M3NaN(x, n))
    for (; i + kLanes <= n; i += kLanes) Store(E4M3Bits(x + i) * factor, out + i);
  for (; i + kLanes <= n; i += kLanes) Store(FromE4M3(x + i) * scale, out + i);
  if (i < n) {
    uint8_t part[kLanes] = {};
    for (int64_t j = i; j < n; ++j) part[j - i] = x[j];
    StorePart(FromE4M3(part) * scale, out + i, n - i);
  }
}

static float ToI8Row(const float* x, int64_t n, int8_t* out) {
  const float amax = LargestMagnitude(x, n, 1e-4f);
  RoundToInt8(x, n, amax == amax ? 127.0f / amax : 0.0f, out);
  return amax / 127.0f;
}

static void FakeQuantize(const float* x, int64_t n, float* out) {
  uint8_t group[128];
  for (int64_t i = 0; i < n; i += 128) {
    const int64_t size = n - i < 128 ? n - i : 128;
    const float scale = ToE4M3Row(x + i, size, group);
    FromE4M3Row(group, scale, size, out + i);
  }
}

static void ToBf16Row(const float* x, int64_t n, uint16_t* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(ToBf16(Load(x + i)), out + i);
  if (i < n) {
    uint16_t part[kLanes];
    Store(ToBf16(LoadPart(x + i, n - i)), part);
    __builtin_memcpy(out + i, part, (n - i) * 2);
  }
}

static void FromBf16Row(const uint16_t* x, float scale, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(FromBf16(x + i) * scale, out + i);
  if (i < n) {
    uint16_t part[kLanes] = {};
    __builtin_memcpy(part, x + i, (n - i) * 2);
    StorePart(FromBf16(part) * scale, out + i, n - i);
  }
}
