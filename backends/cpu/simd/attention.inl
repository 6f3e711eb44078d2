// Loops of latent attention and of the indexer. Included after lanes.inl.
//
// Nothing is summed across lanes. Attention scores have their columns (heads) in lanes and broadcast the key's values,
// weighted sums have the latent's values in lanes and broadcast the weights: both read tiles as they lie in memory. Index
// scores have keys in lanes, so that any number of heads fills them; a page's keys are transposed once for all rows.

template <int N>
struct Size {
  static constexpr int value = N;
};

// Calls body(Size<B>, first) for 0 … n - 1 in blocks of the sizes B, each as often as it fits.
template <int... Blocks, typename Body>
MODELC_INLINE void InBlocks(int64_t n, const Body& body) {
  int64_t i = 0;
  (
      [&] {
        for (; i + Blocks <= n; i += Blocks) body(Size<Blocks>(), i);
      }(),
      ...);
}

// s[key][col] of Keys keys and Vectors vectors of columns, from a query block [dims, Vectors * kLanes].
template <int Keys, int Vectors>
MODELC_INLINE void ScoreTile(const float* q, const float* k, int64_t dims, float* s, int64_t s_stride) {
  F32 acc[Keys][Vectors];
  for (int i = 0; i < Keys; ++i)
    for (int v = 0; v < Vectors; ++v) acc[i][v] = F32(0.0f);
  for (int64_t d = 0; d < dims; ++d, q += Vectors * kLanes) {
    F32 column[Vectors];
    for (int v = 0; v < Vectors; ++v) column[v] = Load(q + v * kLanes);
    for (int i = 0; i < Keys; ++i) {
      const F32 value = F32(k[i * dims + d]);
      for (int v = 0; v < Vectors; ++v) acc[i][v] = MultiplyAdd(column[v], value, acc[i][v]);
    }
  }
  for (int i = 0; i < Keys; ++i)
    for (int v = 0; v < Vectors; ++v) Store(acc[i][v], s + i * s_stride + v * kLanes);
}

template <int Vectors>
MODELC_INLINE void ScoreColumns(const float* q, const float* k, int64_t keys, int64_t dims, float* s,
                                int64_t s_stride) {
  InBlocks<kScoreBlock, 4, 2, 1>(keys, [&](auto block, int64_t i) {
    ScoreTile<block.value, Vectors>(q, k + i * dims, dims, s + i * s_stride, s_stride);
  });
}

static void PackColumns(const float* const* columns, int64_t n, int64_t first, int64_t dims, int64_t total, float* out) {
  constexpr int64_t kStep = 16;  // dimensions at a time: a cache line of each column
  for (int64_t c = 0; c < n; c += 2 * kLanes) {
    const int64_t real = n - c < 2 * kLanes ? n - c : 2 * kLanes, width = real > kLanes ? 2 * kLanes : kLanes;
    for (int64_t d = 0; d < dims; d += kStep) {
      const int64_t end = d + kStep < dims ? d + kStep : dims;
      for (int64_t i = 0; i < width; ++i)
        for (int64_t j = d; j < end; ++j) out[c * total + (first + j) * width + i] = i < real ? columns[c + i][j] : 0.0f;
    }
  }
}

static void Scores(const float* q, int64_t cols, const float* k, int64_t keys, int64_t dims, float* s,
                   int64_t s_stride) {
  int64_t c = 0;
  for (; c + 2 * kLanes <= cols; c += 2 * kLanes) ScoreColumns<2>(q + c * dims, k, keys, dims, s + c, s_stride);
  if (c < cols) ScoreColumns<1>(q + c * dims, k, keys, dims, s + c, s_stride);
}

static void Softmax(float* s, int64_t s_stride, int64_t cols, int64_t keys, float scale, const int32_t* limit, float* max, float* sum,
                    float* factor) {
  const F32 lowest = F32(-__builtin_inff());
  for (int64_t c = 0; c < cols; c += kLanes) {
    const I32 visible = Load<I32>(limit + c);
    const F32 before = Load(max + c);
    F32 top = before;
    for (int64_t i = 0; i < keys; ++i) {
      const F32 x = Select(I32(static_cast<int32_t>(i)) < visible, Load(s + i * s_stride + c) * scale, lowest);
      Store(x, s + i * s_stride + c);
      top = Max(x, top);
    }
    const F32 base = Select(top == lowest, F32(0.0f), top);  // nothing seen: keep exp(-inf) = 0, not NaN
    F32 total = F32(0.0f);
    for (int64_t i = 0; i < keys; ++i) {
      const F32 p = Exp(Load(s + i * s_stride + c) - base);
      Store(p, s + i * s_stride + c);
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
  InBlocks<kSumBlock, 4, 2, 1>(heads, [&](auto block, int64_t h) {
    SumBlock<block.value, Vectors>(p + h, p_stride, k, k_stride, keys, dims, factor + h, out + h * dims);
  });
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

// Sixteen rows of sixteen values to sixteen columns, by four rounds of interleaving.
template <typename V>
MODELC_INLINE void Transpose16(V (&row)[16]) {
  for (int round = 0; round < 4; ++round) {
    V next[16];
    for (int i = 0; i < 8; ++i) {
      const V a = row[i], b = row[i + 8];
      next[2 * i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    }
    for (int i = 0; i < 16; ++i) row[i] = next[i];
  }
}

// out[block][d][16] from 64 rows [dims] of T; widen(T*) reads kLanes of them as floats.
template <typename T, typename Widen>
MODELC_INLINE void TransposeKeys(const T* rows, int64_t dims, float* out, const Widen& widen) {
  typedef T V __attribute__((ext_vector_type(16)));
  for (int block = 0; block < 4; ++block, rows += 16 * dims, out += 16 * dims) {
    int64_t d = 0;
    for (; d + 16 <= dims; d += 16) {
      V row[16];
      for (int i = 0; i < 16; ++i) row[i] = Load<V>(rows + i * dims + d);
      Transpose16(row);
      for (int i = 0; i < 16; ++i) {
        T column[16];
        Store(row[i], column);
        for (int j = 0; j < 16; j += kLanes) Store(widen(column + j), out + (d + i) * 16 + j);
      }
    }
    for (; d < dims; ++d) {
      T column[16];
      for (int i = 0; i < 16; ++i) column[i] = rows[i * dims + d];
      for (int j = 0; j < 16; j += kLanes) Store(widen(column + j), out + d * 16 + j);
    }
  }
}

static void TransposeE4M3(const uint8_t* rows, int64_t dims, float* out) {
  if (HasE4M3NaN(rows, 64 * dims)) {
    TransposeKeys(rows, dims, out, [](const uint8_t* p) __attribute__((always_inline)) { return FromE4M3(p); });
  } else {
    TransposeKeys(rows, dims, out,
                  [](const uint8_t* p) __attribute__((always_inline)) { return E4M3Bits(p) * kE4M3Factor; });
  }
}

static void TransposeBf16(const uint16_t* rows, int64_t dims, float* out) {
  TransposeKeys(rows, dims, out, [](const uint16_t* p) __attribute__((always_inline)) { return FromBf16(p); });
}

static void TransposeF32(const float* rows, int64_t dims, float* out) {
  TransposeKeys(rows, dims, out, [](const float* p) __attribute__((always_inline)) { return Load(p); });
}

// sum[v] += w[h] * relu(q[h] . key) for Heads heads and Vectors vectors of keys; relu keeps NaN.
template <int Heads, int Vectors>
MODELC_INLINE void IndexBlock(const float* q, const float* w, const float* k, int64_t dims, F32 (&sum)[Vectors]) {
  F32 acc[Heads][Vectors];
  for (int h = 0; h < Heads; ++h)
    for (int v = 0; v < Vectors; ++v) acc[h][v] = F32(0.0f);
  for (int64_t d = 0; d < dims; ++d) {
    F32 key[Vectors];
    for (int v = 0; v < Vectors; ++v) key[v] = Load(k + v * kLanes / 16 * 16 * dims + d * 16 + v * kLanes % 16);
    for (int h = 0; h < Heads; ++h) {
      const F32 value = F32(q[h * dims + d]);
      for (int v = 0; v < Vectors; ++v) acc[h][v] = MultiplyAdd(key[v], value, acc[h][v]);
    }
  }
  for (int h = 0; h < Heads; ++h)
    for (int v = 0; v < Vectors; ++v) {
      const F32 r = acc[h][v] < 0.0f ? F32(0.0f) : acc[h][v];
      sum[v] = MultiplyAdd(r, F32(w[h]), sum[v]);
    }
}

static void IndexScores(const float* q, const float* w, int64_t heads, const float* k, int64_t keys, int64_t dims,
                        float* out) {
  for (int64_t i = 0; i < keys; i += kIndexVectors * kLanes) {
    F32 sum[kIndexVectors];
    for (int v = 0; v < kIndexVectors; ++v) sum[v] = F32(0.0f);
    InBlocks<kIndexBlock, 4, 2, 1>(heads, [&](auto block, int64_t h) {
      IndexBlock<block.value, kIndexVectors>(q + h * dims, w + h, k + i * dims, dims, sum);
    });
    for (int v = 0; v < kIndexVectors; ++v) Store(sum[v], out + i + v * kLanes);
  }
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
