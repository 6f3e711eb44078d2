// Kernels wrong in the ways the conformance suite must notice, each right but for one thing.
#include <algorithm>
#include <cmath>

#include "kernels.h"

namespace backend {
namespace {

// Writes one element too many where it can.
class WritesBeyond : public Kernel {
 public:
  static Message Make(const nlohmann::json&, std::unique_ptr<Kernel>* out) {
    *out = std::make_unique<WritesBeyond>();
    return "";
  }
  Message Check(const std::vector<Tensor>& t) const override {
    return t.size() == 3 && t[0].Is(MODELC_F32, 2) && t[1].Is(MODELC_F32, 2) && t[2].Is(MODELC_F32, 2) ? "" : "wrong";
  }
  void Run(const std::vector<Tensor>& t) const override {
    const int64_t n = t[0].shape[0] * t[0].shape[1];
    for (int64_t i = 0; i < n; ++i) t[2].As<float>()[i] = t[0].As<float>()[i] + t[1].As<float>()[i];
    t[2].As<float>()[n] = 0;
  }
};

// Adds a rounding error that depends on the number of rows: within tolerance, but not the same alone as in a batch.
class DependsOnBatch : public Kernel {
 public:
  static Message Make(const nlohmann::json& attributes, std::unique_ptr<Kernel>* out) {
    if (!attributes.contains("eps")) return "no eps";
    *out = std::make_unique<DependsOnBatch>();
    return "";
  }
  Message Check(const std::vector<Tensor>& t) const override {
    return t.size() == 4 && t[0].Is(MODELC_F32, 2) && t[1].Is(MODELC_F32, 1) && t[2].Is(MODELC_F32, 1) &&
                   t[3].Is(MODELC_F32, 2)
               ? ""
               : "wrong";
  }
  void Run(const std::vector<Tensor>& t) const override {
    const int64_t T = t[0].shape[0], D = t[0].shape[1];
    for (int64_t row = 0; row < T; ++row) {
      const float* x = t[0].As<float>() + row * D;
      double mean = 0, variance = 0;
      for (int64_t d = 0; d < D; ++d) mean += x[d] / static_cast<double>(D);
      for (int64_t d = 0; d < D; ++d) variance += (x[d] - mean) * (x[d] - mean) / static_cast<double>(D);
      const double factor = (1 + 1e-6 * static_cast<double>(T)) / std::sqrt(variance + 1e-6);
      for (int64_t d = 0; d < D; ++d) {
        t[3].As<float>()[row * D + d] =
            static_cast<float>((x[d] - mean) * factor * t[1].As<float>()[d] + t[2].As<float>()[d]);
      }
    }
  }
};

// Breaks ties towards the higher position.
class SelectsLate : public Kernel {
 public:
  static Message Make(const nlohmann::json& attributes, std::unique_ptr<Kernel>* out) {
    if (!attributes.contains("k")) return "no k";
    *out = std::make_unique<SelectsLate>();
    return "";
  }
  Message Check(const std::vector<Tensor>& t) const override {
    return t.size() == 4 && t[0].Is(MODELC_F32, 2) && t[1].Is(MODELC_I32, 1) && t[2].Is(MODELC_I32, 1) &&
                   t[3].Is(MODELC_I32, 2)
               ? ""
               : "wrong";
  }
  void Run(const std::vector<Tensor>& t) const override {
    const int64_t C = t[0].shape[1], k = t[3].shape[1];
    for (int64_t row = 0; row < t[0].shape[0]; ++row) {
      const float* score = t[0].As<float>() + row * C;
      int32_t* out = t[3].As<int32_t>() + row * k;
      std::vector<int32_t> order(t[2].As<int32_t>()[row] < 0 ? 0 : t[1].As<int32_t>()[row] + 1);
      for (size_t p = 0; p < order.size(); ++p) order[p] = static_cast<int32_t>(p);
      const auto key = [&](int32_t p) { return std::isnan(score[p]) ? -INFINITY : score[p]; };
      std::sort(order.begin(), order.end(),
                [&](int32_t a, int32_t b) { return key(a) != key(b) ? key(a) > key(b) : a > b; });
      order.resize(std::min<size_t>(order.size(), k));
      std::sort(order.begin(), order.end());
      std::fill_n(out, k, -1);
      std::copy(order.begin(), order.end(), out);
    }
  }
};

}  // namespace

const std::vector<KernelEntry>& Kernels() {
  static const std::vector<KernelEntry> kernels = {
      {"add", "add", "", 0, WritesBeyond::Make},
      {"layer_norm", "layer_norm", "W.dtype == f32 and Q > 7 or W.dtype == f32", 0, DependsOnBatch::Make},
      {"select", "dsa.select", "", 0, SelectsLate::Make},
      {"nothing", "no.such.op", "", 0, SelectsLate::Make},
  };
  return kernels;
}

}  // namespace backend
