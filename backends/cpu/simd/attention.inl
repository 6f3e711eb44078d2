// Loops of latent attention and of the indexer. Included after lanes.inl.
//
// Attention scores and weighted sums have the latent's values in lanes: both read queries and records as they lie in
// memory, whatever the number of heads. Index scores have keys in lanes, for their queries are short and many: a page's
// keys are transposed once for all rows.

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

// s[key][col] of Keys keys and Cols columns.
template <int Cols, int Keys>
MODELC_INLINE void ScoreTile(const float* q, const float* k, int64_t dims, float* s, int64_t s_stride) {
  constexpr int kCount = Cols * Keys;
  F32 acc[kCount];  // key by key
  _Pragma("unroll") for (int i = 0; i < kCount; ++i) acc[i] = F32(0.0f);
  int64_t d = 0;
  for (; d + kLanes <= dims; d += kLanes) {
    F32 key[Keys];
    for (int i = 0; i < Keys; ++i) key[i] = Load(k + i * dims + d);
    for (int c = 0; c < Cols; ++c) {
      const F32 value = Load(q + c * dims + d);
      for (int i = 0; i < Keys; ++i) acc[i * Cols + c] = MultiplyAdd(value, key[i], acc[i * Cols + c]);
    }
  }
  float sum[kCount];
  SumEach<kCount>(acc, sum);
  for (int64_t e = d; e < dims; ++e)
    for (int i = 0; i < kCount; ++i) sum[i] += q[i % Cols * dims + e] * k[i / Cols * dims + e];
  _Pragma("unroll") for (int i = 0; i < kCount; ++i) s[i / Cols * s_stride + i % Cols] = sum[i];
}

static void Scores(const float* q, int64_t cols, const float* k, int64_t keys, int64_t dims, float* s,
                   int64_t s_stride) {
  constexpr int64_t kKeys = 3 * kScoreKeys;  // in L1 beside a tile's columns
  for (int64_t first = 0; first < keys; first += kKeys) {
    const int64_t count = keys - first < kKeys ? keys - first : kKeys;
    InBlocks<kScoreColumns, 2, 1>(cols, [&](auto columns, int64_t c) {
      InBlocks<kScoreKeys, (kScoreKeys > 4 ? 4 : 1), 1>(count, [&](auto block, int64_t i) {
        ScoreTile<columns.value, block.value>(q + c * dims, k + (first + i) * dims, dims,
                                              s + (first + i) * s_stride + c, s_stride);
      });
    });
  }
}

static void Softmax(float* s, int64_t s_stride, int64_t cols, int64_t keys, float scale, const int32_t* limit,
                    float* max, float* sum, float* factor) {
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

static void WeightedSum(const float* p, int64_t p_stride, const float* k, int64_t k_stride, int64_t keys, int64_t heads,
                        int64_t dims, const float* factor, float* out) {
  int64_t d = 0;
  for (; d + kSumVectors * kLanes <= dims; d += kSumVectors * kLanes)
    SumColumns<kSumVectors>(p, p_stride, k + d, k_stride, keys, heads, dims, factor, out + d);
  for (; d + kLanes <= dims; d += kLanes)
    SumColumns<1>(p, p_stride, k + d, k_stride, keys, heads, dims, factor, out + d);
  for (; d < dims; ++d)
    for (int64_t h = 0; h < heads; ++h) {
      float sum = out[h * dims + d] * factor[h];
      for (int64_t i = 0; i < keys; ++i) sum += p[i * p_stride + h] * k[i * k_stride + d];
      out[h * dims + d] = sum;
    }
}

// Records of int8. Queries are rounded to int8 too, weights to fifteen bits, so that products are sums of integers: with
// the latent's values in lanes again, several to a lane.
#ifdef MODELC_SIMD_FOURS
// Four products at a time: keys go without sign, 128 more than they are; a query's `lift` takes off what that adds,
// a share in each lane.
constexpr int kLaneBytes = 4;
MODELC_INLINE I32 MultiplyAddBytes(I32 key, I32 query, I32 sum) {
  return MultiplyAddFours(__builtin_bit_cast(B8, key), __builtin_bit_cast(S8, query), sum);
}
#else
constexpr int kLaneBytes = 2;
MODELC_INLINE I32 MultiplyAddBytes(I32 key, I32 query, I32 sum) { return MultiplyAddPairs(key, query, sum); }
#endif

// n bytes as lanes, zeros up to a whole vector; without sign, and 128 more, where keys are so.
MODELC_INLINE void PackBytes(const int8_t* x, int64_t n, bool key, int32_t* out) {
  constexpr int64_t kBytes = kLaneBytes * kLanes;
  typedef int8_t Bytes __attribute__((ext_vector_type(kBytes)));
  for (int64_t i = 0; i < n; i += kBytes, out += kLanes) {
    Bytes bytes = Bytes(0);
    if (i + kBytes <= n)
      bytes = Load<Bytes>(x + i);
    else
      __builtin_memcpy(&bytes, x + i, n - i);
#ifdef MODELC_SIMD_FOURS
    Store(key ? bytes ^ int8_t(-128) : bytes, out);
#else
    typedef int16_t Words __attribute__((ext_vector_type(kBytes)));
    Store(__builtin_convertvector(bytes, Words), out);
#endif
  }
}

static void PackI8Keys(const int8_t* x, int64_t n, int32_t* out) { PackBytes(x, n, true, out); }

static I8Query PackI8Latent(const float* q, int64_t n, int32_t* out) {
  // Rounded where PackBytes reads all that it then writes over: at the end of the room.
  const int64_t lanes = (n + kLaneBytes * kLanes - 1) / (kLaneBytes * kLanes) * kLanes;
  int8_t* rounded = reinterpret_cast<int8_t*>(out + lanes) - n;
  I8Query query{ToI8Row(q, n, rounded), 0};
#ifdef MODELC_SIMD_FOURS
  for (int64_t d = 0; d < n; ++d) query.lift -= 128 / kLanes * rounded[d];
#endif
  PackBytes(rounded, n, false, out);
  return query;
}

// Two records' values as pairs.
static void PackI8Values(const int8_t* a, const int8_t* b, int64_t n, int32_t* out) {
  int64_t d = 0;
  for (; d + kLanes <= n; d += kLanes) {
    const I32 low = __builtin_convertvector(Load<I8>(a + d), I32), high = __builtin_convertvector(Load<I8>(b + d), I32);
    Store((low & 0xffff) | (high << 16), out + d);
  }
  for (; d < n; ++d) out[d] = (a[d] & 0xffff) | static_cast<int32_t>(static_cast<uint32_t>(b[d]) << 16);
}

// s[key][col] of Keys keys and Cols columns.
template <int Cols, int Keys>
MODELC_INLINE void ScoreTileI8(const int32_t* q, const I8Query* scales, const float* q_rope, const int32_t* k,
                               const float* k_scale, const float* k_rope, int64_t lanes, int64_t rope, float* s,
                               int64_t s_stride) {
  constexpr int kCount = Cols * Keys;
  I32 acc[kCount];  // key by key
  _Pragma("unroll") for (int i = 0; i < kCount; ++i) acc[i] = I32(scales[i % Cols].lift);
  for (int64_t d = 0; d < lanes; d += kLanes) {
    I32 key[Keys];
    for (int i = 0; i < Keys; ++i) key[i] = Load<I32>(k + i * lanes + d);
    for (int c = 0; c < Cols; ++c) {
      const I32 value = Load<I32>(q + c * lanes + d);
      for (int i = 0; i < Keys; ++i) acc[i * Cols + c] = MultiplyAddBytes(key[i], value, acc[i * Cols + c]);
    }
  }
  F32 total[kCount];
  _Pragma("unroll") for (int i = 0; i < kCount; ++i) total[i] = __builtin_convertvector(acc[i], F32);
  int64_t d = 0;
  for (; d + kLanes <= rope; d += kLanes) {
    F32 key[Keys];
    for (int i = 0; i < Keys; ++i) key[i] = Load(k_rope + i * rope + d);
    for (int c = 0; c < Cols; ++c) {
      const F32 value = Load(q_rope + c * rope + d);
      for (int i = 0; i < Keys; ++i) total[i * Cols + c] = MultiplyAdd(value, key[i], total[i * Cols + c]);
    }
  }
  float sum[kCount];
  SumEach<kCount>(total, sum);
  for (int64_t e = d; e < rope; ++e)
    for (int i = 0; i < kCount; ++i) sum[i] += q_rope[i % Cols * rope + e] * k_rope[i / Cols * rope + e];
  _Pragma("unroll") for (int i = 0; i < kCount; ++i)
    s[i / Cols * s_stride + i % Cols] = sum[i] * (scales[i % Cols].scale * k_scale[i / Cols]);
}

static void ScoresI8(const int32_t* q, const I8Query* scales, const float* q_rope, int64_t cols, const int32_t* k,
                     const float* k_scale, const float* k_rope, int64_t keys, int64_t lanes, int64_t rope, float* s,
                     int64_t s_stride) {
  constexpr int64_t kKeys = 4 * kScoreKeys;  // in L1 beside a tile's columns
  for (int64_t first = 0; first < keys; first += kKeys) {
    const int64_t count = keys - first < kKeys ? keys - first : kKeys;
    InBlocks<kScoreColumns, 2, 1>(cols, [&](auto columns, int64_t c) {
      InBlocks<kScoreKeys, (kScoreKeys > 4 ? 4 : 1), 1>(count, [&](auto block, int64_t i) {
        ScoreTileI8<columns.value, block.value>(q + c * lanes, scales + c, q_rope + c * rope, k + (first + i) * lanes,
                                                k_scale + first + i, k_rope + (first + i) * rope, lanes, rope,
                                                s + (first + i) * s_stride + c, s_stride);
      });
    });
  }
}

// s[key][kLanes columns] of Keys keys; q_rope [rope, q_stride] from column c on.
template <int Keys>
MODELC_INLINE void ScoreColumnI8(const int32_t* q, int64_t q_stride, F32 scale, I32 lift, const float* q_rope, int64_t c,
                                 const int32_t* k, const float* k_scale, const float* k_rope, int64_t lanes, int64_t rope,
                                 float* s, int64_t s_stride) {
  I32 acc[Keys];
  _Pragma("unroll") for (int i = 0; i < Keys; ++i) acc[i] = lift;
  for (int64_t d = 0; d < lanes; ++d) {
    const I32 value = Load<I32>(q + d * q_stride);
    for (int i = 0; i < Keys; ++i) acc[i] = MultiplyAddBytes(I32(k[i * lanes + d]), value, acc[i]);
  }
  F32 total[Keys];
  _Pragma("unroll") for (int i = 0; i < Keys; ++i) total[i] = __builtin_convertvector(acc[i], F32);
  for (int64_t e = 0; e < rope; ++e) {
    const F32 value = Load(q_rope + (e * q_stride + c));
    for (int i = 0; i < Keys; ++i) total[i] = MultiplyAdd(value, F32(k_rope[i * rope + e]), total[i]);
  }
  _Pragma("unroll") for (int i = 0; i < Keys; ++i) Store(total[i] * (scale * k_scale[i]), s + i * s_stride);
}

static void ScoresI8Columns(const int32_t* q, int64_t q_stride, const float* scale, const int32_t* lift, const float* q_rope,
                            int64_t cols, const int32_t* k, const float* k_scale, const float* k_rope, int64_t keys,
                            int64_t lanes, int64_t rope, float* s, int64_t s_stride) {
  InBlocks<(kLanes >= 16 ? 16 : 8), 4, 1>(keys, [&](auto block, int64_t i) {
    for (int64_t c = 0; c < cols; c += kLanes)
      ScoreColumnI8<block.value>(q + c, q_stride, Load(scale + c), Load<I32>(lift + c), q_rope, c, k + i * lanes, k_scale + i,
                                 k_rope + i * rope, lanes, rope, s + i * s_stride + c, s_stride);
  });
}

static void PackWeights(const float* p, int64_t p_stride, int64_t cols, int64_t keys, const float* k_scale, int32_t* out,
                        float* scale) {
  const F32 shift = F32(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer, which then is in the low bits
  for (int64_t c = 0; c < cols; c += kLanes) {
    F32 most = F32(0.0f);
    for (int64_t i = 0; i < keys; ++i) most = Max(Load(p + i * p_stride + c) * k_scale[i], most);
    const F32 inverse = Select(most > 0.0f, 32767.0f / most, F32(0.0f));
    Store(most * (1.0f / 32767.0f), scale + c);
    const auto rounded = [&](int64_t i) __attribute__((always_inline)) {
      // NaN where the key is one that the column does not see, too.
      const F32 weight = Load(p + i * p_stride + c) * k_scale[i] * inverse;
      return Bits(Select(weight == weight, weight, F32(0.0f)) + shift);
    };
    for (int64_t i = 0; i < keys; i += 2)
      Store((rounded(i) & 0xffffu) | (i + 1 < keys ? rounded(i + 1) << 16 : U32(0u)), out + i / 2 * p_stride + c);
  }
}

template <int Heads, int Vectors>
MODELC_INLINE void SumBlockI8(const int32_t* p, int64_t p_stride, const float* p_scale, const int32_t* v,
                              int64_t v_stride, int64_t pairs, int64_t dims, const float* factor, float* out) {
  I32 acc[Heads][Vectors] = {};
  for (int64_t i = 0; i < pairs; ++i) {
    I32 value[Vectors];
    for (int j = 0; j < Vectors; ++j) value[j] = Load<I32>(v + i * v_stride + j * kLanes);
    for (int h = 0; h < Heads; ++h) {
      const I32 weight = I32(p[i * p_stride + h]);
      for (int j = 0; j < Vectors; ++j) acc[h][j] = MultiplyAddPairs(value[j], weight, acc[h][j]);
    }
  }
  for (int h = 0; h < Heads; ++h)
    for (int j = 0; j < Vectors; ++j) {
      float* to = out + h * dims + j * kLanes;
      Store(MultiplyAdd(__builtin_convertvector(acc[h][j], F32), F32(p_scale[h]), Load(to) * factor[h]), to);
    }
}

template <int Vectors>
MODELC_INLINE void SumColumnsI8(const int32_t* p, int64_t p_stride, const float* p_scale, const int32_t* v,
                                int64_t v_stride, int64_t pairs, int64_t heads, int64_t dims, const float* factor,
                                float* out) {
  InBlocks<kSumBlock, 4, 2, 1>(heads, [&](auto block, int64_t h) {
    SumBlockI8<block.value, Vectors>(p + h, p_stride, p_scale + h, v, v_stride, pairs, dims, factor + h, out + h * dims);
  });
}

static void WeightedSumI8(const int32_t* p, int64_t p_stride, const float* p_scale, const int32_t* v, int64_t v_stride,
                          int64_t pairs, int64_t heads, int64_t dims, const float* factor, float* out) {
  int64_t d = 0;
  for (; d + kSumVectors * kLanes <= dims; d += kSumVectors * kLanes)
    SumColumnsI8<kSumVectors>(p, p_stride, p_scale, v + d, v_stride, pairs, heads, dims, factor, out + d);
  for (; d + kLanes <= dims; d += kLanes)
    SumColumnsI8<1>(p, p_stride, p_scale, v + d, v_stride, pairs, heads, dims, factor, out + d);
  for (; d < dims; ++d)
    for (int64_t h = 0; h < heads; ++h) {
      int32_t sum = 0;
      for (int64_t i = 0; i < pairs; ++i) {
        const int32_t weight = p[i * p_stride + h], value = v[i * v_stride + d];
        sum += (weight & 0xffff) * static_cast<int16_t>(value) + (weight >> 16) * (value >> 16);
      }
      out[h * dims + d] = out[h * dims + d] * factor[h] + static_cast<float>(sum) * p_scale[h];
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

// out[block][d][16] from 64 rows [dims] of From; widen(From*, To*) converts sixteen.
template <typename From, typename To, typename Widen>
MODELC_INLINE void TransposeKeys(const From* rows, int64_t dims, To* out, const Widen& widen) {
  typedef From V __attribute__((ext_vector_type(16)));
  for (int block = 0; block < 4; ++block, rows += 16 * dims, out += 16 * dims) {
    int64_t d = 0;
    for (; d + 16 <= dims; d += 16) {
      V row[16];
      for (int i = 0; i < 16; ++i) row[i] = Load<V>(rows + i * dims + d);
      Transpose16(row);
      for (int i = 0; i < 16; ++i) {
        From column[16];
        Store(row[i], column);
        widen(column, out + (d + i) * 16);
      }
    }
    for (; d < dims; ++d) {
      From column[16];
      for (int i = 0; i < 16; ++i) column[i] = rows[i * dims + d];
      widen(column, out + d * 16);
    }
  }
}

// Keys of one byte stay bytes: a page of them is in L1 where floats would fill it, and widening in registers is cheaper
// than loading what was widened before.
static void TransposeBytes(const uint8_t* rows, int64_t dims, uint8_t* out) {
  const int64_t groups = (dims + 3) / 4;
  for (int block = 0; block < 4; ++block, rows += 16 * dims, out += 16 * groups * 4) {
    int64_t d = 0;
#if MODELC_SIMD_LANES == 16
    const uint8_t* keys[16];
    for (int key = 0; key < 16; ++key) keys[key] = rows + key * dims;
    for (; d + 16 <= dims; d += 16) {
      I32 quads[4];
      LoadColumns(keys, d, quads);
      for (int i = 0; i < 4; ++i) Store(quads[i], out + (d / 4 + i) * 64);
    }
#else
    typedef uint32_t Quads __attribute__((ext_vector_type(4)));
    typedef uint32_t V __attribute__((ext_vector_type(8)));  // two fours of quads, transposed side by side
    for (; d + 32 <= dims; d += 32)
      for (int key = 0; key < 16; key += 4) {
        V row[4];
        for (int i = 0; i < 4; ++i) row[i] = Load<V>(rows + (key + i) * dims + d);
        const V a = __builtin_shufflevector(row[0], row[1], 0, 8, 1, 9, 4, 12, 5, 13);
        const V b = __builtin_shufflevector(row[0], row[1], 2, 10, 3, 11, 6, 14, 7, 15);
        const V c = __builtin_shufflevector(row[2], row[3], 0, 8, 1, 9, 4, 12, 5, 13);
        const V e = __builtin_shufflevector(row[2], row[3], 2, 10, 3, 11, 6, 14, 7, 15);
        const V quads[4] = {__builtin_shufflevector(a, c, 0, 1, 8, 9, 4, 5, 12, 13),
                            __builtin_shufflevector(a, c, 2, 3, 10, 11, 6, 7, 14, 15),
                            __builtin_shufflevector(b, e, 0, 1, 8, 9, 4, 5, 12, 13),
                            __builtin_shufflevector(b, e, 2, 3, 10, 11, 6, 7, 14, 15)};
        for (int i = 0; i < 4; ++i) {
          Store(Quads(quads[i].lo), out + ((d / 4 + i) * 16 + key) * 4);
          Store(Quads(quads[i].hi), out + ((d / 4 + 4 + i) * 16 + key) * 4);
        }
      }
#endif
    for (; d < groups * 4; ++d)
      for (int key = 0; key < 16; ++key)
        out[(d / 4 * 16 + key) * 4 + d % 4] = d < dims ? rows[key * dims + d] : uint8_t{0};
  }
}

static void TransposeBf16(const uint16_t* rows, int64_t dims, float* out) {
  TransposeKeys(
      rows, dims, out, [](const uint16_t* from, float* to) __attribute__((always_inline)) {
        for (int j = 0; j < 16; j += kLanes) Store(FromBf16(from + j), to + j);
      });
}

static void TransposeF32(const float* rows, int64_t dims, float* out) {
  TransposeKeys(
      rows, dims, out, [](const float* from, float* to) __attribute__((always_inline)) {
        for (int j = 0; j < 16; j += kLanes) Store(Load(from + j), to + j);
      });
}

// sum[v] += w[h] * relu(q[h] . key) for Heads heads and Vectors vectors of keys; relu keeps NaN. A raw vector holds
// K::kGroup dimensions of its keys; K::Widen<j> gives the j-th part of them, K::kPart dimensions, as K::Add multiplies
// it.
template <int Heads, int Vectors, typename K>
MODELC_INLINE void IndexBlock(const typename K::Query* q, const float* w, const typename K::Type* k, int64_t dims,
                              const typename K::Type* ahead, F32 (&sum)[Vectors]) {
  using Acc = typename K::Sum;
  Acc acc[Heads][Vectors];
  for (int h = 0; h < Heads; ++h)
    for (int v = 0; v < Vectors; ++v) acc[h][v] = K::Start(q + h * K::Stride(dims), dims);
  for (int64_t d = 0; d < dims; d += K::kGroup) {
    for (int v = 0; v < Vectors * kLanes / 16; ++v) __builtin_prefetch(ahead + (v * dims + d) * 16);
    typename K::Raw raw[Vectors];
    for (int v = 0; v < Vectors; ++v)
      raw[v] = K::Read(k + (v * kLanes / 16 * dims + d) * 16 + v * kLanes % 16 * K::kGroup);
    const auto add = [&]<int j>() __attribute__((always_inline)) {
      Acc key[Vectors];
      for (int v = 0; v < Vectors; ++v) key[v] = K::template Widen<j>(raw[v]);
      for (int h = 0; h < Heads; ++h) {
        const Acc value = Acc(q[h * K::Stride(dims) + d / K::kPart + j]);
        for (int v = 0; v < Vectors; ++v) acc[h][v] = K::Add(key[v], value, acc[h][v]);
      }
    };
    constexpr int kParts = K::kGroup / K::kPart;
    add.template operator()<0>();
    if constexpr (kParts > 1) add.template operator()<1>();
    if constexpr (kParts > 2) {
      add.template operator()<2>();
      add.template operator()<3>();
    }
  }
  for (int h = 0; h < Heads; ++h)
    for (int v = 0; v < Vectors; ++v) {
      const F32 dot = __builtin_convertvector(acc[h][v], F32);
      const F32 r = dot < 0.0f ? F32(0.0f) : dot;
      sum[v] = MultiplyAdd(r, F32(w[h]), sum[v]);
    }
}

struct FloatSums {
  using Query = float;
  using Sum = F32;
  static constexpr int kPart = 1;
  static constexpr int64_t Stride(int64_t dims) { return dims; }
  MODELC_INLINE F32 Start(const float*, int64_t) { return F32(0.0f); }
  MODELC_INLINE F32 Add(F32 key, F32 query, F32 sum) { return MultiplyAdd(key, query, sum); }
};

struct FloatKeys : FloatSums {
  using Type = float;
  using Raw = F32;
  static constexpr int kGroup = 1;
  MODELC_INLINE Raw Read(const Type* p) { return Load(p); }
  template <int>
  MODELC_INLINE F32 Widen(Raw raw) {
    return raw;
  }
};

// A byte on top of a word, shifted right by 4 with its sign, has exponent and mantissa where float32 has them, less the
// bias: 2^-120 times its value, subnormals included.
template <bool kNaN>
struct E4M3Keys : FloatSums {
  using Type = uint8_t;
  using Raw = I32;
  static constexpr int kGroup = 4;
  MODELC_INLINE Raw Read(const Type* p) { return Load<I32>(p); }
  template <int j>
  MODELC_INLINE F32 Widen(Raw raw) {
    const I32 bits = ((raw << (24 - 8 * j)) >> 4) & int32_t(0x87f00000);
    // Subnormal ones are so for float32 too: multiplied here, or every product with them would take some processors
    // a hundred times as long.
    const F32 value = __builtin_bit_cast(F32, bits) * 0x1p120f;
    if constexpr (kNaN)
      return Select((bits & int32_t(0x07f00000)) == int32_t(0x07f00000), F32(__builtin_nanf("")), value);
    return value;
  }
};

#ifndef MODELC_SIMD_FOURS
// Bytes as the low or the high half of words, with their sign: pairs of the first and third, the second and fourth.
struct I8Keys {
  using Type = uint8_t;
  using Query = int32_t;
  using Raw = I32;
  using Sum = I32;
  static constexpr int kGroup = 4, kPart = 2;
  static constexpr int64_t Stride(int64_t dims) { return dims / 2; }
  MODELC_INLINE I32 Start(const int32_t*, int64_t) { return I32(0); }
  MODELC_INLINE Raw Read(const Type* p) { return Load<I32>(p); }
  template <int j>
  MODELC_INLINE I32 Widen(Raw raw) {
    typedef int16_t Words __attribute__((ext_vector_type(2 * MODELC_SIMD_LANES)));
    const Words words = __builtin_bit_cast(Words, raw);
    return __builtin_bit_cast(I32, (j == 0 ? words << int16_t(8) : words) >> int16_t(8));
  }
  MODELC_INLINE I32 Add(I32 key, I32 query, I32 sum) { return MultiplyAddPairs(key, query, sum); }

  // Of each four dimensions the pairs (0, 2) and (1, 3).
  static void Pack(const int8_t* q, int64_t dims, int32_t* out) {
    for (int64_t d = 0; d < dims; d += 4) {
      const int16_t pairs[4] = {q[d], q[d + 2], q[d + 1], q[d + 3]};
      __builtin_memcpy(out + d / 2, pairs, sizeof pairs);
    }
  }
};
#else
// Four products at a time: keys go without sign, 128 more than they are, and a query ends with what that adds to its
// products, to be taken off.
struct I8Keys {
  using Type = uint8_t;
  using Query = int32_t;
  using Raw = I32;
  using Sum = I32;
  static constexpr int kGroup = 4, kPart = 4;
  static constexpr int64_t Stride(int64_t dims) { return dims / 2; }
  MODELC_INLINE I32 Start(const int32_t* q, int64_t dims) { return I32(q[dims / 4]); }
  MODELC_INLINE Raw Read(const Type* p) { return Load<I32>(p); }
  template <int>
  MODELC_INLINE I32 Widen(Raw raw) {
    return raw ^ int32_t(0x80808080);
  }
  MODELC_INLINE I32 Add(I32 key, I32 query, I32 sum) {
    return MultiplyAddFours(__builtin_bit_cast(B8, key), __builtin_bit_cast(S8, query), sum);
  }

  static void Pack(const int8_t* q, int64_t dims, int32_t* out) {
    int32_t lift = 0;
    for (int64_t d = 0; d < dims; ++d) lift -= 128 * q[d];
    __builtin_memcpy(out, q, dims);
    out[dims / 4] = lift;
  }
};
#endif

// Scores of the kIndexVectors vectors of keys at k, by blocks of heads; fetches what comes next meanwhile.
template <typename K>
MODELC_INLINE void IndexVectors(const typename K::Query* q, const float* w, int64_t heads, const typename K::Type* k,
                                int64_t dims, const typename K::Type* ahead, F32 (&sum)[kIndexVectors]) {
  for (int v = 0; v < kIndexVectors; ++v) sum[v] = F32(0.0f);
  InBlocks<kIndexBlock, 4, 2, 1>(heads, [&](auto block, int64_t h) {
    IndexBlock<block.value, kIndexVectors, K>(q + h * K::Stride(dims), w + h, k, dims, h == 0 ? ahead : k, sum);
  });
}

template <typename K>
MODELC_INLINE void IndexScoresOf(const typename K::Query* q, const float* w, int64_t heads, const typename K::Type* k,
                                 int64_t keys, int64_t dims, const typename K::Type* ahead, float* out) {
  for (int64_t i = 0; i < keys; i += kIndexVectors * kLanes) {
    F32 sum[kIndexVectors];
    IndexVectors<K>(q, w, heads, k + i * dims, dims, ahead + i * dims, sum);
    for (int v = 0; v < kIndexVectors; ++v) Store(sum[v], out + i + v * kLanes);
  }
}

// The same for many heads: a few vectors of keys are widened once for all of them, which stay in L1 where those of a
// page would not.
constexpr int64_t kManyHeads = kLanes == 16 ? 8 : 3 * kIndexBlock, kMostWidened = 256;  // dimensions

template <typename K>
MODELC_INLINE void IndexScoresWidened(const float* q, const float* w, int64_t heads, const typename K::Type* k,
                                      int64_t keys, int64_t dims, const typename K::Type* ahead, float* out) {
  for (int64_t i = 0; i < keys; i += kIndexVectors * kLanes) {
    alignas(64) float wide[kMostWidened * kIndexVectors * kLanes];
    for (int64_t d = 0; d < dims; d += 4)
      for (int v = 0; v < kIndexVectors; ++v) {
        const int64_t at = (v * kLanes / 16 * dims + d) * 16, lane = v * kLanes % 16;
        __builtin_prefetch(ahead + i * dims + at);
        const typename K::Raw raw = K::Read(k + i * dims + at + lane * 4);
        Store(K::template Widen<0>(raw), wide + at + lane);
        Store(K::template Widen<1>(raw), wide + at + lane + 16);
        Store(K::template Widen<2>(raw), wide + at + lane + 32);
        Store(K::template Widen<3>(raw), wide + at + lane + 48);
      }
    F32 sum[kIndexVectors];
    IndexVectors<FloatKeys>(q, w, heads, wide, dims, wide, sum);
    for (int v = 0; v < kIndexVectors; ++v) Store(sum[v], out + i + v * kLanes);
  }
}

static void IndexScores(const float* q, const float* w, int64_t heads, const float* k, int64_t keys, int64_t dims,
                        float* out) {
  IndexScoresOf<FloatKeys>(q, w, heads, k, keys, dims, k, out);
}

template <typename K>
MODELC_INLINE void IndexScoresE4M3Of(const float* q, const float* w, int64_t heads, const uint8_t* k, int64_t keys,
                                     int64_t dims, const uint8_t* ahead, float* out) {
  if (heads >= kManyHeads && dims <= kMostWidened)
    IndexScoresWidened<K>(q, w, heads, k, keys, dims, ahead, out);
  else
    IndexScoresOf<K>(q, w, heads, k, keys, dims, ahead, out);
}

static void IndexScoresE4M3(const float* q, const float* w, int64_t heads, const uint8_t* k, int64_t keys, int64_t dims,
                            bool nan, const uint8_t* ahead, float* out) {
  if (nan)
    IndexScoresE4M3Of<E4M3Keys<true>>(q, w, heads, k, keys, dims, ahead, out);
  else
    IndexScoresE4M3Of<E4M3Keys<false>>(q, w, heads, k, keys, dims, ahead, out);
}

static float PackI8Query(const float* q, int64_t n, int64_t dims, int32_t* out) {
  // Rounded in the second half of the room, where Pack reads all that it then writes over.
  int8_t* rounded = reinterpret_cast<int8_t*>(out) + dims;
  const float scale = ToI8Row(q, n, rounded);
  for (int64_t d = n; d < dims; ++d) rounded[d] = 0;
  I8Keys::Pack(rounded, dims, out);
  return scale;
}

static void IndexScoresI8(const int32_t* q, const float* w, int64_t heads, const uint8_t* k, int64_t keys, int64_t dims,
                          const uint8_t* ahead, float* out) {
  IndexScoresOf<I8Keys>(q, w, heads, k, keys, dims, ahead, out);
}

#ifdef __AVX512F__
// Lanes of the mask, in order, at the front; zeros behind.
MODELC_INLINE I32 Compress(__mmask16 mask, I32 v) {
  return __builtin_bit_cast(I32, _mm512_maskz_compress_epi32(mask, __builtin_bit_cast(__m512i, v)));
}
#endif

static int64_t CollectAbove(const float* x, int64_t n, int32_t first, uint32_t threshold, uint32_t* keys,
                            int32_t* positions) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i += kLanes) {
    const int part = static_cast<int>(n - i < kLanes ? n - i : kLanes);
    const U32 key = SortKey(part == kLanes ? Load(x + i) : LoadPart(x + i, part));
#ifdef __AVX512F__
    const __mmask16 mask = _mm512_cmpgt_epu32_mask(__builtin_bit_cast(__m512i, key), _mm512_set1_epi32(threshold)) &
                           (part == kLanes ? 0xffff : (1 << part) - 1);
    if (mask == 0) continue;
    const I32 position = I32(first + static_cast<int32_t>(i)) + LaneNumbers();
    Store(Compress(mask, __builtin_bit_cast(I32, key)), reinterpret_cast<int32_t*>(keys + count));
    Store(Compress(mask, position), positions + count);
    count += __builtin_popcount(mask);
#else
    if (!__builtin_reduce_or(key > threshold)) continue;
    uint32_t lane[kLanes];
    Store(key, lane);
    for (int j = 0; j < part; ++j) {
      keys[count] = lane[j];
      positions[count] = first + static_cast<int32_t>(i) + j;
      count += lane[j] > threshold;
    }
#endif
  }
  return count;
}

static int64_t KeepFrom(uint32_t* keys, int32_t* positions, int64_t n, uint32_t bound, int64_t places) {
  int64_t kept = 0, i = 0;
#ifdef __AVX512F__
  for (; i + kLanes <= n; i += kLanes) {
    const I32 key = Load<I32>(reinterpret_cast<int32_t*>(keys + i)), position = Load<I32>(positions + i);
    const __m512i raw = __builtin_bit_cast(__m512i, key), least = _mm512_set1_epi32(bound);
    const uint32_t equal = _mm512_cmpeq_epu32_mask(raw, least);
    uint32_t keep = _mm512_cmpgt_epu32_mask(raw, least), first = equal;
    for (; __builtin_popcount(first) > places; first &= ~(1u << (31 - __builtin_clz(first)))) {}
    keep |= first;
    places -= __builtin_popcount(first);
    Store(Compress(keep, key), reinterpret_cast<int32_t*>(keys + kept));
    Store(Compress(keep, position), positions + kept);
    kept += __builtin_popcount(keep);
  }
#endif
  for (; i < n; ++i) {
    const uint32_t key = keys[i];
    const bool equal = key == bound, keep = key > bound || (equal && places > 0);
    places -= equal && keep;
    keys[kept] = key;
    positions[kept] = positions[i];
    kept += keep;
  }
  return kept;
}

static int64_t CountFrom(const uint32_t* keys, int64_t n, uint32_t least) {
  I32 below = I32(0);  // minus the number in each lane
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) below += Load<U32>(keys + i) < least;
  int64_t count = i + __builtin_reduce_add(below);
  for (; i < n; ++i) count += keys[i] >= least;
  return count;
}
