// What a tile of expanded attention reads: the keys and values that kv_b_proj makes of a tile's records for one head.
#ifndef MODELC_BACKENDS_CPU_KERNELS_EXPANDED_RECORDS_H_
#define MODELC_BACKENDS_CPU_KERNELS_EXPANDED_RECORDS_H_

#include <algorithm>
#include <cstdint>

#include "backends/cpu/kernels/attend_records.h"
#include "backends/cpu/kernels/linear.h"

namespace modelc::cpu {

// Expanding takes a record's time whatever many queries meet it, so all rows of a sequence in a step share one tile.
class ExpandedRecords {
 public:
  static constexpr bool kExpands = true;

  ExpandedRecords(const Simd& simd, const AttendShape& shape, int64_t columns, int64_t, Carver& carver)
      : simd_(simd), shape_(shape), width_(shape.nope + shape.layout.rope), stride_(ukernels_.packed(shape.layout.latent)) {
    static_assert(kTileKeys <= MatmulUkernels::kMaxInputs);
    query_ = carver.Take<float>(columns * width_);
    record_ = carver.Take<float>(shape.layout.latent + shape.layout.rope);
    packed_ = carver.Take<float>(kTileKeys * stride_);
    keys_ = carver.Take<float>(kTileKeys * width_);
    values_ = carver.Take<float>(kTileKeys * shape.value);
    scratch_ = carver.Take<std::byte>(static_cast<int64_t>(ukernels_.scratch));
  }

  void SetQuery(int64_t column, const float* q, const float* rope) const {
    std::copy_n(q, shape_.nope, query_ + column * width_);
    std::copy_n(rope, shape_.layout.rope, query_ + column * width_ + shape_.nope);
  }

  void Load(const Addresses& where, int64_t head) const {
    const int64_t latent = shape_.layout.latent, rope = shape_.layout.rope;
    EachRecord(where, shape_.layout.record_bytes(), [&](int64_t i) {
      ReadRecord(simd_, shape_.layout, where.records[i], record_);
      ukernels_.pack(shape_.weight->dtype, record_, latent, packed_ + i * stride_);
      std::copy_n(record_ + latent, rope, keys_ + i * width_ + shape_.nope);
    });
    const int64_t first = head * (shape_.nope + shape_.value);
    Expand(first, shape_.nope, where.n, {keys_, width_});
    Expand(first + shape_.nope, shape_.value, where.n, {values_, shape_.value});
  }

  void Score(int64_t columns, int64_t n, float* s, int64_t stride) const {
    simd_.scores(query_, columns, keys_, n, width_, s, stride);
  }

  // Columns are rows in order, so those that see less than the whole tile come first. They are summed one by one: what a
  // row does not see may be no number.
  void AddWeighted(const TileWeights& w, int64_t columns, int64_t, int64_t n, float* sums) const {
    const auto add = [&](int64_t c, int64_t count, int64_t keys) {
      simd_.weighted_sum(w.values + c, ScoreStride(w.padded), values_, shape_.value, keys, count, shape_.value, w.factor + c,
                         sums + c * shape_.value);
    };
    int64_t c = 0;
    for (; c < columns && w.limit[c] < n; ++c)
      if (w.limit[c] > 0) add(c, 1, w.limit[c]);
    if (c < columns) add(c, columns - c, n);
  }

 private:
  // `count` rows of the weight from `first` on times the tile's records.
  void Expand(int64_t first, int64_t count, int64_t records, OutputRows out) const {
    for (int64_t n = 0; n < count; n += MatmulUkernels::kMaxWeights)
      ukernels_.dot(RowsOf(*shape_.weight, 0, first + n, std::min(count - n, MatmulUkernels::kMaxWeights)),
                    {packed_, stride_, records}, {out.data + n, out.stride}, scratch_);
  }

  const MatmulUkernels& ukernels_ = HostMatmul();
  const Simd& simd_;
  AttendShape shape_;
  int64_t width_, stride_;
  float *query_, *record_, *packed_, *keys_, *values_;  // [columns, nope + R], [L + R], [kTileKeys, …]
  std::byte* scratch_;
};

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_EXPANDED_RECORDS_H_
