// Loops of latent attention and of the indexer. Included after lanes.inl.
//
// Scores have their columns (heads) in lanes and broadcast the key's values, weighted sums have the latent's values in
// lanes and broadcast the weights: both read tiles as they lie in memory, and nothing is summed across lanes.

// acc[k][v] = sum_d q[d][v] * key[k][d] for Keys keys and Vectors vectors of columns.
template <int Keys, int Vectors>
MODELC_INLINE void ScoreBlock(const float* q, int64_t cols, const float* k, int64_t k_stride, int64_t dims,
                              F32 (&acc)[Keys][Vectors]) {
  for (int i = 0; i < Keys; ++i)
    for (int v = 0; v < Vectors; ++v) acc[i][v] = F32(0.0f);
  for (int64_t d = 0; d < dims; ++d) {
    F32 column[Vectors];
    for (int v = 0; v < Vectors; ++v) column[v] = Load(q + d * cols + v * kLanes);
    for (int i = 0; i < Keys; ++i) {
      const F32 value = F32(k[i * k_stride + d]);
      for (int v = 0; v < Vectors; ++v) acc[i][v] = MultiplyAdd(column[v], value, acc[i][v]);
    }
  }
}

template <int Keys, int Vectors>
MODELC_INLINE void ScoreTile(const float* q, int64_t cols, const float* k, int64_t dims, float* s) {
  F32 acc[Keys][Vectors];
  ScoreBlock<Keys, Vectors>(q, cols, k, dims, dims, acc);
  for (int i = 0; i < Keys; ++i)
    for (int v = 0; v < Vectors; ++v) Store(acc[i][v], s + i * cols + v * kLanes);
}

template <int Vectors>
MODELC_INLINE void ScoreColumns(const float* q, int64_t cols, const float* k, int64_t keys, int64_t dims, float* s) {
  int64_t i = 0;
  for (; i + kScoreKeys <= keys; i += kScoreKeys)
    ScoreTile<kScoreKeys, Vectors>(q, cols, k + i * dims, dims, s + i * cols);
  for (; i < keys; ++i) ScoreTile<1, Vectors>(q, cols, k + i * dims, dims, s + i * cols);
}

static void Scores(const float* q, int64_t cols, const float* k, int64_t keys, int64_t dims, float* s) {
  int64_t c = 0;
  for (; c + 2 * kLanes <= cols; c += 2 * kLanes) ScoreColumns<2>(q + c, cols, k, keys, dims, s + c);
  for (; c < cols; c += kLanes) ScoreColumns<1>(q + c, cols, k, keys, dims, s + c);
}

static void Softmax(float* s, int64_t cols, int64_t keys, float scale, const int32_t* limit, float* max, float* sum,
                    float* factor) {
  const F32 lowest = F32(-__builtin_inff());
  for (int64_t c = 0; c < cols; c += kLanes) {
    const I32 visible = Load<I32>(limit + c);
    const F32 before = Load(max + c);
    F32 top = before;
    for (int64_t i = 0; i < keys; ++i) {
      const F32 x = Select(I32(static_cast<int32_t>(i)) < visible, Load(s + i * cols + c) * scale, lowest);
      Store(x, s + i * cols + c);
      top = Max(x, top);
    }
    const F32 base = Select(top == lowest, F32(0.0f), top);  // nothing seen: keep exp(-inf) = 0, not NaN
    F32 total = F32(0.0f);
    for (int64_t i = 0; i < keys; ++i) {
      const F32 p = Exp(Load(s + i * cols + c) - base);
      Store(p, s + i * cols + c);
      total += p;
    }
    const F32 old = Exp(before - base);
    Store(old, factor + c);
    Store(MultiplyAdd(Load(sum + c), old, total), sum + c);
    Store(top, max + c);
  }
}

template <int Heads, int Vectors>
MODELC_INLINE void SumBlock(const float* p, int64_t p_stride, const float* k, int64_t k_stride, int64_t keys,
                            int64_t dims, const float* factor, float* out) {
  F32 acc[Heads][Vectors];
  for (int h = 0; h < Heads; ++h)
    for (int v = 0; v < Vectors; ++v) acc[h][v] = Load(out + h * dims + v * kLanes) * factor[h];
  for (int64_t i = 0; i < keys; ++i) {
    F32 value[Vectors];
    for (int v = 0; v < Vectors; ++v) value[v] = Load(k + i * k_stride + v * kLanes);
    for (int h = 0; h < Heads; ++h) {
      const F32 weight = F32(p[i * p_stride + h]);
      for (int v = 0; v < Vectors; ++v) acc[h][v] = MultiplyAdd(value[v], weight, acc[h][v]);
    }
  }
  for (int h = 0; h < Heads; ++h)
    for (int v = 0; v < Vectors; ++v) Store(acc[h][v], out + h * dims + v * kLanes);
}

template <int Vectors>
MODELC_INLINE void SumColumns(const float* p, int64_t p_stride, const float* k, int64_t k_stride, int64_t keys,
                              int64_t heads, int64_t dims, const float* factor, float* out) {
  int64_t h = 0;
  for (; h + kSumHeads <= heads; h += kSumHeads)
    SumBlock<kSumHeads, Vectors>(p + h, p_stride, k, k_stride, keys, dims, factor + h, out + h * dims);
  for (; h < heads; ++h) SumBlock<1, Vectors>(p + h, p_stride, k, k_stride, keys, dims, factor + h, out + h * dims);
}

static void WeightedSum(const float* p, int64_t p_stride, const float* k, int64_t k_stride, int64_t keys,
                        int64_t heads, int64_t dims, const float* factor, float* out) {
  int64_t d = 0;
  for (; d + kSumVectors * kLanes <= dims; d += kSumVectors * kLanes)
    SumColumns<kSumVectors>(p, p_stride, k + d, k_stride, keys, heads, dims, factor, out + d);
  for (; d + kLanes <= dims; d += kLanes) SumColumns<1>(p, p_stride, k + d, k_stride, keys, heads, dims, factor, out + d);
  for (; d < dims; ++d)
    for (int64_t h = 0; h < heads; ++h) {
      float sum = out[h * dims + d] * factor[h];
      for (int64_t i = 0; i < keys; ++i) sum += p[i * p_stride + h] * k[i * k_stride + d];
      out[h * dims + d] = sum;
    }
}

// relu that keeps NaN, weighted; columns from `heads` on count nothing.
MODELC_INLINE F32 WeightedRelu(F32 s, F32 w, int64_t column, int64_t heads, F32 sum) {
  const F32 r = s < 0.0f ? F32(0.0f) : s;
  const F32 next = MultiplyAdd(r, w, sum);
  if (column + kLanes <= heads) return next;
  return Select(LaneNumbers() < static_cast<int32_t>(heads - column), next, sum);
}

template <int Keys>
MODELC_INLINE void IndexBlock(const float* q, const float* w, int64_t heads, int64_t cols, const float* k,
                              int64_t dims, float* out) {
  F32 sum[Keys];
  for (int i = 0; i < Keys; ++i) sum[i] = F32(0.0f);
  int64_t c = 0;
  for (; c + 2 * kLanes <= cols; c += 2 * kLanes) {
    F32 acc[Keys][2];
    ScoreBlock<Keys, 2>(q + c, cols, k, dims, dims, acc);
    for (int v = 0; v < 2; ++v) {
      const F32 weight = Load(w + c + v * kLanes);
      for (int i = 0; i < Keys; ++i) sum[i] = WeightedRelu(acc[i][v], weight, c + v * kLanes, heads, sum[i]);
    }
  }
  if (c < cols) {
    F32 acc[Keys][1];
    ScoreBlock<Keys, 1>(q + c, cols, k, dims, dims, acc);
    const F32 weight = Load(w + c);
    for (int i = 0; i < Keys; ++i) sum[i] = WeightedRelu(acc[i][0], weight, c, heads, sum[i]);
  }
  for (int i = 0; i < Keys; ++i) out[i] = Sum(sum[i]);
}

static void IndexScores(const float* q, const float* w, int64_t heads, const float* k, int64_t keys, int64_t dims,
                        float* out) {
  const int64_t cols = (heads + kLanes - 1) / kLanes * kLanes;
  int64_t i = 0;
  for (; i + kScoreKeys <= keys; i += kScoreKeys) IndexBlock<kScoreKeys>(q, w, heads, cols, k + i * dims, dims, out + i);
  for (; i < keys; ++i) IndexBlock<1>(q, w, heads, cols, k + i * dims, dims, out + i);
}

static int64_t CollectAbove(const float* x, int64_t n, int32_t first, uint32_t threshold, uint32_t* keys,
                            int32_t* positions) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i += kLanes) {
    const int part = static_cast<int>(n - i < kLanes ? n - i : kLanes);
    const U32 key = SortKey(part == kLanes ? Load(x + i) : LoadPart(x + i, part));
    if (!__builtin_reduce_or(key > threshold)) continue;
    uint32_t lane[kLanes];
    Store(key, lane);
    for (int j = 0; j < part; ++j) {
      keys[count] = lane[j];
      positions[count] = first + static_cast<int32_t>(i) + j;
      count += lane[j] > threshold;
    }
  }
  return count;
}
