// What stands around the products: rows of activations in the weights' order, and the gate of an expert.

MODELC_INLINE int64_t RoundUp(int64_t k) { return (k + kGroup - 1) / kGroup * kGroup; }

MODELC_INLINE const float* Row(const InputRows& x, int64_t t) { return x.data + (x.index ? x.index[t] : t) * x.stride; }

// A cache line's multiple, and some more: rows a power of two apart would share the sets of L1.
static int64_t Packed(int64_t k) { return (RoundUp(k) + 15) / 16 * 16 + 64; }

template <typename W>
MODELC_INLINE void PackGroup(const float* x, float* out) {
#if MODELC_SIMD_LANES == 8
  if constexpr (W::Order(1, 0) == 1 && W::Order(0, 1) == 4) {  // a transpose of fours
    F32 half[4], pair[4];
    for (int i = 0; i < 2; ++i) {
      const F32 low = Load(x + i * 8), high = Load(x + 16 + i * 8);
      half[2 * i] = __builtin_shufflevector(low, high, 0, 1, 2, 3, 8, 9, 10, 11);
      half[2 * i + 1] = __builtin_shufflevector(low, high, 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int i = 0; i < 2; ++i) {
      pair[i] = __builtin_shufflevector(half[2 * i], half[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
      pair[i + 2] = __builtin_shufflevector(half[2 * i], half[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 2; ++i) {
      Store(__builtin_shufflevector(pair[2 * i], pair[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13), out + 16 * i);
      Store(__builtin_shufflevector(pair[2 * i], pair[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15), out + 16 * i + 8);
    }
    return;
  }
#endif
  for (int j = 0; j < 4; ++j)
    for (int i = 0; i < kLanes; ++i) out[j * kLanes + i] = x[W::Order(j, i)];
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
