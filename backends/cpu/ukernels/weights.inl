// Widening of weights to float vectors. A group is four vectors' worth of consecutive weights; v[j][i] is weight number
// Order(j, i) of the group, whatever order costs least to widen. Activations are packed in the same order.

constexpr int kGroup = 4 * kLanes;
constexpr int64_t kBlock = 128;  // of the scales
static_assert(kBlock % kGroup == 0);

constexpr uint32_t kHighHalf = 0xffff0000u;

struct E4M3Weights {
  using Type = uint8_t;
  static constexpr bool kScaled = true;
  static constexpr int Order(int j, int i) { return 4 * i + j; }
  // A byte on top of a half-word, shifted right by 4 with its sign, has exponent and mantissa where bfloat16 has them,
  // less the bias: 2^-120 times its value, subnormals included. Half-words hold bytes 2i and 2i+1.
  MODELC_INLINE void Widen(const Type* p, F32 factor, F32 v[4]) {
    typedef int16_t Halves __attribute__((ext_vector_type(2 * kLanes)));
    const Halves w = Load<Halves>(p), mask = Halves(int16_t(0x87f0));
    const U32 odd = __builtin_bit_cast(U32, (w >> Halves(4)) & mask);
    const U32 even = __builtin_bit_cast(U32, ((w << Halves(8)) >> Halves(4)) & mask);
    v[0] = FromBits(even << 16) * factor;
    v[1] = FromBits(odd << 16) * factor;
    v[2] = FromBits(even & kHighHalf) * factor;
    v[3] = FromBits(odd & kHighHalf) * factor;
  }
};

struct BF16Weights {
  using Type = uint16_t;
  static constexpr bool kScaled = false;
  static constexpr int Order(int j, int i) { return j / 2 * 2 * kLanes + 2 * i + j % 2; }
  MODELC_INLINE void Widen(const Type* p, F32, F32 v[4]) {
    for (int half = 0; half < 2; ++half) {
      const U32 w = Load<U32>(p + half * 2 * kLanes);
      v[2 * half] = FromBits(w << 16);
      v[2 * half + 1] = FromBits(w & kHighHalf);
    }
  }
};

struct F32Weights {
  using Type = float;
  static constexpr bool kScaled = false;
  static constexpr int Order(int j, int i) { return j * kLanes + i; }
  MODELC_INLINE void Widen(const Type* p, F32, F32 v[4]) {
    for (int j = 0; j < 4; ++j) v[j] = Load(p + j * kLanes);
  }
};

// The factor that Widen wants for weights of block `block` of a row with these scales.
template <typename W>
MODELC_INLINE F32 Factor(const float* scale, int64_t block) {
  if constexpr (W::kScaled) return F32(scale[block] * 0x1p120f);
  return F32(0.0f);
}

// The block scales of weight row n.
template <typename W>
MODELC_INLINE const float* ScaleRow(const WeightRows& w, int64_t n) {
  if constexpr (W::kScaled) return w.scale + (w.first + n) / kBlock * ((w.k + kBlock - 1) / kBlock);
  return nullptr;
}

// Widens the last `n` < kGroup weights of a row; zeros beyond.
template <typename W>
MODELC_INLINE void WidenTail(const typename W::Type* p, int64_t n, F32 factor, F32 v[4]) {
  alignas(64) typename W::Type tail[kGroup] = {};
  for (int64_t i = 0; i < n; ++i) tail[i] = p[i];
  W::Widen(tail, factor, v);
}

// Calls f(W{}) with the reader of `dtype`.
template <typename Fn>
MODELC_INLINE void WithDtype(modelc_dtype dtype, Fn f) {
  switch (dtype) {
    case MODELC_F8E4M3: return f(E4M3Weights{});
    case MODELC_BF16: return f(BF16Weights{});
    default: return f(F32Weights{});
  }
}
