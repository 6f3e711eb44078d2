// dsa.logits_select: scores and keeps the k best as it goes, so that no row of scores is ever in memory.
//
// A worker takes a tile of rows over a span of pages and keeps each row's best of the span. Where tiles are fewer than
// workers a tile's pages are cut into several spans and their best merged; the k best are the same however it is cut.
#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/index_scorer.h"
#include "backends/cpu/kernels/indexer.h"
#include "backends/cpu/kernels/topk.h"

namespace modelc::cpu {
namespace {

constexpr int64_t kLeastPages = 4;  // of a span: fewer are sooner scored than merged

class IndexLogitsSelect final : public Kernel {
 public:
  IndexLogitsSelect(CacheFormat format, float scale, int64_t k) : format_(format), scale_(scale), k_(k) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims = Match({{"q", {MODELC_F32}, "TiD"},
                                       {"w", {MODELC_F32}, "Ti"},
                                       {"pos", {MODELC_I32}, "T"},
                                       {"seq", {MODELC_I32}, "T"},
                                       {"pages", {MODELC_I32}, "SP"},
                                       {"cache", {MODELC_U8}, "NB"},
                                       {"sel", {MODELC_I32}, "Tk"}},
                                      t);
    if (!dims.ok()) return dims.status();
    if ((*dims)['k'] != k_) return absl::InvalidArgumentError("tensor 'sel' does not have attribute 'k' columns");
    return CheckPageBytes(t[5], IndexLayout{format_, (*dims)['D']}.page_bytes());
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override;

 private:
  struct Lists {  // candidates of one row
    uint32_t* keys;
    int32_t* positions;
  };
  Lists TakeLists(Carver& carver, int64_t room) const {
    Lists lists;
    lists.keys = carver.Take<uint32_t>(room);
    lists.positions = carver.Take<int32_t>(room);
    return lists;
  }

  const Simd& simd_ = SimdFor(HostIsa());
  CacheFormat format_;
  float scale_;
  int64_t k_;
};

// The best of one row in one span.
struct SpanBest {
  int64_t* n;
  uint32_t* keys;
  int32_t* positions;
};

void IndexLogitsSelect::Run(absl::Span<const Tensor> t, Worker& worker) const {
  const PagedRows rows(t[2], t[3], t[4], t[5]);
  const IndexScorer scorer(simd_, format_, scale_, t[0], t[1], rows);
  int32_t* sel = t[6].as<int32_t>();
  const int64_t n_rows = t[0].shape[0], tile_rows = scorer.MostRows();

  const size_t scorer_bytes = IndexScorer::Scratch(nullptr, scorer).bytes;
  const auto bytes_of = [&](int64_t room) {
    Carver measure(nullptr);
    TakeLists(measure, room);
    return measure.used();
  };
  // A team's spans of a row are as many as its members at most; each gives k candidates.
  const int64_t room = TopK::Capacity(k_), merged_room = worker.count() * k_ + simd_.lanes;
  const size_t list_bytes = bytes_of(room);
  const size_t lists_bytes = std::max(tile_rows * (list_bytes + sizeof(TopK)), bytes_of(merged_room));
  std::byte* memory = worker.Scratch(scorer_bytes + lists_bytes + n_rows * sizeof(RowTile));
  const IndexScorer::Scratch scratch(memory, scorer);
  std::byte* lists = memory + scorer_bytes;
  TopK* best = reinterpret_cast<TopK*>(lists + tile_rows * list_bytes);
  RowTile* tiles = reinterpret_cast<RowTile*>(lists + lists_bytes);
  const int64_t n_tiles = scorer.MakeTiles(tiles);
  if (n_tiles == 0) return;

  int64_t most_pages = 0;
  for (int64_t i = 0; i < n_tiles; ++i) most_pages = std::max(most_pages, (tiles[i].keys + kPageTokens - 1) / kPageTokens);
  // One for each member: what more spans would even out is less than merging them takes.
  const int64_t wanted = (worker.count() + n_tiles - 1) / n_tiles;
  const int64_t spans = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, most_pages / kLeastPages));

  std::byte* shared = spans > 1 ? worker.Shared(n_rows * spans * (64 + 2 * ((k_ * 4 + 63) / 64 * 64))) : nullptr;
  const auto span_best = [&](int64_t row, int64_t span) {
    const size_t stride = 64 + 2 * ((k_ * 4 + 63) / 64 * 64);
    Carver carver(shared + (row * spans + span) * stride);
    SpanBest out;
    out.n = carver.Take<int64_t>(1);
    out.keys = carver.Take<uint32_t>(k_);
    out.positions = carver.Take<int32_t>(k_);
    return out;
  };

  for (int64_t task; (task = worker.Next()) < n_tiles * spans;) {
    const RowTile& tile = tiles[n_tiles - 1 - task / spans];  // long tiles first
    const int64_t span = task % spans, pages = (tile.keys + kPageTokens - 1) / kPageTokens;
    for (int64_t r = 0; r < tile.rows; ++r) {
      Carver carver(lists + r * list_bytes);
      const Lists l = TakeLists(carver, room);
      new (&best[r]) TopK(simd_, k_, l.keys, l.positions);
    }
    scorer.Score(tile, pages * span / spans, pages * (span + 1) / spans, scratch, worker,
                 [&](int64_t row, const float* scores, int64_t n, int64_t first) {
                   best[row - tile.row].Add(scores, n, first);
                 });
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int64_t row = tile.row + r;
      if (spans == 1) {
        best[r].Finish(sel + row * k_);
        continue;
      }
      const SpanBest out = span_best(row, span);
      *out.n = best[r].Finish();
      Carver carver(lists + r * list_bytes);
      const Lists l = TakeLists(carver, room);
      std::copy_n(l.keys, *out.n, out.keys);
      std::copy_n(l.positions, *out.n, out.positions);
    }
  }
  if (spans == 1) return;

  worker.Barrier();
  for (int64_t row; (row = worker.Next()) < n_rows;) {
    if (rows.Visible(row) == 0) continue;
    Carver carver(lists);
    const Lists l = TakeLists(carver, merged_room);
    int64_t n = 0;
    for (int64_t span = 0; span < spans; ++span) {
      const SpanBest from = span_best(row, span);
      std::copy_n(from.keys, *from.n, l.keys + n);
      std::copy_n(from.positions, *from.n, l.positions + n);
      n += *from.n;
    }
    TopK merged(simd_, k_, l.keys, l.positions);
    merged.Adopt(n);
    merged.Finish(sel + row * k_);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeIndexLogitsSelect(const nlohmann::json& attributes) {
  CacheFormat format{};
  float scale = 0;
  int64_t k = 0;
  Attributes a(attributes);
  a.Number("scale", &scale);
  ReadFormat(a, &format);
  a.Integer("k", &k, 1);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  return std::make_unique<IndexLogitsSelect>(format, scale, k);
}

}  // namespace modelc::cpu
