// The ukernels of every instruction set against double precision, and against themselves: bits of a row must not
// depend on the rows beside it.
#include <cstdlib>
#include <cstring>
#include <memory>
#include <ostream>

#include "backends/cpu/kernels/kernel.h"
#include "backends/cpu/ukernels/matmul.h"
#include "gtest/gtest.h"
#include "tests/unit/cpu_matmul/weights.h"

namespace modelc::cpu {

extern const MatmulUkernels kMatmulAvx512OnAvx2, kMatmulAvx512VnniOnAvx2;

namespace {

struct Table {
  const char* name;
  const MatmulUkernels* ukernels;
};

std::vector<Table> Tables() {
  std::vector<Table> tables = {{"portable", &kMatmulPortable}};
#if defined(__x86_64__)
  if (HostIsa() >= Isa::kAvx2) {
    tables.push_back({"avx2", &kMatmulAvx2});
    tables.push_back({"avx512_on_avx2", &kMatmulAvx512OnAvx2});
    tables.push_back({"avx512_vnni_on_avx2", &kMatmulAvx512VnniOnAvx2});
  }
  if (HostIsa() >= Isa::kAvx512) tables.push_back({"avx512", &kMatmulAvx512});
  if (HostIsa() >= Isa::kAvx512Vnni) tables.push_back({"avx512_vnni", &kMatmulAvx512Vnni});
#endif
  return tables;
}

struct Free {
  void operator()(void* p) const { std::free(p); }
};
template <typename T>
std::unique_ptr<T[], Free> Aligned(size_t n) {
  return std::unique_ptr<T[], Free>(static_cast<T*>(std::aligned_alloc(64, (n * sizeof(T) + 63) / 64 * 64 + 64)));
}

class UkernelTest : public testing::TestWithParam<std::tuple<Table, modelc_dtype>> {
 protected:
  const MatmulUkernels& ukernels_ = *std::get<0>(GetParam()).ukernels;
  const modelc_dtype dtype_ = std::get<1>(GetParam());
  std::unique_ptr<std::byte[], Free> scratch_ = Aligned<std::byte>(ukernels_.scratch);

  WeightRows Rows(const RandomWeights& w, int64_t first, int64_t count) const {
    return {.data = w.data.data() + first * (w.data.size() / w.rows),
            .dtype = w.dtype,
            .count = count,
            .k = w.k,
            .scale = w.scales.empty() ? nullptr : w.scales.data(),
            .first = first};
  }

  // Weight rows first … first+count-1 times the rows of x that `index` picks.
  std::vector<float> Dot(const RandomWeights& w, int64_t first, int64_t count, const std::vector<float>& x,
                         const std::vector<int32_t>& index) {
    const int64_t stride = ukernels_.packed(w.k), rows = x.size() / w.k;
    auto packed = Aligned<float>(rows * stride);
    for (int64_t t = 0; t < rows; ++t) ukernels_.pack(w.dtype, x.data() + t * w.k, w.k, packed.get() + t * stride);
    std::vector<float> out(index.size() * count, NAN);
    ukernels_.dot(Rows(w, first, count), {packed.get(), stride, static_cast<int64_t>(index.size()), index.data()},
                  {out.data(), count}, scratch_.get());
    return out;
  }
};

std::vector<int32_t> Iota(int n) {
  std::vector<int32_t> index(n);
  for (int i = 0; i < n; ++i) index[i] = i;
  return index;
}

class DotTest : public UkernelTest {};

TEST_P(DotTest, IsTheProduct) {
  for (const int64_t k : {1, 7, 31, 64, 100, 128, 129, 576, 1030})
    for (const int64_t rows : {1, 5, 31})
      for (const int t : {1, 2, 3, 4, 5, 6, 7, 8, 13}) {
        const int64_t first = rows == 5 ? 126 : 0;  // across a border of scales
        const RandomWeights w(dtype_, 1, first + rows, k, k);
        const std::vector<float> x = RandomFloats(t * k, t);
        const std::vector<float> out = Dot(w, first, rows, x, Iota(t));
        const std::vector<double> seen = Seen(dtype_, x, k);
        for (int i = 0; i < t; ++i)
          for (int64_t n = 0; n < rows; ++n) {
            Sum sum;
            for (int64_t c = 0; c < k; ++c) sum.Add(seen[i * k + c], w.At(first + n, c));
            ASSERT_NEAR(out[i * rows + n], sum.value, sum.tolerance())
                << "k " << k << ", " << rows << " weights, row " << i << " of " << t << ", output " << n;
          }
      }
}

TEST_P(DotTest, OfARowHasTheSameBitsInAnyCompany) {
  for (const auto [k, seed] : {std::pair(40, 3), {1030, 3}, {1030, 4}}) {
    const int64_t rows = 29;
    const RandomWeights w(dtype_, 1, rows, k, seed);
    const std::vector<float> x = RandomFloats(64 * k, 4);
    std::vector<std::vector<float>> alone;
    for (int i = 0; i < 64; ++i) alone.push_back(Dot(w, 0, rows, x, {i}));
    for (const int t : {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 17, 64}) {
      std::vector<int32_t> index;  // all different, in no order
      for (int i = 0; i < t; ++i) index.push_back((i * 37 + t) % 64);
      const std::vector<float> out = Dot(w, 0, rows, x, index);
      for (int i = 0; i < t; ++i)
        ASSERT_EQ(0, std::memcmp(&out[i * rows], alone[index[i]].data(), rows * sizeof(float)))
            << "k " << k << ", row " << i << " of " << t;
    }
    // Nor on where a tile of weights begins.
    const std::vector<float> part = Dot(w, 13, 9, x, {5});
    ASSERT_EQ(0, std::memcmp(part.data(), &alone[5][13], 9 * sizeof(float)));
  }
}

class IntegerDotTest : public UkernelTest {};

// The integers of a group in extremes: sums of 16 and 32 bits in the kernels have room for them.
TEST_P(IntegerDotTest, DoesNotOverflow) {
  const int64_t k = 384, rows = 7;
  RandomWeights w(dtype_, 1, rows, k, 1);
  const bool int8 = dtype_ == MODELC_INT8;
  const float one = 1;
  for (size_t at = 0; at < w.data.size(); at += int8 ? 132 : 72) {
    std::memcpy(&w.data[at], &one, sizeof one);
    std::memset(&w.data[at + 4], int8 ? -127 : 0xff, int8 ? 128 : 4);  // int4: factors of 255
    if (!int8) std::memset(&w.data[at + 8], at / 72 % 2 ? 0x00 : 0xff, 64);
  }
  for (const int t : {1, 4, 9})
    for (const float sign : {1.0f, -1.0f}) {
      const std::vector<float> out = Dot(w, 0, rows, std::vector<float>(t * k, 127 * sign), Iota(t));
      for (int64_t n = 0; n < t * rows; ++n) {
        double want = 0;
        for (int64_t g = 0; g < 3; ++g)
          want += 128 * 127.0 * (int8 ? -127 : (n % rows * 3 + g) % 2 ? -8 * 255 : 7 * 255);
        ASSERT_EQ(out[n], sign * want) << n;
      }
    }
}

TEST_P(IntegerDotTest, OfWhatIsNotFiniteIsNaN) {
  const RandomWeights w(dtype_, 1, 5, 300, 1);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> x = RandomFloats(2 * 300, 1);
    const std::vector<float> clean = Dot(w, 0, 5, x, {1});
    x[140] = bad;
    const std::vector<float> out = Dot(w, 0, 5, x, {0, 1});
    for (int n = 0; n < 5; ++n) EXPECT_TRUE(std::isnan(out[n])) << bad;
    EXPECT_EQ(0, std::memcmp(&out[5], clean.data(), 5 * sizeof(float)));  // the row beside it is untouched
  }
}

TEST_P(UkernelTest, AccumulateIsTheTransposedProductWithTheSameBitsInAnyCompany) {
  for (const int64_t k : {1, 33, 64, 130, 512})
    for (const int64_t rows : {1, 3, 128, 200}) {
      const int64_t first = 100;
      const RandomWeights w(dtype_, 1, first + rows, k, k + rows);
      const std::vector<float> x = RandomFloats(64 * rows, rows);
      const auto run = [&](int64_t begin, int64_t count) {
        std::vector<float> out(count * k, NAN);
        ukernels_.accumulate(Rows(w, first, rows), {x.data() + begin * rows, rows, count}, {out.data(), k},
                             scratch_.get());
        return out;
      };
      const std::vector<float> all = run(0, 64);
      for (int64_t t = 0; t < 64; ++t)
        for (int64_t c = 0; c < k; ++c) {
          Sum sum;
          for (int64_t r = 0; r < rows; ++r) sum.Add(x[t * rows + r], w.At(first + r, c));
          ASSERT_NEAR(all[t * k + c], sum.value, sum.tolerance()) << "k " << k << ", row " << t << ", column " << c;
        }
      for (const int64_t count : {1, 2, 3, 7})
        for (const int64_t begin : {0, 11}) {
          const std::vector<float> some = run(begin, count);
          ASSERT_EQ(0, std::memcmp(some.data(), &all[begin * k], some.size() * sizeof(float))) << begin << " " << count;
        }
    }
}

TEST_P(UkernelTest, SiluMul) {
  std::vector<float> gate = {0,   -0.0f, 1,     -1,     5,      -5,       20,  -20, 87, -87,
                             300, -300,  1e30f, -1e30f, 1e-30f, INFINITY, NAN, 2,   3};
  std::vector<float> up = RandomFloats(gate.size(), 1);
  std::vector<float> out = gate;
  ukernels_.silu_mul(out.data(), up.data(), out.size());
  for (size_t i = 0; i < gate.size(); ++i) {
    const double want = gate[i] / (1 + std::exp(-double{gate[i]})) * up[i];
    if (std::isnan(want))
      EXPECT_TRUE(std::isnan(out[i])) << gate[i];
    else if (std::isinf(want))
      EXPECT_EQ(want, out[i]) << gate[i];
    else
      EXPECT_NEAR(out[i], want, 1e-6 * std::abs(want) + 1e-30) << gate[i];
  }
}

std::string CaseName(const testing::TestParamInfo<std::tuple<Table, modelc_dtype>>& info) {
  static const char* const names[] = {"f32", "bf16", "f8e4m3", "", "", "int8", "int4"};
  return std::string(std::get<0>(info.param).name) + "_" + names[std::get<1>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(All, UkernelTest,
                         testing::Combine(testing::ValuesIn(Tables()),
                                          testing::Values(MODELC_F8E4M3, MODELC_BF16, MODELC_F32)),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(All, DotTest,
                         testing::Combine(testing::ValuesIn(Tables()),
                                          testing::Values(MODELC_F8E4M3, MODELC_BF16, MODELC_F32, MODELC_INT8,
                                                          MODELC_INT4)),
                         CaseName);
INSTANTIATE_TEST_SUITE_P(All, IntegerDotTest,
                         testing::Combine(testing::ValuesIn(Tables()), testing::Values(MODELC_INT8, MODELC_INT4)),
                         CaseName);

}  // namespace
}  // namespace modelc::cpu
