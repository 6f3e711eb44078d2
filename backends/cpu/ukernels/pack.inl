// What stands around the products: rows of activations in the weights' order, and the gate of an expert.

MODELC_INLINE int64_t RoundUp(int64_t k) { return (k + kGroup - 1) / kGroup * kGroup; }

MODELC_INLINE const float* Row(const InputRows& x, int64_t t) { return x.data + (x.index ? x.index[t] : t) * x.stride; }

// A cache line's multiple, and some more: rows a power of two apart would share the sets of L1.
static int64_t Packed(int64_t k) { return (RoundUp(k) + 15) / 16 * 16 + 64; }

typedef float Pair __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));

template <typename W>
MODELC_INLINE void PackGroup(const float* x, float* out) {
  if constexpr (W::Order(0, 1) == 4) {
    const Pair low = Load<Pair>(x), high = Load<Pair>(x + 2 * kLanes);
    Pair even, odd;
    even.lo = low.even, even.hi = high.even;
    odd.lo = low.odd, odd.hi = high.odd;
    Store(even.even, out);
    Store(odd.even, out + kLanes);
    Store(even.odd, out + 2 * kLanes);
    Store(odd.odd, out + 3 * kLanes);
  } else if constexpr (W::Order(0, 1) == 2) {
    for (int j = 0; j < 4; j += 2) {
      const Pair both = Load<Pair>(x + j * kLanes);
      Store(both.even, out + j * kLanes);
      Store(both.odd, out + (j + 1) * kLanes);
    }
  } else {
    for (int j = 0; j < 4; ++j) Store(Load(x + j * kLanes), out + j * kLanes);
  }
}

static void PackFloats(modelc_dtype dtype, const float* x, int64_t k, float* out) {
  WithDtype(dtype, [&](auto weights) {
    using W = decltype(weights);
    int64_t g = 0;
    for (; g + kGroup <= k; g += kGroup) PackGroup<W>(x + g, out + g);
    if (g < k)
      for (int j = 0; j < 4; ++j)
        for (int i = 0; i < kLanes; ++i)
          out[g + j * kLanes + i] = g + W::Order(j, i) < k ? x[g + W::Order(j, i)] : 0.0f;
  });
}

static void SiluMul(float* gate, const float* up, int64_t n) {
  const auto silu_mul = [](F32 g, F32 u) { return g / (Exp(-g) + 1.0f) * u; };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) Store(silu_mul(Load(gate + i), Load(up + i)), gate + i);
  if (i < n) StorePart(silu_mul(LoadPart(gate + i, n - i), LoadPart(up + i, n - i)), gate + i, n - i);
}
