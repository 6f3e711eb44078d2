// linear, linear_silu_mul, head_linear.
#include <algorithm>
#include <cmath>
#include <limits>

#include "plugins/conformance/case.h"

namespace modelc::conformance {
namespace {

constexpr char kE4M3[] = "e4m3_1x128_pow2", kInt8[] = "int8_1x128";

double Silu(double x) { return x / (1 + std::exp(-x)); }

// x [T, K] · W [N, K] transposed, the rows of x rounded first where `act` says so.
Values MatMul(Values x, const Values& w, int64_t T, int64_t N, int64_t K, const std::string& act) {
  for (int64_t t = 0; t < T; ++t) RoundActivations(act, &x[t * K], K);
  Values y(T * N);
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t n = 0; n < N; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < K; ++k) sum += x[t * K + k] * w[n * K + k];
      y[t * N + n] = sum;
    }
  }
  return y;
}

// Rows with a group of zeros, one too small to round, a NaN, an infinity: what int8_1x128 says of each.
void MakeSpecial(HostTensor& x) {
  const int64_t K = x.shape[1];
  float* row = x.as<float>();
  for (const float value : {0.0f, 0.9e-30f}) {
    std::fill_n(row, std::min<int64_t>(K, 128), value);
    row += K;
  }
  row[K / 2] = std::numeric_limits<float>::quiet_NaN();
  row[K + K - 1] = -std::numeric_limits<float>::infinity();
}

Case Linear(int64_t T, int64_t K, int64_t N, modelc_dtype dtype, const std::string& act, bool timed = false) {
  Case c;
  c.op = "linear";
  c.name = SizesName({{"T", T}, {"K", K}, {"N", N}}) + " W=" + Name(dtype) + " act=" + act;
  c.attributes["act"] = act;
  c.names = {{"W.dtype", Name(dtype)}, {"K", K}, {"N", N}, {"act", act}};
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {T, K}).PerRow(), Weight(r, dtype, {N, K}, 1 / std::sqrt(K)),
                   Output(MODELC_F32, {T, N}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    return std::vector<Values>{MatMul(ToValues(t[0]), ToValues(t[1]), T, N, K, act)};
  };
  c.flops = 2.0 * T * K * N;
  c.bytes = 1.0 * N * RowBytes(dtype, K) + 4.0 * T * (K + N);
  c.timed = timed;
  return c;
}

Case SpecialLinear(int64_t T, modelc_dtype dtype) {
  Case c = Linear(T, 200, 20, dtype, kInt8);
  c.name += " zeros, NaN, infinity";
  c.make = [make = c.make](Random& r) {
    Tensors t = make(r);
    MakeSpecial(t[0]);
    return t;
  };
  return c;
}

Case LinearSiluMul(int64_t T, int64_t K, int64_t F, modelc_dtype dtype, const std::string& act, bool timed = false) {
  Case c;
  c.op = "linear_silu_mul";
  c.name = SizesName({{"T", T}, {"K", K}, {"F", F}}) + " W=" + Name(dtype) + " act=" + act;
  c.attributes["act"] = act;
  c.names = {{"W.dtype", Name(dtype)}, {"K", K}, {"F", F}, {"act", act}};
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {T, K}).PerRow(), Weight(r, dtype, {F, K}, 1 / std::sqrt(K)),
                   Weight(r, dtype, {F, K}, 1 / std::sqrt(K)), Output(MODELC_F32, {T, F}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    Values gate = MatMul(ToValues(t[0]), ToValues(t[1]), T, F, K, act);
    const Values up = MatMul(ToValues(t[0]), ToValues(t[2]), T, F, K, act);
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = Silu(gate[i]) * up[i];
    return std::vector<Values>{gate};
  };
  c.flops = 4.0 * T * K * F;
  c.bytes = 2.0 * F * RowBytes(dtype, K) + 4.0 * T * (K + F);
  c.timed = timed;
  return c;
}

// h heads of R rows over L columns; takes `count` rows from `first`, and x's columns from x_first.
struct HeadSizes {
  int64_t T, h, D, R, L, x_first, first, count;
  bool transposed;
};

Case HeadLinear(const HeadSizes& s, modelc_dtype dtype, bool timed = false) {
  const int64_t x_count = s.transposed ? s.count : s.L, out = s.transposed ? s.L : s.count;
  Case c;
  c.op = "head_linear";
  c.name = SizesName({{"T", s.T},
                      {"h", s.h},
                      {"D", s.D},
                      {"R", s.R},
                      {"L", s.L},
                      {"x_first", s.x_first},
                      {"first", s.first},
                      {"count", s.count}}) +
           (s.transposed ? " transposed W=" : " W=") + Name(dtype);
  c.attributes = {{"x_first", s.x_first},
                  {"x_count", x_count},
                  {"first", s.first},
                  {"count", s.count},
                  {"transposed", s.transposed}};
  c.names = {{"W.dtype", Name(dtype)}, {"h", s.h},           {"D", s.D},         {"R", s.R},        {"L", s.L},
             {"x_first", s.x_first},   {"x_count", x_count}, {"first", s.first}, {"count", s.count}};
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {s.T, s.h, s.D}).PerRow(), Weight(r, dtype, {s.h * s.R, s.L}, 1 / std::sqrt(s.L)),
                   Output(MODELC_F32, {s.T, s.h, out}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const Values x = ToValues(t[0]), w = ToValues(t[1]);
    Values y(s.T * s.h * out);
    for (int64_t th = 0; th < s.T * s.h; ++th) {
      for (int64_t row = 0; row < s.count; ++row) {
        for (int64_t l = 0; l < s.L; ++l) {
          const double weight = w[((th % s.h) * s.R + s.first + row) * s.L + l];
          const int64_t from = s.transposed ? row : l, to = s.transposed ? l : row;
          y[th * out + to] += weight * x[th * s.D + s.x_first + from];
        }
      }
    }
    return std::vector<Values>{y};
  };
  c.flops = 2.0 * s.T * s.h * s.count * s.L;
  c.bytes = 1.0 * s.h * s.count * RowBytes(dtype, s.L) + 4.0 * s.T * s.h * (x_count + out);
  c.timed = timed;
  return c;
}

}  // namespace

std::vector<Case> LinearCases() {
  std::vector<Case> cases;
  for (modelc_dtype dtype : {MODELC_F8E4M3, MODELC_BF16, MODELC_F32}) {
    for (const char* act : {"none", kE4M3}) {
      cases.push_back(Linear(1, 256, 128, dtype, act));
      cases.push_back(Linear(3, 200, 130, dtype, act));  // part blocks at both edges
      cases.push_back(Linear(33, 384, 65, dtype, act));
      cases.push_back(LinearSiluMul(1, 256, 128, dtype, act));
      cases.push_back(LinearSiluMul(5, 130, 67, dtype, act));
    }
    cases.push_back(Linear(2, 1, 1, dtype, "none"));
    cases.push_back(Linear(4, 7, 300, dtype, "none"));
    cases.push_back(Linear(0, 128, 128, dtype, "none"));  // a step without rows
    cases.push_back(LinearSiluMul(0, 128, 128, dtype, "none"));
    // kv_b_proj: nope and value rows of each head, the heads' rows crossing block borders.
    cases.push_back(HeadLinear({3, 4, 48, 64, 128, 0, 0, 32, true}, dtype));
    cases.push_back(HeadLinear({3, 4, 128, 64, 128, 0, 32, 32, false}, dtype));
    cases.push_back(HeadLinear({1, 16, 192, 256, 512, 0, 0, 128, true}, dtype));
    cases.push_back(HeadLinear({5, 3, 27, 25, 133, 2, 1, 11, true}, dtype));
    cases.push_back(HeadLinear({5, 3, 140, 25, 133, 7, 12, 13, false}, dtype));
    cases.push_back(HeadLinear({0, 4, 48, 64, 128, 0, 0, 32, true}, dtype));
  }
  for (modelc_dtype dtype : {MODELC_INT8, MODELC_INT4}) {
    cases.push_back(Linear(1, 256, 128, dtype, kInt8));
    cases.push_back(Linear(3, 200, 130, dtype, kInt8));  // a part of a group at the end
    cases.push_back(Linear(33, 384, 65, dtype, kInt8));
    cases.push_back(Linear(2, 1, 1, dtype, kInt8));
    cases.push_back(Linear(4, 7, 300, dtype, kInt8));
    cases.push_back(Linear(9, 1300, 31, dtype, kInt8));
    cases.push_back(Linear(0, 128, 128, dtype, kInt8));
    for (int64_t T : {4, 9}) cases.push_back(SpecialLinear(T, dtype));
    cases.push_back(LinearSiluMul(1, 256, 128, dtype, kInt8));
    cases.push_back(LinearSiluMul(5, 130, 67, dtype, kInt8));
    cases.push_back(LinearSiluMul(0, 128, 128, dtype, kInt8));
  }
  for (int64_t T : {1, 64}) {
    cases.push_back(Linear(T, 7168, 2048, MODELC_F8E4M3, "none", true));
    cases.push_back(Linear(T, 7168, 2048, MODELC_BF16, "none", true));
    cases.push_back(Linear(T, 7168, 2048, MODELC_INT8, kInt8, true));
    cases.push_back(Linear(T, 7168, 2048, MODELC_INT4, kInt8, true));
    cases.push_back(Linear(T, 1536, 24576, MODELC_F8E4M3, "none", true));
    cases.push_back(LinearSiluMul(T, 7168, 2048, MODELC_F8E4M3, "none", true));
    cases.push_back(HeadLinear({T, 128, 192, 256, 512, 0, 0, 128, true}, MODELC_F8E4M3, true));
    cases.push_back(HeadLinear({T, 128, 512, 256, 512, 0, 128, 128, false}, MODELC_F8E4M3, true));
  }
  return cases;
}

}  // namespace modelc::conformance
