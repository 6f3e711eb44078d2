// moe.dispatch: a stable counting sort of the routed rows by expert.
#include <algorithm>

#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/moe.h"

namespace modelc::cpu {
namespace {

class Dispatch final : public Kernel {
 public:
  explicit Dispatch(int64_t n_experts) : n_experts_(n_experts) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims = Match({{"experts", {MODELC_I32}, "TA"},
                                       {"offsets", {MODELC_I32}, "O"},
                                       {"rows", {MODELC_I32}, "M"},
                                       {"slot", {MODELC_I32}, "TA"}},
                                      t);
    if (!dims.ok()) return dims.status();
    if ((*dims)['O'] != n_experts_ + 1) return absl::InvalidArgumentError("tensor 'offsets' does not have experts + 1 values");
    if ((*dims)['M'] != (*dims)['T'] * (*dims)['A'])
      return absl::InvalidArgumentError("tensor 'rows' does not have a value for each of 'experts'");
    return absl::OkStatus();
  }

  bool Alone(absl::Span<const Tensor>) const override { return true; }  // a few thousand integers

  // An expert that does not exist gets no row, and slot -1.
  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    if (worker.index() != 0) return;
    const int64_t n = t[0].elements(), active = t[0].shape[1];
    const int32_t* experts = t[0].as<int32_t>();
    int32_t *offsets = t[1].as<int32_t>(), *rows = t[2].as<int32_t>(), *slot = t[3].as<int32_t>();
    std::fill_n(offsets, n_experts_ + 1, 0);
    for (int64_t i = 0; i < n; ++i)
      if (Exists(experts[i])) ++offsets[experts[i] + 1];
    for (int64_t e = 0; e < n_experts_; ++e) offsets[e + 1] += offsets[e];
    int32_t* next = reinterpret_cast<int32_t*>(worker.Scratch(n_experts_ * sizeof(int32_t)));
    std::copy_n(offsets, n_experts_, next);
    for (int64_t i = 0; i < n; ++i) {
      slot[i] = Exists(experts[i]) ? next[experts[i]]++ : -1;
      if (slot[i] >= 0) rows[slot[i]] = static_cast<int32_t>(i / active);
    }
    std::fill(rows + offsets[n_experts_], rows + n, 0);
  }

 private:
  bool Exists(int32_t expert) const { return expert >= 0 && expert < n_experts_; }

  int64_t n_experts_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeDispatch(const nlohmann::json& attributes) {
  int64_t n_experts = 0;
  Attributes a(attributes);
  a.Integer("experts", &n_experts, 1);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  return std::make_unique<Dispatch>(n_experts);
}

}  // namespace modelc::cpu
