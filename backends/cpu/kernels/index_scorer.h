// Scores of the lightning indexer for tiles of rows, page by page: what dsa.logits writes and dsa.logits_select keeps
// the best of.
#ifndef MODELC_BACKENDS_CPU_KERNELS_INDEX_SCORER_H_
#define MODELC_BACKENDS_CPU_KERNELS_INDEX_SCORER_H_

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "backends/cpu/kernels/paged.h"
#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {

// Neighbouring rows of one sequence: a page is converted once for all of them.
struct RowTile {
  int64_t row, rows;
  int64_t keys;  // what the row that sees most sees
};

class IndexScorer {
 public:
  static constexpr int64_t kTileBytes = 256 << 10;  // of queries: half of a small L2

  IndexScorer(const Simd& simd, CacheFormat format, float scale, const Tensor& q, const Tensor& w,
              const PagedRows& rows)
      : simd_(simd),
        layout_{format, q.shape[2]},
        scale_(scale),
        q_(q.as<float>()),
        w_(w.as<float>()),
        n_rows_(q.shape[0]),
        heads_(q.shape[1]),
        rows_(rows) {}

  const IndexLayout& layout() const { return layout_; }
  int64_t MostRows() const {
    return std::clamp<int64_t>(kTileBytes / std::max<int64_t>(1, heads_ * layout_.width * 4), 1, 32);
  }

  // Fills tiles [rows] and returns how many; padding rows are in none.
  int64_t MakeTiles(RowTile* tiles) const {
    int64_t n = 0;
    for (int64_t row = 0; row < n_rows_; ++row) {
      const int64_t keys = rows_.Visible(row);
      if (keys == 0) continue;
      RowTile* last = n > 0 ? &tiles[n - 1] : nullptr;
      if (last && last->row + last->rows == row && last->rows < MostRows() &&
          rows_.Sequence(last->row) == rows_.Sequence(row)) {
        ++last->rows;
        last->keys = std::max(last->keys, keys);
      } else {
        tiles[n++] = {row, 1, keys};
      }
    }
    return n;
  }

  // A worker's memory for one tile and page; a null base measures it.
  struct Scratch {
    Scratch(std::byte* base, const IndexScorer& scorer) {
      Carver carver(base);
      queries = carver.Take<std::byte>(scorer.MostRows() * scorer.layout_.query_bytes(scorer.heads_));
      keys = carver.Take<std::byte>(scorer.layout_.keys_bytes());
      factor = carver.Take<float>(kPageTokens);
      scores = carver.Take<float>(kPageTokens);
      bytes = carver.used();
    }
    std::byte* queries;      // of a tile, with head weights
    std::byte* keys;         // of a page
    float *factor, *scores;  // [64]
    size_t bytes;
  };

  // Calls take(row, scores, n, first position) for the pages first_page … last_page - 1 in order, each row up to what
  // it sees. A score is the same whatever the tile and the pages it is computed with.
  template <typename Take>
  void Score(const RowTile& tile, int64_t first_page, int64_t last_page, const Scratch& s, Worker& worker,
             const Take& take) const {
    last_page = std::min(last_page, (tile.keys + kPageTokens - 1) / kPageTokens);
    if (first_page >= last_page) return;
    const size_t stride = layout_.query_bytes(heads_);
    for (int64_t r = 0; r < tile.rows; ++r)
      layout_.ReadQueries(simd_, q_ + (tile.row + r) * heads_ * layout_.width, w_ + (tile.row + r) * heads_, heads_,
                          s.queries + r * stride);
    for (int64_t page = first_page; page < last_page; ++page) {
      const int64_t first = page * kPageTokens, n = std::min(kPageTokens, tile.keys - first);
      const bool nan = LoadPage(rows_.Page(tile.row, first), n, s);
      const std::byte* next = page + 1 < last_page ? rows_.Page(tile.row, first + kPageTokens) : nullptr;
      worker.AddTraffic({.cache_bytes = static_cast<uint64_t>(n * layout_.page_bytes() / kPageTokens)});
      for (int64_t r = 0; r < tile.rows; ++r) {
        const int64_t seen = std::min(n, rows_.Visible(tile.row + r) - first);
        if (seen <= 0) continue;
        const int64_t row = tile.row + r;
        layout_.IndexScores(simd_, s.queries + r * stride, heads_, s.keys, nan, seen, r == 0 && next ? next : s.keys,
                            s.scores);
        for (int64_t i = 0; i < seen; ++i) s.scores[i] *= s.factor[i];
        take(row, s.scores, seen, first);
      }
    }
  }

 private:
  // Says whether there may be a NaN among the keys.
  bool LoadPage(const std::byte* page, int64_t n, const Scratch& s) const {
    if (!page) {
      std::memset(s.keys, 0, layout_.keys_bytes());
      std::fill_n(s.factor, n, 0.0f);
      return false;
    }
    layout_.ReadScales(page, n, scale_, s.factor);
    return layout_.ReadKeys(simd_, page, s.keys);
  }

  const Simd& simd_;
  IndexLayout layout_;
  float scale_;
  const float *q_, *w_;
  int64_t n_rows_, heads_;
  PagedRows rows_;
};

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_INDEX_SCORER_H_
