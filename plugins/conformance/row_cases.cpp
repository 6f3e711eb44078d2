// Ops that treat every row by itself or move rows: embed, rope, hadamard, fake_quantize, add, copy, concat, take_rows.
#include <bit>
#include <cmath>
#include <utility>

#include "plugins/conformance/case.h"

namespace modelc::conformance {
namespace {

Case Embed(int64_t T, int64_t V, int64_t H, modelc_dtype dtype) {
  Case c;
  c.op = "embed";
  c.name = SizesName({{"T", T}, {"V", V}, {"H", H}}) + " W=" + Name(dtype);
  c.names = {{"W.dtype", Name(dtype)}, {"V", V}, {"H", H}};
  c.nmse = 0;
  c.make = [=](Random& r) {
    std::vector<int32_t> ids(T);
    for (int32_t& id : ids) id = static_cast<int32_t>(r.Below(V));
    if (T > 3) ids[0] = -1, ids[1] = static_cast<int32_t>(V), ids[2] = static_cast<int32_t>(V - 1), ids[3] = 0;
    return Tensors{I32({T}, ids).PerRow(), Weight(r, dtype, {V, H}), Output(MODELC_F32, {T, H}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const Values table = ToValues(t[1]);
    Values y(T * H);
    for (int64_t i = 0; i < T; ++i) {
      const int64_t id = t[0].as<int32_t>()[i];
      if (id < 0 || id >= V) continue;
      std::copy_n(&table[id * H], H, &y[i * H]);
    }
    return std::vector<Values>{y};
  };
  c.bytes = 1.0 * T * H * (4 + RowBytes(dtype, 1));
  return c;
}

struct RopeSizes {
  int64_t T, h, D, first, dim;  // h = 0: x is [T, D]
  const char* pairs;
  bool keep;
  int32_t farthest;  // largest position
};

Case Rope(const RopeSizes& s) {
  const int64_t heads = std::max<int64_t>(s.h, 1), width = s.keep ? s.D : s.dim;
  Case c;
  c.op = "rope";
  c.name =
      SizesName({{"T", s.T}, {"h", s.h}, {"D", s.D}, {"first", s.first}, {"dim", s.dim}, {"farthest", s.farthest}}) +
      " " + s.pairs + (s.keep ? " keep" : "");
  c.attributes = {{"first", s.first}, {"dim", s.dim}, {"pairs", s.pairs}, {"keep", s.keep}};
  c.names = {{"h", s.h}, {"D", s.D}, {"first", s.first}, {"dim", s.dim}, {"pairs", s.pairs}};
  // An angle of thousands of radians, rounded to float32 as the published code has it, is off by a thousandth.
  if (s.farthest > 4096) c.nmse = 1e-6;
  c.make = [=](Random& r) {
    const auto shape = [&](int64_t last) { return s.h == 0 ? Shape{s.T, last} : Shape{s.T, s.h, last}; };
    std::vector<int32_t> pos(s.T);
    for (int32_t& p : pos) p = static_cast<int32_t>(r.Below(s.farthest + 1));
    if (s.T > 1) pos[0] = 0, pos[1] = s.farthest;
    Values inv_freq(s.dim / 2);
    for (int64_t i = 0; i < s.dim / 2; ++i) inv_freq[i] = std::pow(10000.0, -2.0 * i / s.dim);
    HostTensor x = NormalF32(r, shape(s.D));
    return Tensors{x.PerRow(), I32({s.T}, pos).PerRow(), F32({s.dim / 2}, inv_freq),
                   Output(MODELC_F32, shape(width)).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const bool half = std::string_view(s.pairs) == "half";
    Values y;
    Values x = ToValues(t[0]);
    for (int64_t th = 0; th < s.T * heads; ++th) {
      double* row = &x[th * s.D];
      for (int64_t i = 0; i < s.dim / 2; ++i) {
        const double angle = 1.0 * t[1].as<int32_t>()[th / heads] * t[2].as<float>()[i];
        double& a = row[s.first + (half ? i : 2 * i)];
        double& b = row[s.first + (half ? i + s.dim / 2 : 2 * i + 1)];
        const double rotated_a = a * std::cos(angle) - b * std::sin(angle);
        b = a * std::sin(angle) + b * std::cos(angle);
        a = rotated_a;
      }
      const double* from = s.keep ? row : row + s.first;
      y.insert(y.end(), from, from + width);
    }
    return std::vector<Values>{y};
  };
  c.flops = 6.0 * s.T * heads * s.dim / 2;
  c.bytes = 8.0 * s.T * heads * width;
  return c;
}

// The matrix entry (i, j) is (-1)^(number of ones in i & j) / sqrt(D).
Case Hadamard(Shape shape) {
  const int64_t D = shape.back(), rows = Elements(shape) / D;
  Case c;
  c.op = "hadamard";
  c.name = SizesName({{"rows", rows}, {"rank", static_cast<int64_t>(shape.size())}, {"D", D}});
  c.names = {{"D", D}};
  c.make = [=](Random& r) { return Tensors{NormalF32(r, shape).PerRow(), Output(MODELC_F32, shape).PerRow()}; };
  c.reference = [=](const Tensors& t) {
    const Values x = ToValues(t[0]);
    Values y(rows * D);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t i = 0; i < D; ++i) {
        for (int64_t j = 0; j < D; ++j) {
          const double sign = std::popcount(static_cast<uint64_t>(i & j)) % 2 ? -1 : 1;
          y[row * D + i] += sign * x[row * D + j] / std::sqrt(D);
        }
      }
    }
    return std::vector<Values>{y};
  };
  c.flops = 1.0 * rows * D * std::log2(D);
  c.bytes = 8.0 * rows * D;
  return c;
}

Case FakeQuantizeCase(Shape shape) {
  const int64_t D = shape.back(), rows = Elements(shape) / D;
  Case c;
  c.op = "fake_quantize";
  c.name = SizesName({{"rows", rows}, {"rank", static_cast<int64_t>(shape.size())}, {"D", D}});
  c.names = {{"D", D}};
  c.nmse = 0;
  c.make = [=](Random& r) {
    Values x(rows * D);
    for (double& v : x) v = r.Normal() * std::exp2(static_cast<double>(r.Below(24)) - 12);  // subnormals of e4m3 too
    if (rows > 1) std::fill_n(x.begin(), D, 0.0);
    return Tensors{F32(shape, x).PerRow(), Output(MODELC_F32, shape).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    Values x = ToValues(t[0]);
    for (int64_t row = 0; row < rows; ++row) RoundActivations("e4m3_1x128_pow2", &x[row * D], D);
    return std::vector<Values>{x};
  };
  c.flops = 4.0 * rows * D;
  c.bytes = 8.0 * rows * D;
  return c;
}

Case Add(int64_t T, int64_t D) {
  Case c;
  c.op = "add";
  c.name = SizesName({{"T", T}, {"D", D}});
  c.names = {{"D", D}};
  c.nmse = 0;
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {T, D}).PerRow(), NormalF32(r, {T, D}).PerRow(), Output(MODELC_F32, {T, D}).PerRow()};
  };
  c.reference = [](const Tensors& t) {
    Values y = ToValues(t[0]);
    const Values b = ToValues(t[1]);
    for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(y[i] + b[i]);
    return std::vector<Values>{y};
  };
  c.flops = 1.0 * T * D;
  c.bytes = 12.0 * T * D;
  return c;
}

Case Copy(modelc_dtype dtype, Shape shape) {
  Case c;
  c.op = "copy";
  c.name = SizesName({{"elements", Elements(shape)}, {"rank", static_cast<int64_t>(shape.size())}}) + " " + Name(dtype);
  c.nmse = 0;
  c.make = [=](Random& r) {
    HostTensor x = dtype == MODELC_I32 ? I32(shape, r.Permutation(Elements(shape))) : Weight(r, dtype, shape);
    return Tensors{x.PerRow(), Output(dtype, shape).PerRow()};
  };
  c.reference = [](const Tensors& t) { return std::vector<Values>{ToValues(t[0])}; };
  c.bytes = 2.0 * RowBytes(dtype, Elements(shape));
  return c;
}

Case Concat(int64_t T, int64_t A, int64_t B) {
  Case c;
  c.op = "concat";
  c.name = SizesName({{"T", T}, {"A", A}, {"B", B}});
  c.nmse = 0;
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {T, A}).PerRow(), NormalF32(r, {T, B}).PerRow(),
                   Output(MODELC_F32, {T, A + B}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const Values a = ToValues(t[0]), b = ToValues(t[1]);
    Values y;
    for (int64_t i = 0; i < T; ++i) {
      y.insert(y.end(), a.begin() + i * A, a.begin() + (i + 1) * A);
      y.insert(y.end(), b.begin() + i * B, b.begin() + (i + 1) * B);
    }
    return std::vector<Values>{y};
  };
  c.bytes = 8.0 * T * (A + B);
  return c;
}

Case TakeRows(int64_t T, int64_t H, std::vector<int32_t> wanted) {
  const int64_t N = static_cast<int64_t>(wanted.size());
  Case c;
  c.op = "take_rows";
  c.name = SizesName({{"T", T}, {"H", H}, {"N", N}});
  c.names = {{"H", H}};
  c.nmse = 0;
  c.make = [=](Random& r) {
    return Tensors{NormalF32(r, {T, H}), I32({N}, wanted).PerRow(), Output(MODELC_F32, {N, H}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const Values x = ToValues(t[0]);
    Values y;
    for (int32_t row : wanted) y.insert(y.end(), x.begin() + row * H, x.begin() + (row + 1) * H);
    return std::vector<Values>{y};
  };
  c.bytes = 8.0 * N * H;
  return c;
}

}  // namespace

std::vector<Case> RowCases() {
  std::vector<Case> cases;
  for (modelc_dtype dtype : {MODELC_F32, MODELC_BF16, MODELC_F8E4M3}) {
    cases.push_back(Embed(7, 300, 65, dtype));  // ids outside the table among them
    cases.push_back(Embed(1, 17, 256, dtype));
  }
  cases.push_back(Embed(0, 17, 256, MODELC_F32));
  for (const char* pairs : {"interleaved", "half"}) {
    cases.push_back(Rope({3, 4, 192, 128, 64, pairs, true, 4095}));  // MLA's query: the rotated part last
    cases.push_back(Rope({3, 4, 192, 128, 64, pairs, false, 4095}));
    cases.push_back(Rope({5, 0, 64, 0, 64, pairs, true, 163839}));  // the longest context
    cases.push_back(Rope({3, 2, 128, 0, 64, pairs, true, 4095}));   // the indexer's: first
    cases.push_back(Rope({2, 3, 21, 5, 6, pairs, false, 100}));
    cases.push_back(Rope({0, 4, 192, 128, 64, pairs, true, 4095}));
  }
  cases.push_back(Hadamard({3, 64, 128}));
  cases.push_back(Hadamard({5, 64}));
  cases.push_back(Hadamard({4, 2}));
  cases.push_back(Hadamard({3, 1}));
  cases.push_back(Hadamard({0, 128}));
  cases.push_back(FakeQuantizeCase({4, 512}));
  cases.push_back(FakeQuantizeCase({3, 5, 200}));  // a part group
  cases.push_back(FakeQuantizeCase({2, 7}));
  cases.push_back(FakeQuantizeCase({0, 128}));
  cases.push_back(Add(1, 7168));
  cases.push_back(Add(3, 37));
  cases.push_back(Add(0, 64));
  for (int64_t T : {1, 64}) {
    cases.push_back(Timed(Rope({T, 128, 192, 128, 64, "interleaved", true, 4095})));
    cases.push_back(Timed(Rope({T, 64, 128, 0, 64, "half", true, 4095})));
    cases.push_back(Timed(Hadamard({T, 64, 128})));
    cases.push_back(Timed(FakeQuantizeCase({T, 64, 128})));
    cases.push_back(Timed(Add(T, 7168)));
  }
  cases.push_back(Copy(MODELC_F32, {5, 33}));
  cases.push_back(Copy(MODELC_I32, {7, 9}));
  cases.push_back(Copy(MODELC_F32, {3, 4, 5}));
  cases.push_back(Copy(MODELC_F32, {0, 64}));
  cases.push_back(Concat(3, 64, 64));
  cases.push_back(Concat(2, 5, 17));
  cases.push_back(Concat(0, 8, 8));
  cases.push_back(TakeRows(6, 129, {5, 0, 5, 3}));
  cases.push_back(TakeRows(4, 64, {}));
  cases.push_back(TakeRows(1, 1, {0}));
  return cases;
}

}  // namespace modelc::conformance
