// rope: rotates pairs of a row's last dimension by pos * inv_freq.
#include <cmath>
#include <cstring>

#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/rows.h"
#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {
namespace {

class Rope final : public Kernel {
 public:
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const nlohmann::json& json) {
    auto kernel = std::make_unique<Rope>();
    int pairs = 0;
    Attributes a(json);
    a.Integer("first", &kernel->first_, 0);
    a.Integer("dim", &kernel->dim_, 2);
    a.Choice("pairs", {"interleaved", "half"}, &pairs);
    a.Boolean("keep", &kernel->keep_);
    MODELC_CPU_RETURN_IF_ERROR(a.Finish());
    if (kernel->dim_ % 2 != 0) return absl::InvalidArgumentError("attribute 'dim' is odd; wanted pairs");
    kernel->half_ = pairs == 1;
    return kernel;
  }

  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims = Match({{"x", {MODELC_F32}, "*D"},
                                       {"pos", {MODELC_I32}, "T"},
                                       {"inv_freq", {MODELC_F32}, "I"},
                                       {"out", {MODELC_F32}, "*O"}},
                                      t);
    if (!dims.ok()) return dims.status();
    if (t[0].rank < 2 || t[0].shape[0] != (*dims)['T'])
      return absl::InvalidArgumentError("tensor 'x' does not have a row for each of 'pos'");
    if (first_ + dim_ > (*dims)['D'])
      return absl::InvalidArgumentError("attributes 'first' and 'dim' reach beyond the last dimension of 'x'");
    if ((*dims)['I'] != dim_ / 2) return absl::InvalidArgumentError("tensor 'inv_freq' does not have dim/2 values");
    if ((*dims)['O'] != (keep_ ? (*dims)['D'] : dim_))
      return absl::InvalidArgumentError("tensor 'out' has the wrong last dimension");
    return absl::OkStatus();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const auto [x, pos, inv_freq, out] = std::tie(t[0], t[1], t[2], t[3]);
    const int64_t pairs = dim_ / 2, in_width = x.last(), out_width = out.last();
    const int64_t heads = in_width == 0 || x.shape[0] == 0 ? 0 : x.elements() / in_width / x.shape[0];
    float* cosine = reinterpret_cast<float*>(worker.Scratch(dim_ * sizeof(float)));
    float* sine = cosine + pairs;
    const auto [begin, end] = worker.Share(x.shape[0]);
    for (int64_t row = begin; row < end; ++row) {
      // In double: a float product is off by a hundredth of a turn at position 100,000.
      const double position = pos.as<int32_t>()[row];
      for (int64_t i = 0; i < pairs; ++i) {
        const double angle = position * static_cast<double>(inv_freq.as<float>()[i]);
        cosine[i] = static_cast<float>(std::cos(angle));
        sine[i] = static_cast<float>(std::sin(angle));
      }
      for (int64_t h = row * heads; h < (row + 1) * heads; ++h) {
        const float* from = x.as<float>() + h * in_width;
        float* to = out.as<float>() + h * out_width;
        if (keep_ && to != from) {
          std::memcpy(to, from, first_ * sizeof(float));
          std::memcpy(to + first_ + dim_, from + first_ + dim_, (in_width - first_ - dim_) * sizeof(float));
        }
        (half_ ? simd_.rope_half : simd_.rope_interleaved)(from + first_, cosine, sine, pairs, keep_ ? to + first_ : to);
      }
    }
  }

 private:
  const Simd& simd_ = SimdFor(HostIsa());
  int64_t first_ = 0, dim_ = 0;
  bool half_ = false, keep_ = false;
};

constexpr KernelEntry kEntries[] = {{"rope", "rope", "", 0, Rope::Make}};

}  // namespace

absl::Span<const KernelEntry> RopeKernels() { return kEntries; }

}  // namespace modelc::cpu
