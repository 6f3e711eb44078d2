// moe.route, moe.dispatch, moe.combine.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "plugins/conformance/case.h"

namespace modelc::conformance {
namespace {

struct RouteSizes {
  int64_t T, E, A, groups, topk_group;
  double scale;
  bool normalize;
};

// Indices 0…n-1, the largest key first, ties to the lower index, NaN last.
std::vector<int64_t> Ranked(const Values& key) {
  std::vector<int64_t> order(key.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    if (std::isnan(key[a]) != std::isnan(key[b])) return std::isnan(key[b]);
    if (key[a] > key[b] || key[a] < key[b]) return key[a] > key[b];
    return a < b;
  });
  return order;
}

// One row: chosen experts ascending, and their weights.
void RouteRow(const RouteSizes& s, const Values& score, const Values& biased, double* weights, double* experts) {
  const int64_t size = s.E / s.groups;
  Values group(s.groups);
  for (int64_t g = 0; g < s.groups; ++g) {
    const Values members(biased.begin() + g * size, biased.begin() + (g + 1) * size);
    const std::vector<int64_t> best = Ranked(members);
    group[g] = members[best[0]] + (size > 1 ? members[best[1]] : 0);
  }
  std::vector<int64_t> groups = Ranked(group);
  groups.resize(s.topk_group);
  std::vector<int64_t> chosen = Ranked(biased);
  std::erase_if(chosen, [&](int64_t e) { return std::find(groups.begin(), groups.end(), e / size) == groups.end(); });
  chosen.resize(s.A);
  std::sort(chosen.begin(), chosen.end());
  double sum = 0;
  for (int64_t e : chosen) sum += score[e];
  for (int64_t a = 0; a < s.A; ++a) {
    experts[a] = static_cast<double>(chosen[a]);
    weights[a] = score[chosen[a]] / (s.normalize ? sum : 1) * s.scale;
  }
}

enum class Logits { kNormal, kTies, kSpecial };

Case Route(const RouteSizes& s, Logits kind = Logits::kNormal, modelc_dtype dtype = MODELC_F32) {
  Case c;
  c.op = "moe.route";
  c.name = SizesName({{"T", s.T}, {"E", s.E}, {"A", s.A}, {"groups", s.groups}, {"topk_group", s.topk_group}}) +
           (s.normalize ? " normalize" : "") +
           (kind == Logits::kTies      ? " ties"
            : kind == Logits::kSpecial ? " NaN, infinities"
                                       : "") +
           (dtype == MODELC_BF16 ? " bf16 bias" : "");
  c.attributes = {{"groups", s.groups}, {"topk_group", s.topk_group}, {"scale", s.scale}, {"normalize", s.normalize}};
  c.names = {{"W.dtype", Name(dtype)}, {"E", s.E}, {"A", s.A}, {"groups", s.groups}, {"topk_group", s.topk_group}};
  c.make = [=](Random& r) {
    HostTensor logits = NormalF32(r, {s.T, s.E}), bias = Weight(r, dtype, {s.E}, kind == Logits::kTies ? 0 : 0.1);
    float* logit = logits.as<float>();
    if (kind == Logits::kTies) {  // three values and no bias: equal experts and equal groups
      for (int64_t i = 0; i < s.T * s.E; ++i) logit[i] = static_cast<float>(r.Below(3));
    }
    if (kind == Logits::kSpecial) {
      const float special[] = {NAN, INFINITY, -INFINITY, 1.0f};
      for (int64_t i = 0; i < s.T * s.E; ++i)
        logit[i] = i < s.E ? NAN : r.Below(3) == 0 ? special[r.Below(4)] : logit[i];
    }
    return Tensors{logits.PerRow(), bias, Output(MODELC_F32, {s.T, s.A}).PerRow(),
                   Output(MODELC_I32, {s.T, s.A}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const Values logits = ToValues(t[0]), bias = ToValues(t[1]);
    std::vector<Values> out{Values(s.T * s.A), Values(s.T * s.A)};
    for (int64_t row = 0; row < s.T; ++row) {
      Values score(s.E), biased(s.E);
      for (int64_t e = 0; e < s.E; ++e) {
        score[e] = 1 / (1 + std::exp(-logits[row * s.E + e]));
        biased[e] = score[e] + bias[e];
      }
      RouteRow(s, score, biased, &out[0][row * s.A], &out[1][row * s.A]);
    }
    return out;
  };
  c.flops = 4.0 * s.T * s.E;
  c.bytes = 4.0 * s.T * (s.E + 2 * s.A);
  return c;
}

Case Dispatch(int64_t T, int64_t A, int64_t E, bool one_expert = false) {
  Case c;
  c.op = "moe.dispatch";
  c.name = SizesName({{"T", T}, {"A", A}, {"E", E}}) + (one_expert ? " all to one expert" : "");
  c.attributes = {{"experts", E}};
  c.names = {{"A", A}, {"experts", E}};
  c.make = [=](Random& r) {
    std::vector<int32_t> experts;
    for (int64_t t = 0; t < T; ++t) {
      std::vector<int32_t> chosen = r.Permutation(E);
      chosen.resize(A);
      if (one_expert) chosen.assign(A, static_cast<int32_t>(E - 1));
      std::sort(chosen.begin(), chosen.end());
      experts.insert(experts.end(), chosen.begin(), chosen.end());
    }
    return Tensors{I32({T, A}, experts), Output(MODELC_I32, {E + 1}), Output(MODELC_I32, {T * A}),
                   Output(MODELC_I32, {T, A})};
  };
  c.reference = [=](const Tensors& t) {
    Values offsets(E + 1), rows, slot(T * A);
    for (int64_t e = 0; e < E; ++e) {
      for (int64_t i = 0; i < T * A; ++i) {
        if (t[0].as<int32_t>()[i] != e) continue;
        slot[i] = static_cast<double>(rows.size());
        rows.push_back(static_cast<double>(i / A));
      }
      offsets[e + 1] = static_cast<double>(rows.size());
    }
    return std::vector<Values>{offsets, rows, slot};
  };
  c.bytes = 12.0 * T * A;
  return c;
}

Case Combine(int64_t T, int64_t A, int64_t H, bool base) {
  const int64_t M = T * A;
  Case c;
  c.op = "moe.combine";
  c.name = SizesName({{"T", T}, {"A", A}, {"H", H}}) + (base ? " base" : "");
  c.names = {{"A", A}, {"H", H}};
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {M, H}), I32({T, A}, r.Permutation(M)).PerRow(), NormalF32(r, {T, A}).PerRow(),
                   base ? NormalF32(r, {T, H}).PerRow() : LeftOut(), Output(MODELC_F32, {T, H}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const Values y = ToValues(t[0]), weights = ToValues(t[2]);
    Values out = base ? ToValues(t[3]) : Values(T * H);
    for (int64_t i = 0; i < M; ++i) {
      for (int64_t d = 0; d < H; ++d) out[i / A * H + d] += weights[i] * y[t[1].as<int32_t>()[i] * H + d];
    }
    return std::vector<Values>{out};
  };
  c.flops = 2.0 * M * H;
  c.bytes = 4.0 * (M + 2 * T) * H;
  return c;
}

}  // namespace

std::vector<Case> MoECases() {
  return {
      Route({5, 256, 8, 8, 4, 2.5, true}),
      Route({3, 16, 4, 4, 2, 1.0, false}),
      Route({4, 6, 2, 1, 1, 2.5, true}),
      Route({2, 8, 3, 8, 5, 1.0, true}),  // groups of one expert
      Route({9, 64, 6, 8, 3, 2.5, true}, Logits::kTies),
      Route({9, 32, 6, 8, 3, 2.5, true}, Logits::kSpecial),
      Route({7, 256, 8, 8, 4, 2.5, true}, Logits::kNormal, MODELC_BF16),
      Route({0, 16, 4, 4, 2, 1.0, true}),
      Timed(Route({1, 256, 8, 8, 4, 2.5, true})),
      Timed(Route({64, 256, 8, 8, 4, 2.5, true})),
      Dispatch(7, 2, 5),
      Dispatch(1, 8, 256),
      Dispatch(33, 4, 16),
      Dispatch(4, 3, 9, /*one_expert=*/true),
      Dispatch(0, 2, 5),
      Combine(5, 3, 65, true),
      Combine(5, 3, 65, false),
      Combine(1, 8, 2048, true),
      Combine(0, 2, 16, true),
  };
}

}  // namespace modelc::conformance
