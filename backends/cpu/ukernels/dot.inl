// MatmulUkernels::dot. Up to kDirectRows rows of x: weights are widened in registers, for all rows at once (memory
// bound at one row). More: a panel of weights is widened once into L1, then a register tile of kTileX × kTileW outputs
// runs over it (bound by FMA). Sums stay vectors in `acc` until all of k is done.
constexpr int kDirectRows = 8;
constexpr int64_t kPanelK = 512, kPanelW = 12;  // 24 KiB of floats: L1 holds it beside kTileX rows of x
constexpr int64_t kPanelFloats = kPanelK * kPanelW;
constexpr int64_t kAccVectors = MatmulUkernels::kMaxInputs * kPanelW + 8;  // eight at a time are added up
static_assert(kPanelW % kTileW == 0 && kDirectRows * MatmulUkernels::kMaxWeights <= kAccVectors);

constexpr int kMostScaled = 4;  // rows of x in DotFewScaled: beyond, FMA takes the time
constexpr int64_t kScaledFloats = 8192;

constexpr size_t kDotScratch = (kPanelFloats + kScaledFloats) * sizeof(float) + kAccVectors * sizeof(F32);

// acc[t][r] (+)= x[t]·w[r] over k0 … k1-1, for kRows rows of weights from number n on. k0 and all but the last k1 are
// multiples of 128.
template <typename W, int kX, int kRows>
static void DotDirect(const WeightRows& w, int64_t n, const float* const* x, int64_t k0, int64_t k1, F32* acc,
                      int64_t acc_stride) {
  using Type = typename W::Type;
  const Type* row[kRows];
  const float* scale[kRows];
  F32 sum[kX][kRows];
  for (int r = 0; r < kRows; ++r) {
    row[r] = static_cast<const Type*>(w.data) + (n + r) * w.k;
    scale[r] = ScaleRow<W>(w, n + r);
    for (int t = 0; t < kX; ++t) sum[t][r] = k0 == 0 ? F32(0.0f) : acc[t * acc_stride + r];
  }
  const int64_t ahead = kRows * w.k;  // the rows that come next
  for (int64_t block = k0; block < k1; block += kBlock) {
    F32 factor[kRows];
    for (int r = 0; r < kRows; ++r) factor[r] = Factor<W>(scale[r], block / kBlock);
    const int64_t end = block + kBlock < k1 ? block + kBlock : k1;
    int64_t k = block;
    for (; k + kGroup <= end; k += kGroup) {
      typename W::Raw raw[kRows];
      for (int r = 0; r < kRows; ++r) {
        __builtin_prefetch(row[r] + k + ahead);
        W::Read(row[r] + k, raw[r]);
      }
      // Vector by vector over all rows: with a row at a time the compiler keeps four vectors of each, and spills them.
      const auto add = [&]<int j>() {
        for (int r = 0; r < kRows; ++r) {
          const F32 v = W::template Widen<j>(raw[r], factor[r]);
          for (int t = 0; t < kX; ++t) sum[t][r] = MultiplyAdd(Load(x[t] + k + j * kLanes), v, sum[t][r]);
        }
      };
      add.template operator()<0>();
      add.template operator()<1>();
      add.template operator()<2>();
      add.template operator()<3>();
    }
    if (k < end)
      for (int r = 0; r < kRows; ++r) {
        F32 v[4];
        WidenGroup<W>(row[r] + k, end - k, factor[r], v);
        for (int j = 0; j < 4; ++j)
          for (int t = 0; t < kX; ++t) sum[t][r] = MultiplyAdd(Load(x[t] + k + j * kLanes), v[j], sum[t][r]);
      }
  }
  for (int r = 0; r < kRows; ++r)
    for (int t = 0; t < kX; ++t) acc[t * acc_stride + r] = sum[t][r];
}

// Rows n … end - 1 of w against columns k0 … k1 - 1 of kX rows of x.
template <typename W, int kX>
static void DotRows(const WeightRows& w, int64_t n, int64_t end, const float* const* x, int64_t k0, int64_t k1,
                    F32* acc) {
  // Enough sums to hide the latency of FMA, without spills.
  constexpr int kRows = kX <= 2 ? 4 : kX <= 4 || (kLanes == 16 && kX <= 6) ? 2 : 1;
  for (; n + kRows <= end; n += kRows) DotDirect<W, kX, kRows>(w, n, x, k0, k1, acc + n, w.count);
  for (; n < end; ++n) DotDirect<W, kX, 1>(w, n, x, k0, k1, acc + n, w.count);
}

// All rows of w against kX rows of x.
template <typename W, int kX>
static void DotFew(const WeightRows& w, const InputRows& x, F32* acc) {
  constexpr int64_t kChunk = kX <= 2 ? 1 << 20 : 512;  // keeps the chunk of x in L1
  const float* row[kX];
  for (int t = 0; t < kX; ++t) row[t] = Row(x, t);
  for (int64_t k0 = 0; k0 < w.k; k0 += kChunk)
    DotRows<W, kX>(w, 0, w.count, row, k0, k0 + kChunk < w.k ? k0 + kChunk : w.k, acc);
}

// The same of e4m3 whose scales are powers of two; leaves acc multiplied by 1 / kScaledOutput.
template <int kX>
static void DotFewScaled(const WeightRows& w, const InputRows& x, float* scaled, F32* acc) {
  constexpr int64_t kChunk = kScaledFloats / (kX <= 2 ? 2 : kMostScaled);
  for (int64_t k0 = 0; k0 < w.k; k0 += kChunk) {
    const int64_t k1 = k0 + kChunk < w.k ? k0 + kChunk : w.k;
    for (int64_t n = 0, end; n < w.count; n = end) {  // rows that share their scales
      end = ((w.first + n) / kBlock + 1) * kBlock - w.first;
      if (end > w.count) end = w.count;
      const float* scale = ScaleRow<E4M3Weights>(w, n);
      const float* row[kX];
      for (int t = 0; t < kX; ++t) {
        const float* from = Row(x, t);
        row[t] = scaled + t * kChunk - k0;
        for (int64_t k = k0; k < k1; k += kBlock) {
          const F32 factor = F32(scale[k / kBlock] * kScaledInput);
          const int64_t stop = k + kBlock < k1 ? k + kBlock : RoundUp(k1);
          for (int64_t i = k; i < stop; i += kLanes) Store(Load(from + i) * factor, scaled + t * kChunk + i - k0);
        }
      }
      DotRows<E4M3Unscaled, kX>(w, n, end, row, k0, k1, acc);
    }
  }
}

// Widens columns k0 … k1-1 of weight rows n … n+count-1 into panel[row][k].
template <typename W>
static void WidenPanel(const WeightRows& w, int64_t n, int64_t count, int64_t k0, int64_t k1, float* panel) {
  const int64_t stride = RoundUp(k1 - k0);
  for (int64_t r = 0; r < count; ++r) {
    const auto* row = static_cast<const typename W::Type*>(w.data) + (n + r) * w.k;
    const float* scale = ScaleRow<W>(w, n + r);
    float* out = panel + r * stride;
    for (int64_t k = k0; k < k1; k += kGroup, out += kGroup) {
      F32 v[4];
      WidenGroup<W>(row + k, k1 - k, Factor<W>(scale, k / kBlock), v);
      for (int j = 0; j < 4; ++j) Store(v[j], out + j * kLanes);
    }
  }
}

// acc[t][r] (+)= x[t]·w[r] over k floats (a multiple of kGroup) of kX rows of x and kW rows of the panel.
template <int kX, int kW>
static void DotTile(const float* const* x, const float* w, int64_t w_stride, int64_t k, bool first, F32* acc) {
  F32 sum[kX][kW];
  for (int t = 0; t < kX; ++t)
    for (int r = 0; r < kW; ++r) sum[t][r] = first ? F32(0.0f) : acc[t * kPanelW + r];
  for (int64_t i = 0; i < k; i += kLanes) {
    F32 v[kW];
    for (int r = 0; r < kW; ++r) v[r] = Load(w + r * w_stride + i);
    for (int t = 0; t < kX; ++t) {
      const F32 u = Load(x[t] + i);
      for (int r = 0; r < kW; ++r) sum[t][r] = MultiplyAdd(u, v[r], sum[t][r]);
    }
  }
  for (int t = 0; t < kX; ++t)
    for (int r = 0; r < kW; ++r) acc[t * kPanelW + r] = sum[t][r];
}

// kX rows of x against all rows of the panel.
template <int kX>
static void DotPanel(const InputRows& x, int64_t t, int64_t k0, const float* panel, int64_t count, int64_t k,
                     F32* acc) {
  const float* row[kX];
  for (int i = 0; i < kX; ++i) row[i] = Row(x, t + i) + k0;
  acc += t * kPanelW;
  int64_t r = 0;
  for (; r + kTileW <= count; r += kTileW) DotTile<kX, kTileW>(row, panel + r * k, k, k, k0 == 0, acc + r);
  for (; r < count; ++r) DotTile<kX, 1>(row, panel + r * k, k, k, k0 == 0, acc + r);
}

static void Finish(const F32* acc, int64_t acc_stride, int64_t rows, int64_t count, float* out, int64_t out_stride,
                   float factor = 1.0f) {
  for (int64_t t = 0; t < rows; ++t, acc += acc_stride, out += out_stride) {
#if MODELC_SIMD_LANES >= 8
    int64_t n = 0;
    for (; n + 8 <= count; n += 8) Store(Sums(acc + n) * factor, out + n);
    if (n < count) {  // what is added up beyond `count` is left where it is
      const Eight sums = Sums(acc + n) * factor;
      for (int64_t i = n; i < count; ++i) out[i] = sums[i - n];
    }
#else
    for (int64_t n = 0; n < count; ++n) out[n] = Sum(acc[n]) * factor;
#endif
  }
}

template <typename W>
static void DotMany(const WeightRows& w, const InputRows& x, const OutputRows& out, float* panel, F32* acc) {
  for (int64_t n = 0; n < w.count; n += kPanelW) {
    const int64_t count = w.count - n < kPanelW ? w.count - n : kPanelW;
    for (int64_t k0 = 0; k0 < w.k; k0 += kPanelK) {
      const int64_t k1 = k0 + kPanelK < w.k ? k0 + kPanelK : w.k, k = RoundUp(k1 - k0);
      WidenPanel<W>(w, n, count, k0, k1, panel);
      int64_t t = 0;
      for (; t + kTileX <= x.count; t += kTileX) DotPanel<kTileX>(x, t, k0, panel, count, k, acc);
      for (; t + 2 <= x.count; t += 2) DotPanel<2>(x, t, k0, panel, count, k, acc);
      for (; t < x.count; ++t) DotPanel<1>(x, t, k0, panel, count, k, acc);
    }
    Finish(acc, kPanelW, x.count, count, out.data + n, out.stride);
  }
}

// Calls f(Size<count>()), count being 1 … kMost.
template <int kMost, typename F>
MODELC_INLINE void WithCount(int64_t count, F&& f) {
  if (count == kMost) return f(Size<kMost>());
  if constexpr (kMost > 1) WithCount<kMost - 1>(count, f);
}

static void DotFloats(const WeightRows& w, const InputRows& x, const OutputRows& out, std::byte* scratch) {
  float* panel = reinterpret_cast<float*>(scratch);
  float* scaled = panel + kPanelFloats;
  F32* acc = reinterpret_cast<F32*>(scaled + kScaledFloats);
  WithDtype(w.dtype, [&](auto weights) {
    using W = decltype(weights);
    if (x.count == 0) return;
    if (x.count <= kMostScaled && PowersOfTwo<W>(w)) {
      WithCount<kMostScaled>(x.count, [&](auto rows) { DotFewScaled<decltype(rows)::value>(w, x, scaled, acc); });
      return Finish(acc, w.count, x.count, w.count, out.data, out.stride, kScaledOutput);
    }
    if (x.count > kDirectRows) return DotMany<W>(w, x, out, panel, acc);
    WithCount<kDirectRows>(x.count, [&](auto rows) { DotFew<W, decltype(rows)::value>(w, x, acc); });
    Finish(acc, w.count, x.count, w.count, out.data, out.stride);
  });
}
