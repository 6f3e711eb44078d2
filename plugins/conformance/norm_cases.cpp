// rms_norm, add_rms_norm, layer_norm.
#include <cmath>

#include "plugins/conformance/case.h"

namespace modelc::conformance {
namespace {

// Normalizes `x` [T, X] from column `first`, D columns.
Values RmsNorm(const Values& x, const Values& w, int64_t T, int64_t X, int64_t first, double eps) {
  const int64_t D = static_cast<int64_t>(w.size());
  Values y(T * D);
  for (int64_t t = 0; t < T; ++t) {
    const double* row = &x[t * X + first];
    double squares = 0;
    for (int64_t d = 0; d < D; ++d) squares += row[d] * row[d];
    const double factor = 1 / std::sqrt(squares / D + eps);
    for (int64_t d = 0; d < D; ++d) y[t * D + d] = row[d] * factor * w[d];
  }
  return y;
}

std::string NormName(int64_t T, int64_t D, modelc_dtype dtype) {
  return SizesName({{"T", T}, {"D", D}}) + " W=" + Name(dtype);
}

Case RmsNormCase(int64_t T, int64_t X, int64_t first, int64_t D, modelc_dtype dtype, double magnitude = 1) {
  constexpr double kEps = 1e-6;
  Case c;
  c.op = "rms_norm";
  c.name = NormName(T, D, dtype) + (X == D ? "" : " " + SizesName({{"X", X}, {"first", first}})) +
           (magnitude == 1 ? "" : " tiny values");
  c.attributes = {{"eps", kEps}, {"first", first}};
  c.names = {{"W.dtype", Name(dtype)}, {"D", D}, {"first", first}};
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {T, X}, magnitude).PerRow(), Weight(r, dtype, {D}),
                   Output(MODELC_F32, {T, D}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    return std::vector<Values>{RmsNorm(ToValues(t[0]), ToValues(t[1]), T, X, first, kEps)};
  };
  c.flops = 4.0 * T * D;
  c.bytes = 8.0 * T * D;
  return c;
}

Case AddRmsNormCase(int64_t T, int64_t D, modelc_dtype dtype) {
  constexpr double kEps = 1e-5;
  Case c;
  c.op = "add_rms_norm";
  c.name = NormName(T, D, dtype);
  c.attributes = {{"eps", kEps}};
  c.names = {{"W.dtype", Name(dtype)}, {"D", D}};
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {T, D}).PerRow(), NormalF32(r, {T, D}, 10).PerRow(), Weight(r, dtype, {D}),
                   Output(MODELC_F32, {T, D}).PerRow(), Output(MODELC_F32, {T, D}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    Values sum = ToValues(t[0]);
    const Values residual = ToValues(t[1]);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += residual[i];
    return std::vector<Values>{sum, RmsNorm(sum, ToValues(t[2]), T, D, 0, kEps)};
  };
  c.flops = 5.0 * T * D;
  c.bytes = 16.0 * T * D;
  return c;
}

Case LayerNormCase(int64_t T, int64_t D, modelc_dtype dtype, double mean) {
  constexpr double kEps = 1e-6;
  Case c;
  c.op = "layer_norm";
  c.name = NormName(T, D, dtype) + (mean == 0 ? "" : " mean far from zero");
  c.attributes = {{"eps", kEps}};
  c.names = {{"W.dtype", Name(dtype)}, {"D", D}};
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {T, D}, 1, mean).PerRow(), Weight(r, dtype, {D}), Weight(r, dtype, {D}),
                   Output(MODELC_F32, {T, D}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const Values x = ToValues(t[0]), w = ToValues(t[1]), b = ToValues(t[2]);
    Values y(T * D);
    for (int64_t i = 0; i < T; ++i) {
      double average = 0, variance = 0;
      for (int64_t d = 0; d < D; ++d) average += x[i * D + d] / D;
      for (int64_t d = 0; d < D; ++d) variance += std::pow(x[i * D + d] - average, 2) / D;
      for (int64_t d = 0; d < D; ++d)
        y[i * D + d] = (x[i * D + d] - average) / std::sqrt(variance + kEps) * w[d] + b[d];
    }
    return std::vector<Values>{y};
  };
  c.flops = 6.0 * T * D;
  c.bytes = 8.0 * T * D;
  return c;
}

}  // namespace

std::vector<Case> NormCases() {
  std::vector<Case> cases;
  for (modelc_dtype dtype : {MODELC_F32, MODELC_BF16}) {
    cases.push_back(RmsNormCase(1, 7168, 0, 7168, dtype));
    cases.push_back(RmsNormCase(5, 37, 0, 37, dtype));
    cases.push_back(RmsNormCase(3, 576, 0, 512, dtype));
    cases.push_back(RmsNormCase(3, 50, 9, 33, dtype));
    cases.push_back(RmsNormCase(2, 64, 0, 64, dtype, 1e-5));
    cases.push_back(RmsNormCase(0, 64, 0, 64, dtype));
    cases.push_back(AddRmsNormCase(4, 129, dtype));
    cases.push_back(AddRmsNormCase(1, 2048, dtype));
    cases.push_back(AddRmsNormCase(0, 64, dtype));
    cases.push_back(LayerNormCase(4, 128, dtype, 0));
    cases.push_back(LayerNormCase(3, 31, dtype, 0));
    cases.push_back(LayerNormCase(2, 128, dtype, 30));
    cases.push_back(LayerNormCase(0, 128, dtype, 0));
  }
  for (int64_t T : {1, 64}) {
    cases.push_back(Timed(RmsNormCase(T, 7168, 0, 7168, MODELC_BF16)));
    cases.push_back(Timed(AddRmsNormCase(T, 7168, MODELC_BF16)));
    cases.push_back(Timed(LayerNormCase(T, 128, MODELC_BF16, 0)));
  }
  return cases;
}

}  // namespace modelc::conformance
