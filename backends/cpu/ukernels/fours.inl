// Products of weights in int8 and int4 where one instruction sums four products of bytes (VNNI), kLanes rows of weights
// at a time, so that a group costs one conversion for kLanes outputs. With a few rows of x a lane is some columns of
// one row of weights, and the lanes are added up for each group. With many, the weights are brought into a panel where
// a lane is a row, their columns by fours.
static_assert(kLanes == 16);

// Products of numbers of 16 bits, with sign.
MODELC_INLINE I32 MultiplyShort(I32 a, I32 b) {
#ifdef __AVX512VNNI__  // a form that the compiler takes no 32-bit multiply for, which would be far slower
  return __builtin_bit_cast(I32,
                            _mm512_madd_epi16(__builtin_bit_cast(__m512i, a & 0xffff), __builtin_bit_cast(__m512i, b)));
#else
  return a * b;
#endif
}

constexpr int kFours = kIntGroup / 4;
constexpr int64_t kPanels = (MatmulUkernels::kMaxWeights + kLanes - 1) / kLanes;

// A group of kLanes rows of weights, one a lane; what the rows of x add for the weights' lack of a sign is in these.
struct alignas(64) Panel {
  float scale[kLanes];
  int32_t factor[4][kLanes];  // of int4's blocks
  uint8_t weights[kFours][4 * kLanes];
};
constexpr size_t kIntegersScratch = kPanels * (sizeof(Panel) + MatmulUkernels::kMaxInputs * sizeof(F32));

// The sum of each vector's lanes, one a lane.
MODELC_INLINE I32 AddUp(I32 v[kLanes]) {
  typedef int32_t Pair __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));
  for (int n = kLanes / 2; n > 0; n /= 2)
    for (int i = 0; i < n; ++i) {
      Pair both;
      both.lo = v[2 * i];
      both.hi = v[2 * i + 1];
      v[i] = both.even + both.odd;
    }
  return v[0];
}

// A packed group of x as Sums wants it: `start` is what it takes off for the lift.
struct GroupOfInputs {
  S8 first, second;
  I32 start;
};

// A format of weights: bytes of a group and of a packed group of x, blocks of columns that share a factor, what is
// added to a weight so that it has no sign, rows of x in a tile, the most that go without a panel, columns in the order
// of packed ones, the sum of a group spread over lanes, and the panel of a group.
struct Int8 {
  static constexpr int64_t kGroupBytes = 4 + kIntGroup, kInputBytes = kIntGroup + 16;
  static constexpr int kBlocks = 1, kLift = 128, kTileX = 8, kFew = 4;

  static void Place(const int8_t* q, int8_t* out) { __builtin_memcpy(out, q, kIntGroup); }
  MODELC_INLINE GroupOfInputs LoadInputs(const std::byte* x) {
    I32 start = I32(0);
    start[0] = Load<int32_t>(x + kIntGroup);
    return {Load<S8>(x), Load<S8>(x + kIntGroup / 2), start};
  }
  struct Weights {
    B8 first, second;
  };
  MODELC_INLINE Weights LoadWeights(const std::byte* w) {
    return {Load<B8>(w + 4) ^ B8(0x80), Load<B8>(w + 4 + kIntGroup / 2) ^ B8(0x80)};
  }
  MODELC_INLINE I32 Sum(const Weights& w, const GroupOfInputs& x) {
    return MultiplyAddFours(w.second, x.second, MultiplyAddFours(w.first, x.first, x.start));
  }

  static void Fill(const std::byte* const* rows, Panel& panel) {
    for (int64_t i = 0; i < kFours; i += 4) {
      I32 v[4];
      LoadColumns(rows, 4 + 4 * i, v);
      for (int j = 0; j < 4; ++j) Store(__builtin_bit_cast(B8, v[j]) ^ B8(0x80), panel.weights[i + j]);
    }
  }
};

struct Int4 {
  static constexpr int64_t kGroupBytes = 4 + 4 + kIntGroup / 2, kInputBytes = kIntGroup + 16;
  static constexpr int kBlocks = 4, kLift = 8, kTileX = 4, kFew = 1;

  // Of eight columns in four bytes the even ones come first: a byte's low half.
  static void Place(const int8_t* q, int8_t* out) {
    typedef int8_t Eight __attribute__((ext_vector_type(8)));
    for (int i = 0; i < kIntGroup; i += 8) {
      const Eight v = Load<Eight>(q + i);
      Store(Eight(__builtin_shufflevector(v, v, 0, 2, 4, 6, 1, 3, 5, 7)), out + i);
    }
  }
  MODELC_INLINE GroupOfInputs LoadInputs(const std::byte* x) {
    typedef int32_t All __attribute__((ext_vector_type(kIntGroup / 4)));
    typedef int32_t Lifts __attribute__((ext_vector_type(kBlocks)));
    const All all = Load<All>(x);
    const I32 even = all.even, odd = all.odd;
    const Lifts quarter = Load<Lifts>(x + kIntGroup) >> 2;  // four lanes share a block; the lift is a multiple of 8
    return {__builtin_bit_cast(S8, even), __builtin_bit_cast(S8, odd),
            __builtin_shufflevector(quarter, quarter, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3)};
  }
  struct Weights {
    B8 low, high;
    U32 factor;
  };
  MODELC_INLINE Weights LoadWeights(const std::byte* w) {
    const B16 both = Load<B16>(w + 8);
    return {__builtin_bit_cast(B8, both & B16(0x0f0f)), __builtin_bit_cast(B8, (both >> B16(4)) & B16(0x0f0f)),
            (U32(Load<uint32_t>(w + 4)) >> (__builtin_bit_cast(U32, LaneNumbers()) / 4u * 8u)) & 0xffu};
  }
  MODELC_INLINE I32 Sum(const Weights& w, const GroupOfInputs& x) {
    const I32 eight = MultiplyAddFours(w.high, x.second, MultiplyAddFours(w.low, x.first, x.start));  // fits 16 bits
    return MultiplyShort(__builtin_bit_cast(I32, w.factor), eight);
  }

  static void Fill(const std::byte* const* rows, Panel& panel) {
    uint32_t bytes[kLanes];
    for (int r = 0; r < kLanes; ++r) __builtin_memcpy(&bytes[r], rows[r] + 4, sizeof bytes[r]);
    for (int b = 0; b < kBlocks; ++b) Store((Load<U32>(bytes) >> (8 * b)) & 0xffu, panel.factor[b]);
    for (int64_t i = 0; i < kFours; i += 8) {
      I32 v[4];
      LoadColumns(rows, 8 + 2 * i, v);
      for (int j = 0; j < 4; ++j) {
        const B16 both = __builtin_bit_cast(B16, v[j]);
        Store(both & B16(0x0f0f), panel.weights[i + 2 * j]);
        Store((both >> B16(4)) & B16(0x0f0f), panel.weights[i + 2 * j + 1]);
      }
    }
  }
};

// A packed row: for each group its values and, for each block, what to take off for the lift; then the groups' scales.
template <typename W>
static void PackIntegers(const float* x, int64_t k, float* out) {
  const int64_t groups = IntGroups(k);
  std::byte* values = reinterpret_cast<std::byte*>(out);
  float* scales = reinterpret_cast<float*>(values + groups * W::kInputBytes);
  for (int64_t g = 0; g < groups; ++g, values += W::kInputBytes) {
    int8_t q[kIntGroup];
    scales[g] = QuantizeGroup(x + g * kIntGroup, k - g * kIntGroup < kIntGroup ? k - g * kIntGroup : kIntGroup, q);
    W::Place(q, reinterpret_cast<int8_t*>(values));
    int32_t* lift = reinterpret_cast<int32_t*>(values + kIntGroup);
    constexpr int kColumns = kIntGroup / W::kBlocks;
    for (int b = 0; b < W::kBlocks; ++b) {
      int32_t sum = 0;
      for (int i = 0; i < kColumns; ++i) sum += q[b * kColumns + i];
      lift[b] = -W::kLift * sum;
    }
  }
}

// acc[t][v] (+)= group g of kX rows of x times kV panels.
template <typename W, int kX, int kV>
static void DotTileOfFours(const Panel* panel, const InputRows& x, int64_t first, int64_t groups, int64_t g, F32* acc) {
  constexpr int kSteps = kFours / W::kBlocks;
  const std::byte* row[kX];
  I32 sum[kX][kV];
  for (int t = 0; t < kX; ++t) {
    row[t] = reinterpret_cast<const std::byte*>(Row(x, first + t)) + g * W::kInputBytes;
    for (int v = 0; v < kV; ++v) sum[t][v] = I32(0);
  }
  for (int b = 0; b < W::kBlocks; ++b) {
    I32 part[kX][kV];
    for (int t = 0; t < kX; ++t) {
      int32_t lift;
      __builtin_memcpy(&lift, row[t] + kIntGroup + 4 * b, sizeof lift);
      for (int v = 0; v < kV; ++v) part[t][v] = I32(lift);
    }
    for (int i = b * kSteps; i < (b + 1) * kSteps; ++i) {
      B8 w[kV];
      for (int v = 0; v < kV; ++v) w[v] = Load<B8>(panel[v].weights[i]);
      for (int t = 0; t < kX; ++t) {
        int32_t four;
        __builtin_memcpy(&four, row[t] + 4 * i, sizeof four);
        for (int v = 0; v < kV; ++v) part[t][v] = MultiplyAddFours(w[v], __builtin_bit_cast(S8, I32(four)), part[t][v]);
      }
    }
    for (int t = 0; t < kX; ++t)
      for (int v = 0; v < kV; ++v)
        sum[t][v] = W::kBlocks == 1
                        ? part[t][v]
                        : MultiplyAddPairs(part[t][v], Load<I32>(panel[v].factor[b]), sum[t][v]);  // both fit 16 bits
  }
  for (int t = 0; t < kX; ++t) {
    const float* scales = Row(x, first + t) + groups * W::kInputBytes / 4;
    for (int v = 0; v < kV; ++v) {
      F32& to = acc[t * kPanels + v];
      to = MultiplyAdd(__builtin_convertvector(sum[t][v], F32), Load(panel[v].scale) * scales[g],
                       g == 0 ? F32(0.0f) : to);
    }
  }
}

// kX rows of x from number t on against all panels.
template <typename W, int kX>
static void DotRowsOfFours(const Panel* panels, int64_t count, const InputRows& x, int64_t t, int64_t groups, int64_t g,
                           F32* acc) {
  acc += t * kPanels;
  constexpr int kV = kX == 1 ? 6 : 3;  // enough sums to hide the latency
  int64_t v = 0;
  for (; v + kV <= count; v += kV) DotTileOfFours<W, kX, kV>(panels + v, x, t, groups, g, acc + v);
  for (; v < count; ++v) DotTileOfFours<W, kX, 1>(panels + v, x, t, groups, g, acc + v);
}

// Group g of kLanes rows of weights from number n on; the last row again where there are fewer.
template <typename W>
MODELC_INLINE void GroupRows(const WeightRows& w, int64_t n, int64_t g, const std::byte* rows[kLanes], float* scale) {
  const int64_t row_bytes = IntGroups(w.k) * W::kGroupBytes;
  for (int64_t r = 0; r < kLanes; ++r) {
    const int64_t row = n + r < w.count ? n + r : w.count - 1;
    rows[r] = static_cast<const std::byte*>(w.data) + row * row_bytes + g * W::kGroupBytes;
    __builtin_memcpy(&scale[r], rows[r], sizeof(float));
  }
}

MODELC_INLINE void StoreOutputs(F32 sums, float* out, int64_t n) {
  if (n >= kLanes)
    Store(sums, out);
  else
    StorePart(sums, out, n);
}

// Few rows of x: no panel.
template <typename W, int kX>
static void DotIntegersOfFew(const WeightRows& w, const InputRows& x, const OutputRows& out) {
  const int64_t groups = IntGroups(w.k), ahead = kLanes * groups * W::kGroupBytes;  // the rows that come next
  for (int64_t n = 0; n < w.count; n += kLanes) {
    F32 total[kX];
    for (int t = 0; t < kX; ++t) total[t] = F32(0.0f);
    for (int64_t g = 0; g < groups; ++g) {
      const std::byte* rows[kLanes];
      alignas(64) float scale[kLanes];
      GroupRows<W>(w, n, g, rows, scale);
      for (int r = 0; r < kLanes; ++r)
        for (int64_t i = 0; i < W::kGroupBytes; i += 64) __builtin_prefetch(rows[r] + ahead + i);
      GroupOfInputs inputs[kX];
      for (int t = 0; t < kX; ++t)
        inputs[t] = W::LoadInputs(reinterpret_cast<const std::byte*>(Row(x, t)) + g * W::kInputBytes);
      I32 sum[kX][kLanes];
      for (int r = 0; r < kLanes; ++r) {
        const auto weights = W::LoadWeights(rows[r]);
        for (int t = 0; t < kX; ++t) sum[t][r] = W::Sum(weights, inputs[t]);
      }
      for (int t = 0; t < kX; ++t) {
        const float* scales = Row(x, t) + groups * W::kInputBytes / 4;
        total[t] = MultiplyAdd(__builtin_convertvector(AddUp(sum[t]), F32), Load(scale) * scales[g], total[t]);
      }
    }
    for (int t = 0; t < kX; ++t) StoreOutputs(total[t], out.data + t * out.stride + n, w.count - n);
  }
}

template <typename W>
static void DotIntegers(const WeightRows& w, const InputRows& x, const OutputRows& out, std::byte* scratch) {
  if (x.count == 0) return;
  if (x.count <= W::kFew)
    return WithCount<W::kFew>(x.count, [&](auto rows) { DotIntegersOfFew<W, decltype(rows)::value>(w, x, out); });
  Panel* panels = reinterpret_cast<Panel*>(scratch);
  F32* acc = reinterpret_cast<F32*>(panels + kPanels);
  const int64_t groups = IntGroups(w.k), count = (w.count + kLanes - 1) / kLanes;
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t v = 0; v < count; ++v) {
      const std::byte* rows[kLanes];
      GroupRows<W>(w, v * kLanes, g, rows, panels[v].scale);
      for (int r = 0; r < kLanes; ++r)
        for (int64_t i = 0; i < W::kGroupBytes; i += 64) __builtin_prefetch(rows[r] + W::kGroupBytes + i);
      W::Fill(rows, panels[v]);
    }
    int64_t t = 0;
    for (; t + W::kTileX <= x.count; t += W::kTileX) DotRowsOfFours<W, W::kTileX>(panels, count, x, t, groups, g, acc);
    for (; t + 4 <= x.count; t += 4) DotRowsOfFours<W, 4>(panels, count, x, t, groups, g, acc);
    for (; t < x.count; ++t) DotRowsOfFours<W, 1>(panels, count, x, t, groups, g, acc);
  }
  for (int64_t t = 0; t < x.count; ++t)
    for (int64_t v = 0; v < count; ++v)
      StoreOutputs(acc[t * kPanels + v], out.data + t * out.stride + v * kLanes, w.count - v * kLanes);
}
