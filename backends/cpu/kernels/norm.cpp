// rms_norm, add_rms_norm, layer_norm: one row at a time.
#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/rows.h"
#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {
namespace {

// Norm weights come as the checkpoint has them. Returns them as float32, in `room` [elements] where they were bf16.
const float* Widen(const Tensor& w, const Simd& simd, float* room) {
  if (w.dtype == MODELC_F32) return w.as<float>();
  simd.from_bf16(w.as<uint16_t>(), 1, w.elements(), room);
  return room;
}

float* FloatScratch(Worker& worker, int64_t n) { return reinterpret_cast<float*>(worker.Scratch(n * sizeof(float))); }

class RmsNorm final : public Kernel {
 public:
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const nlohmann::json& json) {
    auto kernel = std::make_unique<RmsNorm>();
    Attributes a(json);
    a.Number("eps", &kernel->eps_);
    a.Integer("first", &kernel->first_, 0);
    MODELC_CPU_RETURN_IF_ERROR(a.Finish());
    return kernel;
  }

  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims =
        Match({{"x", {MODELC_F32}, "TX"}, {"w", {MODELC_F32, MODELC_BF16}, "D"}, {"out", {MODELC_F32}, "TD"}}, t);
    if (!dims.ok()) return dims.status();
    if (first_ + (*dims)['D'] > (*dims)['X'])
      return absl::InvalidArgumentError("attribute 'first' and 'w' reach beyond the width of 'x'");
    return absl::OkStatus();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const int64_t stride = t[0].shape[1], width = t[2].shape[1];
    const float* w = Widen(t[1], simd_, FloatScratch(worker, width));
    const auto [begin, end] = worker.Share(t[0].shape[0]);
    for (int64_t i = begin; i < end; ++i)
      simd_.rms_norm(t[0].as<float>() + i * stride + first_, w, eps_, width,
                     t[2].as<float>() + i * width);
  }

 private:
  const Simd& simd_ = SimdFor(HostIsa());
  float eps_ = 0;
  int64_t first_ = 0;
};

class AddRmsNorm final : public Kernel {
 public:
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const nlohmann::json& json) {
    auto kernel = std::make_unique<AddRmsNorm>();
    Attributes a(json);
    a.Number("eps", &kernel->eps_);
    MODELC_CPU_RETURN_IF_ERROR(a.Finish());
    return kernel;
  }

  absl::Status Check(absl::Span<const Tensor> t) const override {
    return Match({{"x", {MODELC_F32}, "TD"},
                  {"residual", {MODELC_F32}, "TD"},
                  {"w", {MODELC_F32, MODELC_BF16}, "D"},
                  {"sum", {MODELC_F32}, "TD"},
                  {"out", {MODELC_F32}, "TD"}},
                 t)
        .status();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const int64_t width = t[0].shape[1];
    const float* w = Widen(t[2], simd_, FloatScratch(worker, width));
    const auto [begin, end] = worker.Share(t[0].shape[0]);
    for (int64_t i = begin; i < end; ++i) {
      float* sum = t[3].as<float>() + i * width;
      simd_.add(t[0].as<float>() + i * width, t[1].as<float>() + i * width, width, sum);
      simd_.rms_norm(sum, w, eps_, width, t[4].as<float>() + i * width);
    }
  }

 private:
  const Simd& simd_ = SimdFor(HostIsa());
  float eps_ = 0;
};

class LayerNorm final : public Kernel {
 public:
  static absl::StatusOr<std::unique_ptr<Kernel>> Make(const nlohmann::json& json) {
    auto kernel = std::make_unique<LayerNorm>();
    Attributes a(json);
    a.Number("eps", &kernel->eps_);
    MODELC_CPU_RETURN_IF_ERROR(a.Finish());
    return kernel;
  }

  absl::Status Check(absl::Span<const Tensor> t) const override {
    return Match({{"x", {MODELC_F32}, "TD"},
                  {"w", {MODELC_F32, MODELC_BF16}, "D"},
                  {"b", {MODELC_F32, MODELC_BF16}, "D"},
                  {"out", {MODELC_F32}, "TD"}},
                 t)
        .status();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const int64_t width = t[0].shape[1];
    float* room = FloatScratch(worker, 2 * width);
    const float *w = Widen(t[1], simd_, room), *b = Widen(t[2], simd_, room + width);
    const auto [begin, end] = worker.Share(t[0].shape[0]);
    for (int64_t i = begin; i < end; ++i)
      simd_.layer_norm(t[0].as<float>() + i * width, w, b, eps_, width, t[3].as<float>() + i * width);
  }

 private:
  const Simd& simd_ = SimdFor(HostIsa());
  float eps_ = 0;
};

constexpr KernelEntry kEntries[] = {
    {"rms_norm", "rms_norm", "", 0, RmsNorm::Make},
    {"add_rms_norm", "add_rms_norm", "", 0, AddRmsNorm::Make},
    {"layer_norm", "layer_norm", "", 0, LayerNorm::Make},
};

}  // namespace

absl::Span<const KernelEntry> NormKernels() { return kEntries; }

}  // namespace modelc::cpu
