// Widening of weights to float vectors. A group is four vectors' worth of consecutive weights; lane i of its vector j
// is weight number Order(j, i), whatever order costs least to widen. Activations are packed in the same order. Read and
// Widen<j> are apart so that few registers are held at a time.

constexpr int kGroup = 4 * kLanes;
constexpr int64_t kBlock = 128;  // of the scales
static_assert(kBlock % kGroup == 0);

struct E4M3Weights {
  using Type = uint8_t;
  static constexpr bool kScaled = true;
  static constexpr int Order(int j, int i) { return 4 * i + j; }
  // A byte on top of a word, shifted right by 4 with its sign, has exponent and mantissa where float32 has them, less
  // the bias: 2^-120 times its value, subnormals included.
  typedef I32 Raw[1];
  MODELC_INLINE void Read(const Type* p, Raw raw) { raw[0] = Load<I32>(p); }
  template <int j>
  MODELC_INLINE F32 Bits(const Raw raw) {
    return __builtin_bit_cast(F32, ((raw[0] << (24 - 8 * j)) >> 4) & int32_t(0x87f00000));
  }
  template <int j>
  MODELC_INLINE F32 Widen(const Raw raw, F32 factor) {
    return Bits<j>(raw) * factor;
  }
};

// The same less the scale: 2^-120 times the weight. For rows of x that carry the scale (Scaled below).
struct E4M3Unscaled {
  using Type = uint8_t;
  static constexpr bool kScaled = false;
  using Raw = E4M3Weights::Raw;
  MODELC_INLINE void Read(const Type* p, Raw raw) { E4M3Weights::Read(p, raw); }
  template <int j>
  MODELC_INLINE F32 Widen(const Raw raw, F32) {
    return E4M3Weights::Bits<j>(raw);
  }
};

struct BF16Weights {
  using Type = uint16_t;
  static constexpr bool kScaled = false;
  static constexpr int Order(int j, int i) { return j / 2 * 2 * kLanes + 2 * i + j % 2; }
  typedef U32 Raw[2];
  MODELC_INLINE void Read(const Type* p, Raw raw) {
    raw[0] = Load<U32>(p);
    raw[1] = Load<U32>(p + 2 * kLanes);
  }
  template <int j>
  MODELC_INLINE F32 Widen(const Raw raw, F32) {
    return FromBits(j % 2 == 0 ? raw[j / 2] << 16 : raw[j / 2] & 0xffff0000u);
  }
};

struct F32Weights {
  using Type = float;
  static constexpr bool kScaled = false;
  static constexpr int Order(int j, int i) { return j * kLanes + i; }
  typedef const Type* Raw[1];
  MODELC_INLINE void Read(const Type* p, Raw raw) { raw[0] = p; }
  template <int j>
  MODELC_INLINE F32 Widen(const Raw raw, F32) {
    return Load(raw[0] + j * kLanes);
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

template <typename W>
MODELC_INLINE void WidenFull(const typename W::Type* p, F32 factor, F32 v[4]) {
  typename W::Raw raw;
  W::Read(p, raw);
  v[0] = W::template Widen<0>(raw, factor);
  v[1] = W::template Widen<1>(raw, factor);
  v[2] = W::template Widen<2>(raw, factor);
  v[3] = W::template Widen<3>(raw, factor);
}

// Widens the group at p, whose row ends after n weights: those beyond are zero.
template <typename W>
MODELC_INLINE void WidenGroup(const typename W::Type* p, int64_t n, F32 factor, F32 v[4]) {
  if (n >= kGroup) return WidenFull<W>(p, factor, v);
  typename W::Type tail[kGroup] = {};
  for (int64_t i = 0; i < n; ++i) tail[i] = p[i];
  WidenFull<W>(tail, factor, v);
}

// Calls f(W{}) with the reader of `dtype`.
template <typename Fn>
MODELC_INLINE void WithDtype(modelc_dtype dtype, Fn f) {
  switch (dtype) {
    case MODELC_F8E4M3:
      return f(E4M3Weights{});
    case MODELC_BF16:
      return f(BF16Weights{});
    default:
      return f(F32Weights{});
  }
}

// A row of x times a scale that is a power of two gives the products that the scaled weight would, and is multiplied
// once for all rows of weights that share the scale. Such x and E4M3Unscaled weights give 2^-40 times the products; x
// times its scale must be below 2^47.
constexpr float kScaledInput = 0x1p80f, kScaledOutput = 0x1p40f;

// Whether all scales of these rows are powers of two.
template <typename W>
MODELC_INLINE bool PowersOfTwo(const WeightRows& w) {
  if (!W::kScaled || w.count == 0) return false;
  const int64_t blocks = (w.k + kBlock - 1) / kBlock;
  const float *first = ScaleRow<W>(w, 0), *last = ScaleRow<W>(w, w.count - 1) + blocks;
  uint32_t mantissas = 0;
  for (const float* scale = first; scale < last; ++scale) mantissas |= __builtin_bit_cast(uint32_t, *scale);
  return (mantissas & 0x807fffff) == 0;
}
