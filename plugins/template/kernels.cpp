#include "kernels.h"

#include <cmath>
#include <cstring>

namespace backend {
namespace {

float ToFloat(float value) { return value; }
float ToFloat(uint16_t bf16) {
  const uint32_t bits = static_cast<uint32_t>(bf16) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// out = a + b, all [T, D] float32.
class Add : public Kernel {
 public:
  static Message Make(const nlohmann::json&, std::unique_ptr<Kernel>* out) {
    *out = std::make_unique<Add>();
    return "";
  }

  Message Check(const std::vector<Tensor>& t) const override {
    if (t.size() != 3) return "add takes a, b and out";
    for (const Tensor& x : t) {
      if (!x.Is(MODELC_F32, 2) || x.shape[0] != t[0].shape[0] || x.shape[1] != t[0].shape[1])
        return "add wants three float32 tensors [T, D] of one shape";
    }
    return "";
  }

  void Run(const std::vector<Tensor>& t) const override {
    const float *a = t[0].As<float>(), *b = t[1].As<float>();
    float* out = t[2].As<float>();
    for (int64_t i = 0; i < t[0].shape[0] * t[0].shape[1]; ++i) out[i] = a[i] + b[i];
  }
};

// out [T, D] = x[t, first : first + D], normalized and times w [D]; float32.
class RmsNorm : public Kernel {
 public:
  RmsNorm(double eps, int64_t first) : eps_(eps), first_(first) {}

  static Message Make(const nlohmann::json& attributes, std::unique_ptr<Kernel>* out) {
    const auto eps = attributes.find("eps"), first = attributes.find("first");
    if (eps == attributes.end() || !eps->is_number()) return "rms_norm wants a number 'eps'";
    if (first == attributes.end() || !first->is_number_unsigned()) return "rms_norm wants a count 'first'";
    *out = std::make_unique<RmsNorm>(eps->get<double>(), first->get<int64_t>());
    return "";
  }

  Message Check(const std::vector<Tensor>& t) const override {
    if (t.size() != 3 || !t[0].Is(MODELC_F32, 2) || !t[1].Is(MODELC_F32, 1) || !t[2].Is(MODELC_F32, 2))
      return "rms_norm takes x [T, X], w [D] and out [T, D], float32";
    const int64_t D = t[1].shape[0];
    if (t[2].shape[0] != t[0].shape[0] || t[2].shape[1] != D || first_ > t[0].shape[1] - D)
      return "rms_norm: out must be [T, D], and D columns from 'first' on must lie within x";
    return "";
  }

  void Run(const std::vector<Tensor>& t) const override {
    const int64_t D = t[1].shape[0];
    const float* w = t[1].As<float>();
    for (int64_t row = 0; row < t[0].shape[0]; ++row) {
      const float* x = t[0].As<float>() + row * t[0].shape[1] + first_;
      float* out = t[2].As<float>() + row * D;
      double squares = 0;
      for (int64_t d = 0; d < D; ++d) squares += static_cast<double>(x[d]) * x[d];
      const float factor = static_cast<float>(1 / std::sqrt(squares / static_cast<double>(D) + eps_));
      for (int64_t d = 0; d < D; ++d) out[d] = x[d] * factor * w[d];
    }
  }

 private:
  double eps_;
  int64_t first_;
};

// out [T, N] = x [T, K] · W [N, K] transposed; W float32 or bfloat16.
class Linear : public Kernel {
 public:
  static Message Make(const nlohmann::json& attributes, std::unique_ptr<Kernel>* out) {
    const auto act = attributes.find("act");
    if (act == attributes.end() || *act != "none") return "linear is written for act 'none' alone";
    *out = std::make_unique<Linear>();
    return "";
  }

  Message Check(const std::vector<Tensor>& t) const override {
    if (t.size() != 3 || !t[0].Is(MODELC_F32, 2) || !(t[1].Is(MODELC_F32, 2) || t[1].Is(MODELC_BF16, 2)) ||
        !t[2].Is(MODELC_F32, 2))
      return "linear takes x [T, K] float32, W [N, K] float32 or bfloat16, and out [T, N] float32";
    if (t[1].shape[1] != t[0].shape[1] || t[2].shape[0] != t[0].shape[0] || t[2].shape[1] != t[1].shape[0])
      return "linear: x is [T, K], so W must be [N, K] and out [T, N]";
    return "";
  }

  void Run(const std::vector<Tensor>& t) const override {
    t[1].dtype == MODELC_F32 ? Multiply<float>(t) : Multiply<uint16_t>(t);
  }

 private:
  template <typename WeightType>
  static void Multiply(const std::vector<Tensor>& t) {
    const int64_t T = t[0].shape[0], K = t[0].shape[1], N = t[1].shape[0];
    for (int64_t i = 0; i < T * N; ++i) {
      const float* x = t[0].As<float>() + i / N * K;
      const WeightType* w = t[1].As<WeightType>() + i % N * K;
      float sum = 0;
      for (int64_t k = 0; k < K; ++k) sum += x[k] * ToFloat(w[k]);
      t[2].As<float>()[i] = sum;
    }
  }
};

}  // namespace

const std::vector<KernelEntry>& Kernels() {
  static const std::vector<KernelEntry> kernels = {
      {"add", "add", "", 0, Add::Make},
      {"rms_norm", "rms_norm", "W.dtype == f32", 0, RmsNorm::Make},
      {"linear", "linear", "W.dtype != f8e4m3 and act == none", 0, Linear::Make},
  };
  return kernels;
}

}  // namespace backend
