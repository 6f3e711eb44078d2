// moe.combine: each row's experts' outputs, weighted and added to the base.
#include <cstring>

#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/moe.h"
#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {
namespace {

constexpr int64_t kBlock = 256;  // columns a worker sums at a time

class Combine final : public Kernel {
 public:
  absl::Status Check(absl::Span<const Tensor> t) const override {
    return Match({{"y", {MODELC_F32}, "MH"},
                  {"slot", {MODELC_I32}, "TA"},
                  {"weights", {MODELC_F32}, "TA"},
                  {"base", {MODELC_F32}, "TH", /*optional=*/true},
                  {"out", {MODELC_F32}, "TH"}},
                 t)
        .status();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const auto [y, slot, weights, base, out] = std::tie(t[0], t[1], t[2], t[3], t[4]);
    const int64_t width = out.shape[1], active = slot.shape[1], blocks = (width + kBlock - 1) / kBlock;
    const auto [begin, end] = worker.Share(out.shape[0] * blocks);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / blocks, first = i % blocks * kBlock, n = std::min(kBlock, width - first);
      float* sum = out.as<float>() + row * width + first;
      if (!base) {
        std::memset(sum, 0, n * sizeof(float));
      } else if (base.data != out.data) {
        std::memcpy(sum, base.as<float>() + row * width + first, n * sizeof(float));
      }
      for (int64_t a = 0; a < active; ++a) {
        const int64_t from = slot.as<int32_t>()[row * active + a];
        if (from >= 0 && from < y.shape[0])
          simd_.multiply_add(y.as<float>() + from * width + first, weights.as<float>()[row * active + a], n, sum);
      }
    }
  }

 private:
  const Simd& simd_ = SimdFor(HostIsa());
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeCombine(const nlohmann::json& attributes) {
  MODELC_CPU_RETURN_IF_ERROR(Attributes(attributes).Finish());
  return std::make_unique<Combine>();
}

}  // namespace modelc::cpu
