// grouped_linear and grouped_linear_silu_mul: the experts' products over the rows routed to each. An expert's weights
// are read once for all its rows, and those of an expert without rows are not touched.
#include <algorithm>

#include "backends/cpu/kernels/linear.h"

namespace modelc::cpu {
namespace {

class GroupedLinear final : public Kernel {
 public:
  GroupedLinear(bool silu_mul, Act act) : silu_mul_(silu_mul), act_(act) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims = silu_mul_ ? Match({{"x", {MODELC_F32}, "TK"},
                                                   {"rows", {MODELC_I32}, "M"},
                                                   {"offsets", {MODELC_I32}, "O"},
                                                   {"Wg", kWeights, "EFK"},
                                                   {"Wu", kWeights, "EFK"},
                                                   {"out", {MODELC_F32}, "MF"}},
                                                  t)
                                          : Match({{"x", {MODELC_F32}, "MK"},
                                                   {"offsets", {MODELC_I32}, "O"},
                                                   {"W", kWeights, "ENK"},
                                                   {"out", {MODELC_F32}, "MN"}},
                                                  t);
    if (!dims.ok()) return dims.status();
    if ((*dims)['O'] != (*dims)['E'] + 1)
      return absl::InvalidArgumentError("tensor 'offsets' has not one element more than there are experts");
    if (!silu_mul_) return CheckWeight("W", t[2], act_);
    MODELC_CPU_RETURN_IF_ERROR(CheckWeight("Wg", t[3], act_));
    MODELC_CPU_RETURN_IF_ERROR(CheckWeight("Wu", t[4], act_));
    return CheckSameDtype(t[3], t[4]);
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const Tensor &x = t[0], &offsets_tensor = t[silu_mul_ ? 2 : 1], &w = t[silu_mul_ ? 3 : 2], &out = t.back();
    const int32_t* picked = silu_mul_ ? t[1].as<int32_t>() : nullptr;
    const int32_t* offsets = offsets_tensor.as<int32_t>();
    const int64_t experts = w.shape[0], rows = w.shape[1];

    int64_t active = 0;
    for (int64_t e = 0; e < experts; ++e) active += offsets[e + 1] > offsets[e];
    if (worker.index() == 0) worker.AddTraffic({active * WeightBytes(w, rows) * (silu_mul_ ? 2 : 1), 0});

    const InputRows packed = PackRows(ukernels_, simd_, x.as<float>(), x.shape[0], x.shape[1], w.dtype, act_, worker);
    const TileRunner tiles(ukernels_, worker);
    const int64_t size = TileRows(active * rows, worker), tiles_each = (rows + size - 1) / size;
    // Tiles are numbered over the experts that have rows; e is the one with tiles first … first+tiles_each-1.
    int64_t e = -1, first = -tiles_each;
    for (int64_t tile = worker.Next(); tile < active * tiles_each; tile = worker.Next()) {
      while (tile >= first + tiles_each) {
        do ++e;
        while (offsets[e + 1] <= offsets[e]);
        first += tiles_each;
      }
      const int64_t n = (tile - first) * size, count = std::min(size, rows - n), begin = offsets[e];
      InputRows input = packed;
      input.count = offsets[e + 1] - begin;
      if (picked)
        input.index = picked + begin;
      else
        input.data += begin * packed.stride;
      const WeightRows gate = RowsOf(w, e, n, count), up = silu_mul_ ? RowsOf(t[4], e, n, count) : WeightRows{};
      tiles.Run(gate, silu_mul_ ? &up : nullptr, input, {out.as<float>() + begin * rows + n, rows});
    }
  }

 private:
  const MatmulUkernels& ukernels_ = HostMatmul();
  const Simd& simd_ = SimdFor(HostIsa());
  const bool silu_mul_;
  const Act act_;
};

template <bool silu_mul>
absl::StatusOr<std::unique_ptr<Kernel>> MakeGroupedLinear(const nlohmann::json& attributes) {
  Act act;
  MODELC_CPU_RETURN_IF_ERROR(ReadAct(attributes, &act));
  return std::make_unique<GroupedLinear>(silu_mul, act);
}

constexpr KernelEntry kEntries[] = {
    {"grouped_linear", "grouped_linear", "", 0, MakeGroupedLinear<false>, /*grouped_weights=*/true},
    {"grouped_linear_silu_mul", "grouped_linear_silu_mul", "", 0, MakeGroupedLinear<true>, /*grouped_weights=*/true},
};

}  // namespace

absl::Span<const KernelEntry> GroupedKernels() { return kEntries; }

}  // namespace modelc::cpu
