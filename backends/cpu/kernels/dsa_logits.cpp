// dsa.logits: the indexer's score of every visible position.
#include <cstring>

#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/index_scorer.h"
#include "backends/cpu/kernels/indexer.h"

namespace modelc::cpu {
namespace {

class IndexLogits final : public Kernel {
 public:
  IndexLogits(CacheFormat format, float scale) : format_(format), scale_(scale) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims = Match({{"q", {MODELC_F32}, "TiD"},
                                       {"w", {MODELC_F32}, "Ti"},
                                       {"pos", {MODELC_I32}, "T"},
                                       {"seq", {MODELC_I32}, "T"},
                                       {"pages", {MODELC_I32}, "SP"},
                                       {"cache", {MODELC_U8}, "NB"},
                                       {"score", {MODELC_F32}, "TC"}},
                                      t);
    if (!dims.ok()) return dims.status();
    return CheckPageBytes(t[5], IndexLayout{format_, (*dims)['D']}.page_bytes());
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const IndexScorer scorer(simd_, format_, scale_, t[0], t[1], PagedRows(t[2], t[3], t[4], t[5]));
    const size_t scratch_bytes = IndexScorer::Scratch(nullptr, scorer).bytes;
    std::byte* memory = worker.Scratch(scratch_bytes + t[0].shape[0] * sizeof(RowTile));
    const IndexScorer::Scratch scratch(memory, scorer);
    RowTile* tiles = reinterpret_cast<RowTile*>(memory + scratch_bytes);
    const int64_t n_tiles = scorer.MakeTiles(tiles), columns = t[6].shape[1];
    // Some tasks for every worker, however few tiles there are.
    const int64_t all = (columns + kPageTokens - 1) / kPageTokens;
    const int64_t pages = std::clamp<int64_t>(all * n_tiles / (kTasksEach * worker.count()), 1, kMostPages);
    const int64_t blocks = (all + pages - 1) / pages;
    for (int64_t task; (task = worker.Next()) < n_tiles * blocks;) {
      const int64_t first_page = task % blocks * pages;
      scorer.Score(tiles[task / blocks], first_page, first_page + pages, scratch, worker,
                   [&](int64_t row, const float* scores, int64_t n, int64_t first) {
                     n = std::min(n, columns - first);
                     if (n > 0) std::memcpy(t[6].as<float>() + row * columns + first, scores, n * sizeof(float));
                   });
    }
  }

 private:
  static constexpr int64_t kMostPages = 16, kTasksEach = 4;  // pages of a task, tasks of a worker

  const Simd& simd_ = SimdFor(HostIsa());
  CacheFormat format_;
  float scale_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeIndexLogits(const nlohmann::json& attributes) {
  CacheFormat format{};
  float scale = 0;
  Attributes a(attributes);
  a.Number("scale", &scale);
  ReadFormat(a, &format);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  return std::make_unique<IndexLogits>(format, scale);
}

}  // namespace modelc::cpu
