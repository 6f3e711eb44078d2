// The ops linear, linear_silu_mul, head_linear, grouped_linear and grouped_linear_silu_mul on a pool of workers.
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "backends/cpu/device/pool.h"
#include "backends/cpu/device/table.h"
#include "backends/cpu/kernels/kernel.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/cpu_matmul/weights.h"

namespace modelc::cpu {
namespace {

using nlohmann::json;
using testing::HasSubstr;

template <typename T>
Tensor TensorOf(const std::vector<T>& data, modelc_dtype dtype, std::vector<int64_t> shape,
                const float* scale = nullptr) {
  Tensor t;
  static std::byte empty[1];
  t.data = data.empty() ? empty : reinterpret_cast<std::byte*>(const_cast<T*>(data.data()));
  t.dtype = dtype;
  t.scale = scale;
  t.rank = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), t.shape);
  return t;
}
Tensor TensorOf(const std::vector<float>& data, std::vector<int64_t> shape) {
  return TensorOf(data, MODELC_F32, shape);
}
Tensor TensorOf(const std::vector<int32_t>& data) {
  return TensorOf(data, MODELC_I32, {static_cast<int64_t>(data.size())});
}
Tensor TensorOf(const RandomWeights& w, std::vector<int64_t> shape) {
  return TensorOf(w.data, w.dtype, shape, w.scales.empty() ? nullptr : w.scales.data());
}

std::unique_ptr<Kernel> Make(const char* name, const json& attributes) {
  const KernelEntry* entry = FindKernel(name);
  EXPECT_NE(entry, nullptr) << name;
  auto kernel = entry->make(attributes);
  EXPECT_TRUE(kernel.ok()) << kernel.status();
  return *std::move(kernel);
}

// Runs a checked command and gives what it counted.
Traffic Execute(const Kernel& kernel, const std::vector<Tensor>& tensors, int workers = 2) {
  const absl::Status status = kernel.Check(tensors);
  EXPECT_TRUE(status.ok()) << status;
  Pool pool(workers);
  Traffic traffic = pool.Run([&](Worker& worker) { kernel.Run(tensors, worker); }).value();
  traffic.weight_bytes += kernel.Reads(tensors).weight_bytes;
  return traffic;
}

// The round trip of `act` e4m3_1x128_pow2, from its definition: the nearest of all e4m3 values, ties to even mantissas.
std::vector<float> RoundTrip(std::vector<float> x, int64_t k) {
  for (size_t row = 0; row < x.size(); row += k)
    for (int64_t b = 0; b < k; b += 128) {
      const int64_t n = std::min<int64_t>(128, k - b);
      float amax = 1e-4f;
      for (int64_t i = 0; i < n; ++i) amax = std::max(amax, std::abs(x[row + b + i]));
      const double scale = std::exp2(std::ceil(std::log2(double{amax / 448.0f})));
      for (int64_t i = 0; i < n; ++i) {
        float& v = x[row + b + i];
        int best = 0;
        for (int code = 0; code < 0x7f; ++code) {
          const double old = std::abs(E4M3Value(best) * scale - std::abs(v)),
                       now = std::abs(E4M3Value(code) * scale - std::abs(v));
          if (now < old || (now == old && code % 2 == 0)) best = code;
        }
        v = std::copysign(E4M3Value(best) * scale, v);
      }
    }
  return x;
}

double Silu(double g) { return g / (1 + std::exp(-g)); }

void ExpectProduct(float got, const Sum& sum) { ASSERT_NEAR(got, sum.value, sum.tolerance()); }

class MatmulTest : public testing::TestWithParam<std::tuple<const char*, modelc_dtype>> {
 protected:
  void SetUp() override { setenv("MODELC_CPU_ISA", std::get<0>(GetParam()), 1); }
  void TearDown() override { unsetenv("MODELC_CPU_ISA"); }
  const modelc_dtype dtype_ = std::get<1>(GetParam());
};

TEST_P(MatmulTest, Linear) {
  for (const char* act : {"none", "e4m3_1x128_pow2"})
    for (const auto& [rows, k] : {std::pair<int64_t, int64_t>{1, 1}, {130, 200}, {300, 130}, {7, 1030}})
      for (const int64_t t : {0, 1, 3, 70}) {
        const RandomWeights w(dtype_, 1, rows, k, rows);
        const std::vector<float> x = RandomFloats(t * k, t);
        std::vector<float> out(t * rows, NAN);
        Execute(*Make("linear", {{"act", act}}),
                {TensorOf(x, {t, k}), TensorOf(w, {rows, k}), TensorOf(out, {t, rows})});
        const std::vector<float> in = *act == 'n' ? x : RoundTrip(x, k);
        for (int64_t i = 0; i < t; ++i)
          for (int64_t n = 0; n < rows; ++n) {
            Sum sum;
            for (int64_t c = 0; c < k; ++c) sum.Add(in[i * k + c], w.At(n, c));
            ExpectProduct(out[i * rows + n], sum);
          }
      }
}

TEST_P(MatmulTest, LinearSiluMul) {
  const int64_t f = 150, k = 200;
  const RandomWeights gate(dtype_, 1, f, k, 1), up(dtype_, 1, f, k, 2);
  for (const int64_t t : {1, 5, 67}) {
    const std::vector<float> x = RandomFloats(t * k, 3);
    std::vector<float> out(t * f, NAN);
    Execute(*Make("linear_silu_mul", {{"act", "none"}}),
            {TensorOf(x, {t, k}), TensorOf(gate, {f, k}), TensorOf(up, {f, k}), TensorOf(out, {t, f})});
    for (int64_t i = 0; i < t; ++i)
      for (int64_t n = 0; n < f; ++n) {
        Sum g, u;
        for (int64_t c = 0; c < k; ++c) {
          g.Add(x[i * k + c], gate.At(n, c));
          u.Add(x[i * k + c], up.At(n, c));
        }
        const double want = Silu(g.value) * u.value;
        ASSERT_NEAR(
            out[i * f + n], want,
            std::abs(u.value) * 1.2 * g.tolerance() + std::abs(Silu(g.value)) * u.tolerance() + 2e-6 * std::abs(want));
      }
  }
}

TEST_P(MatmulTest, HeadLinearBothWays) {
  // Rows of W that are no multiple of the scales' blocks begin in the middle of one.
  const int64_t heads = 3, head_rows = 72, latent = 96, width = 60, first = 30, count = 40;
  const RandomWeights w(dtype_, 1, heads * head_rows, latent, 1);
  for (const int64_t t : {1, 2, 9, 70}) {
    const std::vector<float> q = RandomFloats(t * heads * width, 2);
    std::vector<float> up(t * heads * latent, NAN);
    Execute(
        *Make("head_linear",
              {{"x_first", 20}, {"x_count", count}, {"first", first}, {"count", count}, {"transposed", true}}),
        {TensorOf(q, {t, heads, width}), TensorOf(w, {heads * head_rows, latent}), TensorOf(up, {t, heads, latent})});
    for (int64_t i = 0; i < t * heads; ++i)
      for (int64_t c = 0; c < latent; ++c) {
        Sum sum;
        for (int64_t r = 0; r < count; ++r) sum.Add(q[i * width + 20 + r], w.At(i % heads * head_rows + first + r, c));
        ExpectProduct(up[i * latent + c], sum);
      }
    const std::vector<float> attended = RandomFloats(t * heads * latent, 3);
    std::vector<float> out(t * heads * count, NAN);
    Execute(*Make("head_linear",
                  {{"x_first", 0}, {"x_count", latent}, {"first", first}, {"count", count}, {"transposed", false}}),
            {TensorOf(attended, {t, heads, latent}), TensorOf(w, {heads * head_rows, latent}),
             TensorOf(out, {t, heads, count})});
    for (int64_t i = 0; i < t * heads; ++i)
      for (int64_t n = 0; n < count; ++n) {
        Sum sum;
        for (int64_t c = 0; c < latent; ++c)
          sum.Add(attended[i * latent + c], w.At(i % heads * head_rows + first + n, c));
        ExpectProduct(out[i * count + n], sum);
      }
  }
}

// Rows of a routed batch: expert 0 and 3 have none, 1 has many.
struct Routed {
  static constexpr int64_t kExperts = 5;
  std::vector<int32_t> offsets = {0, 0, 71, 72, 72, 77}, rows;
  int64_t tokens = 20;
  Routed() {
    for (int m = 0; m < offsets.back(); ++m) rows.push_back(m * 7 % tokens);
  }
  int64_t Expert(int64_t m) const {
    int64_t e = 0;
    while (offsets[e + 1] <= m) ++e;
    return e;
  }
};

TEST_P(MatmulTest, GroupedLinearAndWhatItReads) {
  const Routed routed;
  const int64_t m = routed.rows.size(), n = 140, k = 136;
  const RandomWeights w(dtype_, routed.kExperts, n, k, 1);
  const std::vector<float> x = RandomFloats(m * k, 2);
  std::vector<float> out(m * n, NAN);
  const Traffic traffic = Execute(
      *Make("grouped_linear", {{"act", "none"}}),
      {TensorOf(x, {m, k}), TensorOf(routed.offsets), TensorOf(w, {routed.kExperts, n, k}), TensorOf(out, {m, n})});
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      Sum sum;
      for (int64_t c = 0; c < k; ++c) sum.Add(x[i * k + c], w.At(j, c, routed.Expert(i)));
      ExpectProduct(out[i * n + j], sum);
    }
  EXPECT_EQ(traffic.weight_bytes, 3 * (w.data.size() + w.scales.size() * sizeof(float)) / routed.kExperts);
}

TEST_P(MatmulTest, GroupedLinearSiluMul) {
  const Routed routed;
  const int64_t m = routed.rows.size(), f = 70, k = 136;
  const RandomWeights gate(dtype_, routed.kExperts, f, k, 1), up(dtype_, routed.kExperts, f, k, 2);
  const std::vector<float> x = RandomFloats(routed.tokens * k, 2);
  std::vector<float> out(m * f, NAN);
  Execute(*Make("grouped_linear_silu_mul", {{"act", "e4m3_1x128_pow2"}}),
          {TensorOf(x, {routed.tokens, k}), TensorOf(routed.rows), TensorOf(routed.offsets),
           TensorOf(gate, {routed.kExperts, f, k}), TensorOf(up, {routed.kExperts, f, k}), TensorOf(out, {m, f})});
  const std::vector<float> in = RoundTrip(x, k);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < f; ++j) {
      Sum g, u;
      for (int64_t c = 0; c < k; ++c) {
        g.Add(in[routed.rows[i] * k + c], gate.At(j, c, routed.Expert(i)));
        u.Add(in[routed.rows[i] * k + c], up.At(j, c, routed.Expert(i)));
      }
      const double want = Silu(g.value) * u.value;
      ASSERT_NEAR(
          out[i * f + j], want,
          std::abs(u.value) * 1.2 * g.tolerance() + std::abs(Silu(g.value)) * u.tolerance() + 2e-6 * std::abs(want));
    }
}

// Bits of a row may not depend on the batch or on the team.
TEST_P(MatmulTest, RowsHaveTheSameBitsInAnyBatchAndTeam) {
  const int64_t n = 200, k = 300, all = 64;
  const RandomWeights w(dtype_, 1, n, k, 1), up(dtype_, 1, n, k, 2);
  const std::vector<float> x = RandomFloats(all * k, 3);
  const auto linear = Make("linear", {{"act", "e4m3_1x128_pow2"}});
  const auto gated = Make("linear_silu_mul", {{"act", "none"}});
  const auto run = [&](bool silu_mul, int64_t begin, int64_t count, int workers) {
    const std::vector<float> in(x.begin() + begin * k, x.begin() + (begin + count) * k);
    std::vector<float> out(count * n, NAN);
    std::vector<Tensor> t = {TensorOf(in, {count, k}), TensorOf(w, {n, k}), TensorOf(out, {count, n})};
    if (silu_mul) t.insert(t.begin() + 2, TensorOf(up, {n, k}));
    Execute(silu_mul ? *gated : *linear, t, workers);
    return out;
  };
  for (const bool silu_mul : {false, true}) {
    const std::vector<float> want = run(silu_mul, 0, all, 1);
    for (const int workers : {1, 2, 3})
      for (const auto& [begin, count] : {std::pair<int64_t, int64_t>{0, 1}, {41, 1}, {10, 7}, {3, 4}, {0, 64}}) {
        const std::vector<float> got = run(silu_mul, begin, count, workers);
        ASSERT_EQ(0, std::memcmp(got.data(), &want[begin * n], got.size() * sizeof(float)))
            << workers << " workers, rows " << begin << " to " << begin + count;
      }
  }
}

TEST_P(MatmulTest, ExpertRowsHaveTheSameBitsInAnySegment) {
  const int64_t f = 70, k = 136, tokens = 30;
  const RandomWeights gate(dtype_, 2, f, k, 1), up(dtype_, 2, f, k, 2);
  const std::vector<float> x = RandomFloats(tokens * k, 3);
  const auto kernel = Make("grouped_linear_silu_mul", {{"act", "none"}});
  const auto run = [&](const std::vector<int32_t>& rows, const std::vector<int32_t>& offsets, int workers) {
    std::vector<float> out(rows.size() * f, NAN);
    Execute(*kernel,
            {TensorOf(x, {tokens, k}), TensorOf(rows), TensorOf(offsets), TensorOf(gate, {2, f, k}),
             TensorOf(up, {2, f, k}), TensorOf(out, {static_cast<int64_t>(rows.size()), f})},
            workers);
    return out;
  };
  std::vector<int32_t> rows(tokens);
  std::iota(rows.begin(), rows.end(), 0);
  for (const int expert : {0, 1}) {
    const std::vector<float> want =
        run(rows, expert == 0 ? std::vector<int32_t>{0, 30, 30} : std::vector<int32_t>{0, 0, 30}, 1);
    for (const int workers : {1, 3})
      for (const int begin : {0, 1, 5, 22, 29}) {
        // Rows from `begin` on go to this expert, those before to the other.
        std::vector<int32_t> order(rows.begin(), rows.end());
        if (expert == 0) std::rotate(order.begin(), order.begin() + begin, order.end());
        const int32_t border = expert == 0 ? static_cast<int32_t>(tokens) - begin : begin;
        const std::vector<float> got = run(order, {0, border, static_cast<int32_t>(tokens)}, workers);
        const int64_t from = expert == 0 ? 0 : begin;
        ASSERT_EQ(0, std::memcmp(&got[from * f], &want[begin * f], (tokens - begin) * f * sizeof(float)))
            << "expert " << expert << " from row " << begin;
      }
  }
}

std::string Label(const testing::TestParamInfo<std::tuple<const char*, modelc_dtype>>& info) {
  const modelc_dtype dtype = std::get<1>(info.param);
  return std::string(std::get<0>(info.param)) + (dtype == MODELC_F8E4M3 ? "_f8e4m3"
                                                 : dtype == MODELC_BF16 ? "_bf16"
                                                                        : "_f32");
}

// An instruction set the machine lacks means the next it has.
INSTANTIATE_TEST_SUITE_P(All, MatmulTest,
                         testing::Combine(testing::Values("portable", "avx2", "avx512", "avx512_vnni"),
                                          testing::Values(MODELC_F8E4M3, MODELC_BF16, MODELC_F32)),
                         Label);

TEST(MatmulErrors, Attributes) {
  const auto error = [](const char* name, const json& attributes) {
    return std::string(FindKernel(name)->make(attributes).status().message());
  };
  EXPECT_THAT(error("linear", json::object()), HasSubstr("'act' is missing"));
  EXPECT_THAT(error("linear", {{"act", "int4"}}), HasSubstr("wanted one of: none, e4m3_1x128_pow2"));
  EXPECT_THAT(error("grouped_linear", {{"act", "none"}, {"bias", 1}}), HasSubstr("'bias' is unknown"));
  EXPECT_THAT(error("head_linear", {{"x_first", -1}}), HasSubstr("x_first"));
}

TEST(MatmulErrors, Tensors) {
  const std::vector<float> x(6 * 8), out(6 * 4);
  const RandomWeights w(MODELC_F8E4M3, 2, 4, 8, 1), f32(MODELC_F32, 1, 4, 8, 1);
  const auto linear = Make("linear", {{"act", "none"}});
  const auto message = [](const Kernel& kernel, const std::vector<Tensor>& t) {
    return std::string(kernel.Check(t).message());
  };
  const Tensor in = TensorOf(x, {6, 8}), result = TensorOf(out, {6, 4});
  EXPECT_THAT(message(*linear, {in, TensorOf(w, {4, 9}), result}), HasSubstr("'W' has shape [4, 9]"));
  EXPECT_THAT(message(*linear, {in, TensorOf(w, {4, 8}), TensorOf(out, {6, 3})}), HasSubstr("'out' has shape [6, 3]"));
  EXPECT_THAT(message(*linear, {in, TensorOf(w.data, MODELC_F8E4M3, {4, 8}), result}), HasSubstr("no block scales"));
  EXPECT_THAT(message(*linear, {in, TensorOf(w.data, MODELC_U8, {4, 8}), result}), HasSubstr("'W' is u8"));
  EXPECT_THAT(
      message(*Make("linear_silu_mul", {{"act", "none"}}), {in, TensorOf(w, {4, 8}), TensorOf(f32, {4, 8}), result}),
      HasSubstr("differ in dtype"));
  EXPECT_THAT(message(*Make("grouped_linear", {{"act", "none"}}),
                      {in, TensorOf(std::vector<int32_t>{0, 6}), TensorOf(w, {2, 4, 8}), result}),
              HasSubstr("'offsets'"));
  const auto head =
      Make("head_linear", {{"x_first", 0}, {"x_count", 8}, {"first", 1}, {"count", 2}, {"transposed", false}});
  const Tensor heads = TensorOf(x, {3, 2, 8});
  EXPECT_THAT(message(*head, {heads, TensorOf(w, {4, 8}), TensorOf(out, {3, 2, 2})}), HasSubstr("2 rows a head"));
  EXPECT_THAT(message(*head, {heads, TensorOf(w, {8, 4}), TensorOf(out, {3, 2, 2})}),
              HasSubstr("x_count is 8; wanted 4"));
  EXPECT_THAT(message(*head, {heads, TensorOf(w, {7, 8}), TensorOf(out, {3, 2, 2})}), HasSubstr("multiple of 2 heads"));
}

}  // namespace
}  // namespace modelc::cpu
