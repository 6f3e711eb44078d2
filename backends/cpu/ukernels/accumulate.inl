// MatmulUkernels::accumulate: weight rows times scalars of x, summed over the rows in order. Columns go by groups; a
// group's sums stay in registers while the rows pass, widened on the way (one or two rows of x) or once into a panel.
constexpr int64_t kPanelRows = 128;
constexpr int kFewInputs = 2;
constexpr size_t kAccumulateScratch =
    ((kPanelRows + MatmulUkernels::kMaxInputs) * kGroup + kFewInputs * kPanelRows) * sizeof(float);

// The group of weights at column c of row r; those beyond the row's end are zero.
template <typename W>
MODELC_INLINE void WidenAt(const WeightRows& w, int64_t r, int64_t c, F32 v[4]) {
  const auto* p = static_cast<const typename W::Type*>(w.data) + r * w.k + c;
  // Going down the rows, the processor foresees nothing. Columns that come soon; and with the first ones, of rows that
  // come soon those, and of this row the next.
  __builtin_prefetch(p + 4 * kGroup);
  if (c == 0) {
    __builtin_prefetch(p + 8 * w.k);
    for (int i = 1; i < 4; ++i) __builtin_prefetch(p + i * kGroup);
  }
  WidenGroup<W>(p, w.k - c, Factor<W>(ScaleRow<W>(w, r), c / kBlock), v);
}

// sums[t] (+)= Σ_r x[t][r]·weights(r) over rows r0 … r1-1 for kX rows of x, `sums` a group of vectors each.
template <int kX, typename Weights>
MODELC_INLINE void AccumulateTile(const float* const* x, int64_t r0, int64_t r1, Weights weights, F32* sums) {
  F32 sum[kX][4];
  for (int t = 0; t < kX; ++t)
    for (int j = 0; j < 4; ++j) sum[t][j] = r0 == 0 ? F32(0.0f) : sums[t * 4 + j];
  for (int64_t r = r0; r < r1; ++r) {
    F32 v[4];
    weights(r, v);
    for (int t = 0; t < kX; ++t) {
      const F32 u = F32(x[t][r]);
      for (int j = 0; j < 4; ++j) sum[t][j] = MultiplyAdd(u, v[j], sum[t][j]);
    }
  }
  for (int t = 0; t < kX; ++t)
    for (int j = 0; j < 4; ++j) sums[t * 4 + j] = sum[t][j];
}

// Brings a group's sums, times a factor, back into column order, leaving out those beyond the row's end.
template <typename W>
MODELC_INLINE void StoreGroup(const F32* sums, float factor, int64_t n, float* out) {
  for (int j = 0; j < 4; ++j)
    for (int i = 0; i < kLanes; ++i)
      if (W::Order(j, i) < n) out[W::Order(j, i)] = sums[j][i] * factor;
}

// One panel of rows, widened on the way.
template <typename W, int kX>
MODELC_INLINE void AccumulateFew(const WeightRows& w, const float* const* x, int64_t c, int64_t r0, int64_t r1,
                                 F32* sums) {
  AccumulateTile<kX>(
      x, r0, r1, [&](int64_t r, F32 v[4]) { WidenAt<W>(w, r, c, v); }, sums);
}

// The same of e4m3 whose scales are powers of two; leaves the sums multiplied by 1 / kScaledOutput.
template <int kX>
MODELC_INLINE void AccumulateFewScaled(const WeightRows& w, const float* const* x, int64_t c, int64_t r0, int64_t r1,
                                       float* scaled, F32* sums) {
  const float* rows[kX];
  for (int t = 0; t < kX; ++t) {
    rows[t] = scaled + t * kPanelRows - r0;
    for (int64_t r = r0, end; r < r1; r = end) {  // rows that share their scales
      end = ((w.first + r) / kBlock + 1) * kBlock - w.first;
      if (end > r1) end = r1;
      const float factor = ScaleRow<E4M3Weights>(w, r)[c / kBlock] * kScaledInput;
      for (int64_t i = r; i < end; ++i) scaled[t * kPanelRows + i - r0] = x[t][i] * factor;
    }
  }
  AccumulateFew<E4M3Unscaled, kX>(w, rows, c, r0, r1, sums);
}

template <typename W, int kX>
static void AccumulateFewAs(const WeightRows& w, const InputRows& x, const OutputRows& out, float* scaled, F32* sums) {
  const bool scale = PowersOfTwo<W>(w);
  const float* rows[kX];
  for (int t = 0; t < kX; ++t) rows[t] = Row(x, t);
  for (int64_t c = 0; c < w.k; c += kGroup) {
    for (int64_t r0 = 0; r0 < w.count; r0 += kPanelRows) {
      const int64_t r1 = r0 + kPanelRows < w.count ? r0 + kPanelRows : w.count;
      if (scale)
        AccumulateFewScaled<kX>(w, rows, c, r0, r1, scaled, sums);
      else
        AccumulateFew<W, kX>(w, rows, c, r0, r1, sums);
    }
    for (int t = 0; t < kX; ++t)
      StoreGroup<W>(sums + t * 4, scale ? kScaledOutput : 1.0f, w.k - c, out.data + t * out.stride + c);
  }
}

template <typename W>
static void AccumulateManyAs(const WeightRows& w, const InputRows& x, const OutputRows& out, float* panel, F32* sums) {
  for (int64_t c = 0; c < w.k; c += kGroup) {
    for (int64_t r0 = 0; r0 < w.count; r0 += kPanelRows) {
      const int64_t r1 = r0 + kPanelRows < w.count ? r0 + kPanelRows : w.count;
      for (int64_t r = r0; r < r1; ++r) {
        F32 v[4];
        WidenAt<W>(w, r, c, v);
        for (int j = 0; j < 4; ++j) Store(v[j], panel + (r - r0) * kGroup + j * kLanes);
      }
      const auto weights = [&](int64_t r, F32 v[4]) {
        for (int j = 0; j < 4; ++j) v[j] = Load(panel + (r - r0) * kGroup + j * kLanes);
      };
      int64_t t = 0;
      for (; t + kTileRows <= x.count; t += kTileRows) {
        const float* rows[kTileRows];
        for (int i = 0; i < kTileRows; ++i) rows[i] = Row(x, t + i);
        AccumulateTile<kTileRows>(rows, r0, r1, weights, sums + t * 4);
      }
      for (; t < x.count; ++t) {
        const float* rows[1] = {Row(x, t)};
        AccumulateTile<1>(rows, r0, r1, weights, sums + t * 4);
      }
    }
    for (int64_t t = 0; t < x.count; ++t) StoreGroup<W>(sums + t * 4, 1.0f, w.k - c, out.data + t * out.stride + c);
  }
}

static void Accumulate(const WeightRows& w, const InputRows& x, const OutputRows& out, std::byte* scratch) {
  float* panel = reinterpret_cast<float*>(scratch);
  float* scaled = panel + kPanelRows * kGroup;
  F32* sums = reinterpret_cast<F32*>(scaled + kFewInputs * kPanelRows);
  WithDtype(w.dtype, [&](auto weights) {
    using W = decltype(weights);
    if (x.count == 1) return AccumulateFewAs<W, 1>(w, x, out, scaled, sums);
    if (x.count == 2) return AccumulateFewAs<W, 2>(w, x, out, scaled, sums);
    AccumulateManyAs<W>(w, x, out, panel, sums);
  });
}
