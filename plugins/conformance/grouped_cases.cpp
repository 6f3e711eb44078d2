// grouped_linear, grouped_linear_silu_mul: one matrix per expert over that expert's rows.
#include <algorithm>
#include <cmath>

#include "plugins/conformance/case.h"

namespace modelc::conformance {
namespace {

// `counts[e]` rows go to expert e.
std::vector<int32_t> Offsets(const std::vector<int32_t>& counts) {
  std::vector<int32_t> offsets{0};
  for (int32_t n : counts) offsets.push_back(offsets.back() + n);
  return offsets;
}

int64_t ExpertOf(const int32_t* offsets, int64_t m) {
  int64_t e = 0;
  while (offsets[e + 1] <= m) ++e;
  return e;
}

// x · Wᵀ for one row and one expert's W [N, K].
Values RowTimes(const double* x, const Values& w, int64_t e, int64_t N, int64_t K) {
  Values y(N);
  for (int64_t n = 0; n < N; ++n) {
    for (int64_t k = 0; k < K; ++k) y[n] += x[k] * w[(e * N + n) * K + k];
  }
  return y;
}

Values Activations(const HostTensor& x, int64_t K, const std::string& act) {
  Values values = ToValues(x);
  for (size_t i = 0; i < values.size(); i += K) RoundActivations(act, &values[i], K);
  return values;
}

// Row m by itself: an offsets tensor that gives its expert one row and the others none.
HostTensor OneRow(const HostTensor& offsets, int64_t m) {
  std::vector<int32_t> counts(offsets.shape[0] - 1);
  counts[ExpertOf(offsets.as<int32_t>(), m)] = 1;
  return I32(offsets.shape, Offsets(counts));
}

HostTensor RowOf(const HostTensor& x, int64_t row) {
  const int64_t width = Elements(x.shape) / x.shape[0];
  Shape shape = x.shape;
  shape[0] = 1;
  return F32(shape, Values(x.as<float>() + row * width, x.as<float>() + (row + 1) * width));
}

struct Sizes {
  int64_t T, K, N;
  std::vector<int32_t> counts;
};

std::string GroupedName(const Sizes& s, const char* width, modelc_dtype dtype, const std::string& act) {
  std::string name = SizesName({{"T", s.T}, {"K", s.K}, {width, s.N}, {"E", static_cast<int64_t>(s.counts.size())}});
  if (s.counts.size() <= 8) {
    name += " rows=";
    for (size_t e = 0; e < s.counts.size(); ++e) name += (e ? "," : "") + std::to_string(s.counts[e]);
  }
  return name + " W=" + Name(dtype) + " act=" + act;
}

Names GroupedNames(const Sizes& s, const char* width, modelc_dtype dtype, const std::string& act) {
  return {
      {"W.dtype", Name(dtype)}, {"K", s.K}, {width, s.N}, {"E", static_cast<int64_t>(s.counts.size())}, {"act", act}};
}

int64_t ActiveExperts(const Sizes& s) {
  return static_cast<int64_t>(s.counts.size()) - std::count(s.counts.begin(), s.counts.end(), 0);
}

Case GroupedLinear(Sizes s, modelc_dtype dtype, const std::string& act, bool timed = false) {
  const int64_t M = Offsets(s.counts).back(), E = static_cast<int64_t>(s.counts.size());
  s.T = M;
  Case c;
  c.op = "grouped_linear";
  c.name = GroupedName(s, "N", dtype, act);
  c.attributes["act"] = act;
  c.names = GroupedNames(s, "N", dtype, act);
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {M, s.K}).PerRow(), I32({E + 1}, Offsets(s.counts)),
                   Weight(r, dtype, {E, s.N, s.K}, 1 / std::sqrt(s.K)), Output(MODELC_F32, {M, s.N}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const Values x = Activations(t[0], s.K, act), w = ToValues(t[2]);
    Values y;
    for (int64_t m = 0; m < M; ++m) {
      const Values row = RowTimes(&x[m * s.K], w, ExpertOf(t[1].as<int32_t>(), m), s.N, s.K);
      y.insert(y.end(), row.begin(), row.end());
    }
    return std::vector<Values>{y};
  };
  c.alone = [](const Tensors& t, int64_t m) {
    return Tensors{RowOf(t[0], m), OneRow(t[1], m), t[2], Output(MODELC_F32, {1, t[3].shape[1]}).PerRow()};
  };
  c.flops = 2.0 * M * s.K * s.N;
  c.bytes = 1.0 * ActiveExperts(s) * s.N * RowBytes(dtype, s.K) + 4.0 * M * (s.K + s.N);
  c.timed = timed;
  return c;
}

Case GroupedLinearSiluMul(Sizes s, modelc_dtype dtype, const std::string& act, bool timed = false) {
  const int64_t M = Offsets(s.counts).back(), E = static_cast<int64_t>(s.counts.size());
  Case c;
  c.op = "grouped_linear_silu_mul";
  c.name = GroupedName(s, "F", dtype, act);
  c.attributes["act"] = act;
  c.names = GroupedNames(s, "F", dtype, act);
  c.make = [=](Random& r) {
    std::vector<int32_t> rows(M);
    for (int32_t& row : rows) row = static_cast<int32_t>(r.Below(s.T));
    return Tensors{NormalF32(r, {s.T, s.K}),
                   I32({M}, rows).PerRow(),
                   I32({E + 1}, Offsets(s.counts)),
                   Weight(r, dtype, {E, s.N, s.K}, 1 / std::sqrt(s.K)),
                   Weight(r, dtype, {E, s.N, s.K}, 1 / std::sqrt(s.K)),
                   Output(MODELC_F32, {M, s.N}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const Values x = Activations(t[0], s.K, act), gate = ToValues(t[3]), up = ToValues(t[4]);
    Values y;
    for (int64_t m = 0; m < M; ++m) {
      const int64_t e = ExpertOf(t[2].as<int32_t>(), m);
      const double* row = &x[t[1].as<int32_t>()[m] * s.K];
      const Values g = RowTimes(row, gate, e, s.N, s.K), u = RowTimes(row, up, e, s.N, s.K);
      for (int64_t n = 0; n < s.N; ++n) y.push_back(g[n] / (1 + std::exp(-g[n])) * u[n]);
    }
    return std::vector<Values>{y};
  };
  c.alone = [](const Tensors& t, int64_t m) {
    return Tensors{RowOf(t[0], t[1].as<int32_t>()[m]),
                   I32({1}, {0}),
                   OneRow(t[2], m),
                   t[3],
                   t[4],
                   Output(MODELC_F32, {1, t[5].shape[1]}).PerRow()};
  };
  c.flops = 4.0 * M * s.K * s.N;
  c.bytes = 2.0 * ActiveExperts(s) * s.N * RowBytes(dtype, s.K) + 4.0 * M * (s.K + s.N);
  c.timed = timed;
  return c;
}

}  // namespace

std::vector<Case> GroupedCases() {
  std::vector<Case> cases;
  for (modelc_dtype dtype : {MODELC_F8E4M3, MODELC_BF16, MODELC_F32}) {
    for (const char* act : {"none", "e4m3_1x128_pow2"}) {
      cases.push_back(GroupedLinear({0, 130, 67, {2, 0, 5, 1}}, dtype, act));  // an expert without rows
      cases.push_back(GroupedLinear({0, 256, 128, {0, 0, 1}}, dtype, act));
      cases.push_back(GroupedLinearSiluMul({6, 130, 67, {2, 0, 9, 1}}, dtype, act));
      cases.push_back(GroupedLinearSiluMul({1, 256, 128, {1, 1, 0}}, dtype, act));
    }
    cases.push_back(GroupedLinear({0, 64, 40, {33, 18}}, dtype, "none"));
    cases.push_back(GroupedLinearSiluMul({40, 64, 40, {33, 18}}, dtype, "none"));
    cases.push_back(GroupedLinear({0, 64, 64, {0, 0}}, dtype, "none"));  // a step without rows
    cases.push_back(GroupedLinearSiluMul({0, 64, 64, {0, 0}}, dtype, "none"));
  }
  for (modelc_dtype dtype : {MODELC_INT8, MODELC_INT4}) {
    cases.push_back(GroupedLinear({0, 130, 67, {2, 0, 5, 1}}, dtype, "int8_1x128"));
    cases.push_back(GroupedLinear({0, 256, 128, {0, 0, 1}}, dtype, "int8_1x128"));
    cases.push_back(GroupedLinear({0, 64, 40, {33, 18}}, dtype, "int8_1x128"));
    cases.push_back(GroupedLinearSiluMul({6, 130, 67, {2, 0, 9, 1}}, dtype, "int8_1x128"));
    cases.push_back(GroupedLinearSiluMul({40, 64, 40, {33, 18}}, dtype, "int8_1x128"));
    cases.push_back(GroupedLinearSiluMul({0, 64, 64, {0, 0}}, dtype, "int8_1x128"));
  }
  const std::vector<int32_t> one_each(4, 1), many_each(4, 16);
  for (const std::vector<int32_t>& counts : {one_each, many_each}) {
    cases.push_back(GroupedLinearSiluMul({counts[0], 7168, 2048, counts}, MODELC_F8E4M3, "none", true));
    cases.push_back(GroupedLinear({0, 2048, 7168, counts}, MODELC_F8E4M3, "none", true));
  }
  return cases;
}

}  // namespace modelc::conformance
