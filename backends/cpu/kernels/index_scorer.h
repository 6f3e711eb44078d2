// Scores of the lightning indexer for tiles of rows, page by page: what dsa.logits writes and dsa.logits_select keeps
// the best of.
#ifndef MODELC_BACKENDS_CPU_KERNELS_INDEX_SCORER_H_
#define MODELC_BACKENDS_CPU_KERNELS_INDEX_SCORER_H_

#include <algorithm>
#include <cstdint>

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
  // Queries of a tile fit half of a 512 KB L2.
  static constexpr int64_t kTileBytes = 256 << 10;

  IndexScorer(const Simd& simd, CacheFormat format, float scale, const Tensor& q, const Tensor& w, const PagedRows& rows)
      : simd_(simd), layout_{format, q.shape[2]}, scale_(scale), q_(q.as<float>()), w_(w.as<float>()),
        n_rows_(q.shape[0]), heads_(q.shape[1]), cols_((heads_ + simd.lanes - 1) / simd.lanes * simd.lanes),
        rows_(rows) {}

  const IndexLayout& layout() const { return layout_; }
  int64_t MostRows() const {
    return std::clamp<int64_t>(kTileBytes / std::max<int64_t>(1, cols_ * layout_.width * 4), 1, 32);
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

  // A worker's memory for one tile; a null base measures it.
  struct Scratch {
    Scratch(std::byte* base, const IndexScorer& scorer) {
      Carver carver(base);
      const int64_t rows = scorer.MostRows();
      query = carver.Take<float>(rows * scorer.cols_ * scorer.layout_.width);
      weight = carver.Take<float>(rows * scorer.cols_);
      keys = carver.Take<float>(kPageTokens * scorer.layout_.width);
      factor = carver.Take<float>(kPageTokens);
      scores = carver.Take<float>(kPageTokens);
      bytes = carver.used();
    }
    float *query, *weight;          // [rows][width, cols], [rows][cols]
    float *keys, *factor, *scores;  // of one page
    size_t bytes;
  };

  // Calls take(row, scores, n, first position) for the pages first_page … last_page - 1 in order, each row up to what it
  // sees. A score is the same whatever the tile and the pages it is computed with.
  template <typename Take>
  void Score(const RowTile& tile, int64_t first_page, int64_t last_page, const Scratch& s, Worker& worker,
             const Take& take) const {
    for (int64_t r = 0; r < tile.rows; ++r) LoadQuery(tile.row + r, s, r);
    for (int64_t page = first_page; page < last_page; ++page) {
      const int64_t first = page * kPageTokens, n = std::min(kPageTokens, tile.keys - first);
      if (n <= 0) break;
      LoadPage(rows_.Page(tile.row, first), n, s);
      worker.AddTraffic({.cache_bytes = static_cast<uint64_t>(n * layout_.page_bytes() / kPageTokens)});
      for (int64_t r = 0; r < tile.rows; ++r) {
        const int64_t seen = std::min(n, rows_.Visible(tile.row + r) - first);
        if (seen <= 0) continue;
        simd_.index_scores(s.query + r * cols_ * layout_.width, s.weight + r * cols_, heads_, s.keys, seen,
                           layout_.width, s.scores);
        for (int64_t i = 0; i < seen; ++i) s.scores[i] *= s.factor[i];
        take(tile.row + r, s.scores, seen, first);
      }
    }
  }

 private:
  // Heads side by side, so that a dimension's values for all heads are neighbours; padding heads are zero.
  void LoadQuery(int64_t row, const Scratch& s, int64_t r) const {
    float* query = s.query + r * cols_ * layout_.width;
    float* weight = s.weight + r * cols_;
    for (int64_t h = 0; h < cols_; ++h) {
      const bool real = h < heads_;
      weight[h] = real ? w_[row * heads_ + h] : 0.0f;
      const float* from = q_ + (row * heads_ + h) * layout_.width;
      for (int64_t d = 0; d < layout_.width; ++d) query[d * cols_ + h] = real ? from[d] : 0.0f;
    }
  }

  void LoadPage(const std::byte* page, int64_t n, const Scratch& s) const {
    if (!page) {
      std::fill_n(s.keys, n * layout_.width, 0.0f);
      std::fill_n(s.factor, n, 0.0f);
      return;
    }
    layout_.ReadKeys(simd_, page, n, s.keys);
    for (int64_t i = 0; i < n; ++i) s.factor[i] = layout_.Scale(page, i) * scale_;
  }

  const Simd& simd_;
  IndexLayout layout_;
  float scale_;
  const float *q_, *w_;
  int64_t n_rows_, heads_, cols_;
  PagedRows rows_;
};

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_INDEX_SCORER_H_
