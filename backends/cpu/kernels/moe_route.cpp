// moe.route: sigmoid scores, group-limited choice with a bias, weights of the chosen.
#include <algorithm>
#include <cmath>

#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/moe.h"
#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {
namespace {

// a is chosen before b: higher score first, then the lower index; -0 equals 0, NaN comes last.
bool Before(float score_a, int64_t a, float score_b, int64_t b) {
  const bool nan_a = std::isnan(score_a), nan_b = std::isnan(score_b);
  if (nan_a != nan_b) return nan_b;
  if (!nan_a && score_a != score_b) return score_a > score_b;
  return a < b;
}

class Route final : public Kernel {
 public:
  Route(int64_t groups, int64_t topk_group, float scale, bool normalize)
      : groups_(groups), topk_group_(topk_group), scale_(scale), normalize_(normalize) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims = Match({{"logits", {MODELC_F32}, "TE"},
                                       {"bias", {MODELC_F32, MODELC_BF16}, "E"},
                                       {"weights", {MODELC_F32}, "TA"},
                                       {"experts", {MODELC_I32}, "TA"}},
                                      t);
    if (!dims.ok()) return dims.status();
    const int64_t n_experts = (*dims)['E'];
    if (n_experts % groups_ != 0)
      return absl::InvalidArgumentError("attribute 'groups' does not divide the number of experts");
    if ((*dims)['A'] > n_experts / groups_ * topk_group_)
      return absl::InvalidArgumentError("more experts a row than the best 'topk_group' groups have");
    return absl::OkStatus();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const int64_t n_experts = t[0].shape[1], active = t[2].shape[1];
    std::byte* memory = worker.Scratch((4 * n_experts + 2 * groups_) * sizeof(float));
    Row row;
    row.score = reinterpret_cast<float*>(memory);
    row.biased = row.score + n_experts;
    row.group_score = row.biased + n_experts;
    row.order = reinterpret_cast<int32_t*>(row.group_score + groups_);
    row.group_order = row.order + n_experts;
    const float* bias = t[1].as<float>();
    if (t[1].dtype == MODELC_BF16) {
      float* widened = reinterpret_cast<float*>(row.group_order + groups_);
      simd_.from_bf16(t[1].as<uint16_t>(), 1, n_experts, widened);
      bias = widened;
    }
    const auto [begin, end] = worker.Share(t[0].shape[0]);
    for (int64_t i = begin; i < end; ++i)
      RouteRow(t[0].as<float>() + i * n_experts, bias, n_experts, active, row,
               t[2].as<float>() + i * active, t[3].as<int32_t>() + i * active);
  }

 private:
  struct Row {
    float *score, *biased, *group_score;
    int32_t *order, *group_order;
  };

  void RouteRow(const float* logits, const float* bias, int64_t n_experts, int64_t active, const Row& row,
                float* weights, int32_t* experts) const {
    for (int64_t e = 0; e < n_experts; ++e) {
      row.score[e] = 1.0f / (1.0f + std::exp(-logits[e]));
      row.biased[e] = row.score[e] + bias[e];
    }
    const int64_t per_group = n_experts / groups_;
    for (int64_t g = 0; g < groups_; ++g) {
      row.group_score[g] = BestTwo(row.biased + g * per_group, per_group);
      row.group_order[g] = static_cast<int32_t>(g);
    }
    std::partial_sort(row.group_order, row.group_order + std::min(topk_group_, groups_), row.group_order + groups_,
                      [&](int32_t a, int32_t b) { return Before(row.group_score[a], a, row.group_score[b], b); });
    int64_t n = 0;
    for (int64_t i = 0; i < std::min(topk_group_, groups_); ++i)
      for (int64_t e = 0; e < per_group; ++e) row.order[n++] = static_cast<int32_t>(row.group_order[i] * per_group + e);
    std::partial_sort(row.order, row.order + active, row.order + n,
                      [&](int32_t a, int32_t b) { return Before(row.biased[a], a, row.biased[b], b); });
    std::sort(row.order, row.order + active);
    float sum = 0;
    for (int64_t a = 0; a < active; ++a) sum += row.score[row.order[a]];
    const float factor = normalize_ ? scale_ / sum : scale_;
    for (int64_t a = 0; a < active; ++a) {
      experts[a] = row.order[a];
      weights[a] = row.score[row.order[a]] * factor;
    }
  }

  // The sum of the two best; of the one there is in a group of one.
  static float BestTwo(const float* score, int64_t n) {
    int64_t first = 0, second = -1;
    for (int64_t e = 1; e < n; ++e) {
      if (Before(score[e], e, score[first], first)) {
        second = first;
        first = e;
      } else if (second < 0 || Before(score[e], e, score[second], second)) {
        second = e;
      }
    }
    return second < 0 ? score[first] : score[first] + score[second];
  }

  const Simd& simd_ = SimdFor(HostIsa());
  int64_t groups_, topk_group_;
  float scale_;
  bool normalize_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeRoute(const nlohmann::json& attributes) {
  int64_t groups = 0, topk_group = 0;
  float scale = 0;
  bool normalize = false;
  Attributes a(attributes);
  a.Integer("groups", &groups, 1);
  a.Integer("topk_group", &topk_group, 1);
  a.Number("scale", &scale);
  a.Boolean("normalize", &normalize);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  if (topk_group > groups) return absl::InvalidArgumentError("attribute 'topk_group' is more than 'groups'");
  return std::make_unique<Route>(groups, topk_group, scale, normalize);
}

}  // namespace modelc::cpu
