// hadamard and fake_quantize: what the published numerics do to an activation before it is rounded to e4m3.
#include <cstring>

#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/rows.h"
#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {
namespace {

template <typename K>
absl::StatusOr<std::unique_ptr<Kernel>> Make(const nlohmann::json& attributes) {
  MODELC_CPU_RETURN_IF_ERROR(Attributes(attributes).Finish());
  return std::make_unique<K>();
}

class Hadamard final : public Kernel {
 public:
  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims = Match({{"x", {MODELC_F32}, "*D"}, {"out", {MODELC_F32}, "*D"}}, t);
    if (!dims.ok()) return dims.status();
    const int64_t width = (*dims)['D'];
    if (width == 0 || (width & (width - 1)) != 0)
      return absl::InvalidArgumentError("the last dimension of 'x' is no power of two");
    return absl::OkStatus();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const int64_t width = t[0].last();
    const auto [begin, end] = worker.Share(t[0].rows());
    for (int64_t i = begin; i < end; ++i) {
      float* row = t[1].as<float>() + i * width;
      std::memmove(row, t[0].as<float>() + i * width, width * sizeof(float));
      simd_.hadamard(row, width);
    }
  }

 private:
  const Simd& simd_ = SimdFor(HostIsa());
};

class FakeQuantize final : public Kernel {
 public:
  absl::Status Check(absl::Span<const Tensor> t) const override {
    return Match({{"x", {MODELC_F32}, "*D"}, {"out", {MODELC_F32}, "*D"}}, t).status();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const int64_t width = t[0].last();
    const auto [begin, end] = worker.Share(t[0].rows());
    for (int64_t i = begin; i < end; ++i)
      simd_.fake_quantize(t[0].as<float>() + i * width, width, t[1].as<float>() + i * width);
  }

 private:
  const Simd& simd_ = SimdFor(HostIsa());
};

constexpr KernelEntry kEntries[] = {
    {"hadamard", "hadamard", "", 0, Make<Hadamard>},
    {"fake_quantize", "fake_quantize", "", 0, Make<FakeQuantize>},
};

}  // namespace

absl::Span<const KernelEntry> QuantizeKernels() { return kEntries; }

}  // namespace modelc::cpu
