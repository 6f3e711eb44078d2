// The records that a tile of latent attention reads, and the queries that meet them, as the loops of their format want
// them: floats, whatever the pages hold, or int8 as they are.
#ifndef MODELC_BACKENDS_CPU_KERNELS_ATTEND_RECORDS_H_
#define MODELC_BACKENDS_CPU_KERNELS_ATTEND_RECORDS_H_

#include <algorithm>
#include <cstdint>

#include "backends/cpu/kernels/paged.h"
#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {

inline constexpr int64_t kTileKeys = 64;  // records read at a time: 64 x 576 floats, 147 KB of L2

// From key to key of a tile's scores and weights, whose columns are `padded` to whole vectors. One cache line more: keys
// a power of two apart would share a few sets of L1.
inline int64_t ScoreStride(int64_t padded) { return padded + 16; }

// Sizes of an attention over records.
struct AttendShape {
  LatentLayout layout;
  int64_t heads;
  int64_t query, value;             // floats of a head in q and in the result
  const Tensor* weight = nullptr;   // kv_b_proj [heads · (nope + value), L], where records are expanded
  int64_t nope = 0;
};

// Weights of a tile's keys, columns side by side, and what each column's earlier sums are to be multiplied by. Column c
// sees the tile's first limit[c] keys.
struct TileWeights {
  const float* values;  // [keys, ScoreStride(padded)]
  int64_t padded;
  const float* factor;
  const int32_t* limit;
};

// Addresses of a tile's records, and behind them of those of the tile that comes next; null for one that is not there.
struct Addresses {
  const std::byte** records;  // [2 kTileKeys]
  int64_t n, next;            // of this tile, of the next
  bool first;                 // no tile was read before
};

// Calls read(i) for the tile's records while the ones behind are on their way from memory: the next tile's as far as L2.
template <typename Read>
void EachRecord(const Addresses& where, int64_t bytes, const Read& read) {
  constexpr int64_t kAhead = 4;
  for (int64_t i = 0; i < where.n; ++i) {
    if (i < where.next)
      for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(where.records[where.n + i] + b, 0, 2);
    if (where.first && i + kAhead < where.n)
      for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(where.records[i + kAhead] + b);
    read(i);
  }
}

// out [L + R]; a record that is not there is one of zeros.
inline void ReadRecord(const Simd& simd, const LatentLayout& layout, const std::byte* record, float* out) {
  if (record)
    layout.Read(simd, record, out);
  else
    std::fill_n(out, layout.latent + layout.rope, 0.0f);
}

class FloatRecords {
 public:
  // Whether Load makes what belongs to one head of it.
  static constexpr bool kExpands = false;

  // For up to `columns` queries, `padded` with those that fill a vector.
  FloatRecords(const Simd& simd, const AttendShape& shape, int64_t columns, int64_t padded, Carver& carver)
      : simd_(simd), layout_(shape.layout), width_(layout_.latent + layout_.rope) {
    query_ = carver.Take<float>(columns * width_);
    records_ = carver.Take<float>(kTileKeys * width_);
  }

  void SetQuery(int64_t column, const float* latent, const float* rope) const {
    std::copy_n(latent, layout_.latent, query_ + column * width_);
    std::copy_n(rope, layout_.rope, query_ + column * width_ + layout_.latent);
  }

  void Load(const Addresses& where, int64_t) const {
    EachRecord(where, layout_.record_bytes(),
               [&](int64_t i) { ReadRecord(simd_, layout_, where.records[i], records_ + i * width_); });
  }

  // s[key][column] of the first n records.
  void Score(int64_t columns, int64_t n, float* s, int64_t stride) const {
    simd_.scores(query_, columns, records_, n, width_, s, stride);
  }

  // sums[column] = factor · sums[column] + weights · latents, for columns in rows of `heads` that see the same.
  void AddWeighted(const TileWeights& w, int64_t columns, int64_t heads, int64_t, float* sums) const {
    for (int64_t c = 0; c < columns; c += heads)
      if (w.limit[c] > 0)
        simd_.weighted_sum(w.values + c, ScoreStride(w.padded), records_, width_, w.limit[c], heads, layout_.latent, w.factor + c,
                           sums + c * layout_.latent);
  }

 private:
  const Simd& simd_;
  LatentLayout layout_;
  int64_t width_;
  float *query_, *records_;  // [columns, L + R], [kTileKeys, L + R]
};

class Int8Records {
 public:
  static constexpr bool kExpands = false;

  Int8Records(const Simd& simd, const AttendShape& shape, int64_t columns, int64_t padded, Carver& carver)
      : simd_(simd), layout_(shape.layout), lanes_(PackedLanes(simd, layout_.latent)), stride_(layout_.latent + 16),
        // By the number of heads alone: how a row is summed must not depend on the rows beside it.
        side_by_side_(simd.lane_bytes == 4 && shape.heads % simd.lanes == 0), padded_(padded) {
    const LatentLayout& layout = layout_;
    if (side_by_side_) {
      query_ = carver.Take<int32_t>(lanes_ * ScoreStride(padded));
      query_rope_ = carver.Take<float>(layout.rope * ScoreStride(padded));
      scale_ = carver.Take<float>(padded);
      lift_ = carver.Take<int32_t>(padded);
      packed_ = carver.Take<int32_t>(lanes_);
    } else {
      query_ = carver.Take<int32_t>(columns * lanes_);
      query_scales_ = carver.Take<I8Query>(columns);
      query_rope_ = carver.Take<float>(columns * layout.rope);
    }
    keys_ = carver.Take<int32_t>(kTileKeys * lanes_);
    scales_ = carver.Take<float>(kTileKeys);
    rope_ = carver.Take<float>(kTileKeys * layout.rope);
    values_ = carver.Take<int32_t>(kTileKeys / 2 * stride_);
    zeros_ = carver.Take<int8_t>(layout.record_bytes());
    weights_ = carver.Take<int32_t>(kTileKeys / 2 * ScoreStride(padded));
    weight_scales_ = carver.Take<float>(padded);
    if (!zeros_) return;
    const float scale = 1;
    std::fill_n(zeros_, layout.record_bytes(), int8_t{0});
    std::memcpy(zeros_ + layout.latent, &scale, sizeof scale);
  }

  void SetQuery(int64_t column, const float* latent, const float* rope) const {
    if (side_by_side_) {
      const I8Query query = simd_.pack_i8_latent(latent, layout_.latent, packed_);
      const int64_t stride = ScoreStride(padded_);
      scale_[column] = query.scale;
      lift_[column] = query.lift * simd_.lanes;
      for (int64_t i = 0; i < lanes_; ++i) query_[i * stride + column] = packed_[i];
      for (int64_t i = 0; i < layout_.rope; ++i) query_rope_[i * stride + column] = rope[i] / query.scale;
      return;
    }
    query_scales_[column] = simd_.pack_i8_latent(latent, layout_.latent, query_ + column * lanes_);
    const float inverse = 1 / query_scales_[column].scale;
    for (int64_t i = 0; i < layout_.rope; ++i) query_rope_[column * layout_.rope + i] = rope[i] * inverse;
  }

  void Load(const Addresses& where, int64_t) const {
    const auto record = [&](int64_t i) {
      return i < where.n && where.records[i] ? reinterpret_cast<const int8_t*>(where.records[i]) : zeros_;
    };
    EachRecord(where, layout_.record_bytes(), [&](int64_t i) {
      const int8_t* bytes = record(i);
      simd_.pack_i8_keys(bytes, layout_.latent, keys_ + i * lanes_);
      std::memcpy(scales_ + i, bytes + layout_.latent, sizeof(float));
      simd_.from_bf16(reinterpret_cast<const uint16_t*>(bytes + layout_.latent + 4), 1 / scales_[i], layout_.rope,
                      rope_ + i * layout_.rope);
    });
    for (int64_t i = 0; i < where.n; i += 2)
      simd_.pack_i8_values(record(i), record(i + 1), layout_.latent, values_ + i / 2 * stride_);
  }

  void Score(int64_t columns, int64_t n, float* s, int64_t stride) const {
    if (side_by_side_)
      return simd_.scores_i8_columns(query_, ScoreStride(padded_), scale_, lift_, query_rope_, columns, keys_, scales_, rope_, n,
                                     lanes_, layout_.rope, s, stride);
    simd_.scores_i8(query_, query_scales_, query_rope_, columns, keys_, scales_, rope_, n, lanes_, layout_.rope, s, stride);
  }

  // A key that a column does not see has the weight 0, which adds nothing to a sum of integers.
  void AddWeighted(const TileWeights& w, int64_t columns, int64_t, int64_t n, float* sums) const {
    const int64_t stride = ScoreStride(w.padded);
    simd_.pack_weights(w.values, stride, w.padded, n, scales_, weights_, weight_scales_);
    simd_.weighted_sum_i8(weights_, stride, weight_scales_, values_, stride_, (n + 1) / 2, columns, layout_.latent, w.factor,
                          sums);
  }

 private:
  const Simd& simd_;
  LatentLayout layout_;
  int64_t lanes_;
  int64_t stride_;         // of values_; a cache line more than they take, or all would share a few sets of L1
  bool side_by_side_;      // queries, in vectors
  int64_t padded_;
  int32_t* query_;         // [columns, lanes]; side by side [lanes, ScoreStride]
  I8Query* query_scales_;  // [columns]
  float* query_rope_;      // [columns, R]; side by side [R, ScoreStride]
  float* scale_;           // [padded], as lift_; side by side, as packed_
  int32_t *lift_, *packed_;  // [padded], [lanes]
  int32_t* keys_;          // [kTileKeys, lanes]
  float* scales_;          // [kTileKeys]
  float* rope_;            // [kTileKeys, R]
  int32_t* values_;        // [kTileKeys / 2, stride_]: pairs of records
  int8_t* zeros_;          // a record
  int32_t* weights_;       // [kTileKeys / 2, ScoreStride]: pairs of keys
  float* weight_scales_;   // [padded]
};

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_ATTEND_RECORDS_H_
