// dsa.block_scores, dsa.window_scores: scores changed in front of a selection, row by row.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/indexer.h"

namespace modelc::cpu {
namespace {

// out[0 … visible) from score[0 … visible).
using Rule = void (*)(const float* score, int64_t visible, int64_t size, float* out);

void BlockMaxima(const float* score, int64_t visible, int64_t block, float* out) {
  for (int64_t first = 0; first < visible; first += block) {
    const int64_t end = std::min(visible, first + block);
    float best = score[first];
    for (int64_t p = first + 1; p < end; ++p) best = std::fmax(best, score[p]);
    std::fill(out + first, out + end, best);
  }
}

void Window(const float* score, int64_t visible, int64_t window, float* out) {
  const int64_t first = std::max<int64_t>(0, visible - window);
  std::copy_n(score, first, out);
  std::fill(out + first, out + visible, std::numeric_limits<float>::infinity());
}

class Rescore final : public Kernel {
 public:
  Rescore(Rule rule, int64_t size) : rule_(rule), size_(size) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    return Match({{"score", {MODELC_F32}, "TC"},
                  {"pos", {MODELC_I32}, "T"},
                  {"seq", {MODELC_I32}, "T"},
                  {"out", {MODELC_F32}, "TC"}},
                 t)
        .status();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const int64_t columns = t[0].shape[1];
    for (int64_t row; (row = worker.Next()) < t[0].shape[0];) {
      if (t[2].as<int32_t>()[row] < 0) continue;
      const int64_t visible = std::clamp<int64_t>(static_cast<int64_t>(t[1].as<int32_t>()[row]) + 1, 0, columns);
      rule_(t[0].as<float>() + row * columns, visible, size_, t[3].as<float>() + row * columns);
    }
  }

 private:
  Rule rule_;
  int64_t size_;
};

absl::StatusOr<std::unique_ptr<Kernel>> Make(Rule rule, const char* attribute, const nlohmann::json& attributes) {
  int64_t size = 0;
  Attributes a(attributes);
  a.Integer(attribute, &size, 1);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  return std::make_unique<Rescore>(rule, size);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeBlockScores(const nlohmann::json& attributes) {
  return Make(BlockMaxima, "block", attributes);
}

absl::StatusOr<std::unique_ptr<Kernel>> MakeWindowScores(const nlohmann::json& attributes) {
  return Make(Window, "window", attributes);
}

}  // namespace modelc::cpu
