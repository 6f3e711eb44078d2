// Every loop of every instruction set against the plainest double-precision form of it.
#include "backends/cpu/simd/simd.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "backends/cpu/kernels/topk.h"
#include "gtest/gtest.h"
#if defined(__x86_64__)
#include "tests/unit/cpu/wide_simd.h"
#endif

namespace modelc::cpu {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Named {
  const char* name;
  const Simd* simd;
};

std::vector<Named> Tables() {
  std::vector<Named> tables = {{"portable", &kPortableSimd}};
#if defined(__x86_64__)
  if (HostIsa() >= Isa::kAvx2) {
    tables.push_back({"avx2", &kAvx2Simd});
    tables.push_back({"wide", &kWideSimd});
    tables.push_back({"wide_fours", &kWideFoursSimd});
  }
  if (HostIsa() >= Isa::kAvx512) tables.push_back({"avx512", &kAvx512Simd});
  if (HostIsa() >= Isa::kAvx512Vnni) tables.push_back({"avx512_vnni", &kAvx512VnniSimd});
#endif
  return tables;
}

class SimdTest : public ::testing::TestWithParam<Named> {
 protected:
  const Simd& simd_ = *GetParam().simd;
  std::mt19937 engine_{7};

  std::vector<float> Random(int64_t n, float scale = 1) {
    std::normal_distribution<float> normal(0, scale);
    std::vector<float> v(n);
    for (float& x : v) x = normal(engine_);
    return v;
  }
};

INSTANTIATE_TEST_SUITE_P(, SimdTest, ::testing::ValuesIn(Tables()), [](const auto& info) { return info.param.name; });

// By the format's definition: 4 bits of exponent with bias 7, 3 of mantissa, no infinity.
double E4M3(int byte) {
  const int exponent = byte >> 3 & 15, mantissa = byte & 7;
  if (exponent == 15 && mantissa == 7) return kNaN;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return byte & 0x80 ? -magnitude : magnitude;
}

TEST_P(SimdTest, E4M3ToFloatIsExactForAllBytes) {
  std::vector<uint8_t> bytes(256 + 5), finite;
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(i);
    if (!std::isnan(E4M3(bytes[i]))) finite.push_back(bytes[i]);
  }
  for (const auto& input : {bytes, finite})  // the conversions with and without NaN among them
    for (float scale : {1.0f, 0.25f, 0x1p-100f, 0x1p118f}) {
      std::vector<float> out(input.size());
      simd_.from_e4m3(input.data(), scale, input.size(), out.data());
      for (size_t i = 0; i < input.size(); ++i) {
        const double want = E4M3(input[i]) * scale;
        if (std::isnan(want)) {
          EXPECT_TRUE(std::isnan(out[i])) << int{input[i]};
        } else {
          EXPECT_EQ(out[i], static_cast<float>(want)) << int{input[i]} << " times " << scale;
        }
      }
    }
}

// The nearest e4m3 value, ties to the even mantissa, saturating.
double NearestE4M3(double x) {
  double best = 0, distance = kInf;
  for (int byte = 0; byte < 0x7f; ++byte) {
    const double d = std::fabs(std::fabs(x) - E4M3(byte));
    if (d < distance || (d == distance && byte % 2 == 0)) best = E4M3(byte), distance = d;
  }
  return std::signbit(x) ? -best : best;
}

TEST_P(SimdTest, FloatToE4M3RoundsToNearestEven) {
  std::vector<float> x = Random(4000);
  for (int byte = 0; byte < 0x7e; ++byte) {  // every value, every midpoint, and its neighbours
    const float a = static_cast<float>(E4M3(byte)), middle = static_cast<float>((E4M3(byte) + E4M3(byte + 1)) / 2);
    for (float v : {a, middle, std::nextafter(middle, 0.0f), std::nextafter(middle, kInf)}) {
      x.push_back(v);
      x.push_back(-v);
    }
  }
  for (float v : x) {
    // 448 beside it makes the scale one.
    const float pair[] = {448.0f, v};
    uint8_t bytes[2];
    ASSERT_EQ(simd_.to_e4m3(pair, 2, bytes), 1.0f);
    EXPECT_EQ(bytes[0], 0x7e);
    EXPECT_EQ(E4M3(bytes[1]), NearestE4M3(v)) << v;
    EXPECT_EQ(bytes[1] >> 7, std::signbit(v)) << v;
  }
}

TEST_P(SimdTest, E4M3ScaleIsTheLeastPowerOfTwoThatFits) {
  const auto scale = [&](std::vector<float> x) {
    std::vector<uint8_t> out(x.size());
    return simd_.to_e4m3(x.data(), x.size(), out.data());
  };
  for (int e = -12; e < 100; e += 7) {
    const float top = std::ldexp(448.0f, e);
    EXPECT_EQ(scale({0, -top, 1e-9f}), std::ldexp(1.0f, e));
    EXPECT_EQ(scale({std::nextafter(top, kInf)}), std::ldexp(1.0f, e + 1));
    EXPECT_EQ(scale({std::nextafter(top, 0.0f)}), std::ldexp(1.0f, e));
  }
  const float least = std::exp2(std::ceil(std::log2(1e-4f / 448)));
  EXPECT_EQ(scale({0, 0, 0}), least);
  EXPECT_EQ(scale({1e-30f}), least);
  EXPECT_EQ(scale({std::numeric_limits<float>::max()}), 0x1p120f);
  EXPECT_EQ(scale({kNaN, 448}), 1.0f);
  EXPECT_TRUE(std::isfinite(scale({kInf})));
}

TEST_P(SimdTest, FakeQuantizeKeepsGroupsApartAndNaN) {
  std::vector<float> x = Random(300), out(300);
  x[5] = 1e6f, x[200] = kNaN;
  simd_.fake_quantize(x.data(), 300, out.data());
  for (int64_t g = 0; g < 300; g += 128) {
    float amax = 1e-4f;
    for (int64_t i = g; i < std::min<int64_t>(g + 128, 300); ++i)
      if (std::fabs(x[i]) > amax) amax = std::fabs(x[i]);
    const double scale = std::exp2(std::ceil(std::log2(amax / 448.0)));
    for (int64_t i = g; i < std::min<int64_t>(g + 128, 300); ++i) {
      if (std::isnan(x[i])) {
        EXPECT_TRUE(std::isnan(out[i]));
      } else {
        EXPECT_EQ(out[i], static_cast<float>(NearestE4M3(x[i] / scale) * scale)) << i;
      }
    }
  }
}

TEST_P(SimdTest, Bf16RoundsToNearestEvenAndKeepsNaN) {
  std::vector<float> x = Random(1001, 100);
  for (uint32_t bits : {0x3f808000u, 0x3f818000u, 0x3f808001u, 0x7f7fffffu, 0x7f800000u, 0xff800000u, 0x7f800001u, 0u, 0x80000000u, 1u})
    x.push_back(std::bit_cast<float>(bits));
  std::vector<uint16_t> half(x.size());
  std::vector<float> back(x.size());
  simd_.to_bf16(x.data(), x.size(), half.data());
  simd_.from_bf16(half.data(), 1, x.size(), back.data());
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i])) {
      EXPECT_TRUE(std::isnan(back[i]));
      continue;
    }
    const uint32_t bits = std::bit_cast<uint32_t>(x[i]), low = bits & 0xffff;
    const uint32_t want = (bits >> 16) + (low > 0x8000 || (low == 0x8000 && (bits >> 16 & 1)));
    EXPECT_EQ(half[i], want) << x[i];
    EXPECT_EQ(std::bit_cast<uint32_t>(back[i]), uint32_t{half[i]} << 16);
  }
}

TEST_P(SimdTest, NormsOfAnyWidth) {
  for (int64_t n : {1, 3, 7, 16, 31, 64, 100, 512, 1000}) {
    const std::vector<float> x = Random(n), w = Random(n), b = Random(n);
    std::vector<float> rms(n), layer(n);
    simd_.rms_norm(x.data(), w.data(), 1e-6f, n, rms.data());
    simd_.layer_norm(x.data(), w.data(), b.data(), 1e-5f, n, layer.data());
    double mean = 0, square = 0, variance = 0;
    for (float v : x) mean += v / n, square += double{v} * v / n;
    for (float v : x) variance += (v - mean) * (v - mean) / n;
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_NEAR(rms[i], x[i] / std::sqrt(square + 1e-6) * w[i], 1e-5);
      EXPECT_NEAR(layer[i], (x[i] - mean) / std::sqrt(variance + 1e-5) * w[i] + b[i], 1e-5);
    }
  }
}

TEST_P(SimdTest, SumsOfAnyWidth) {
  for (int64_t n : {1, 3, 8, 17, 33, 100}) {
    const std::vector<float> a = Random(n), b = Random(n);
    std::vector<float> sum(n), scaled = b;
    simd_.add(a.data(), b.data(), n, sum.data());
    simd_.multiply_add(a.data(), -1.5f, n, scaled.data());
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(sum[i], a[i] + b[i]);
      EXPECT_NEAR(scaled[i], b[i] - 1.5 * a[i], 1e-6);
    }
  }
}

TEST_P(SimdTest, HadamardOfAnyPowerOfTwo) {
  for (int64_t n = 1; n <= 512; n *= 2) {
    const std::vector<float> x = Random(n);
    std::vector<float> out = x;
    simd_.hadamard(out.data(), n);
    for (int64_t i = 0; i < n; ++i) {
      double want = 0;
      for (int64_t j = 0; j < n; ++j) want += (__builtin_popcountll(i & j) % 2 ? -1.0 : 1.0) * x[j];
      EXPECT_NEAR(out[i], want / std::sqrt(double(n)), 1e-5) << n;
    }
  }
}

TEST_P(SimdTest, RopeRotatesNeighboursOrHalves) {
  for (int64_t pairs : {1, 3, 4, 8, 21, 32}) {
    const std::vector<float> x = Random(2 * pairs), angle = Random(pairs, 3);
    std::vector<float> c(pairs), s(pairs), neighbours(2 * pairs), halves(2 * pairs);
    for (int64_t i = 0; i < pairs; ++i) c[i] = std::cos(angle[i]), s[i] = std::sin(angle[i]);
    simd_.rope_interleaved(x.data(), c.data(), s.data(), pairs, neighbours.data());
    simd_.rope_half(x.data(), c.data(), s.data(), pairs, halves.data());
    for (int64_t i = 0; i < pairs; ++i) {
      EXPECT_NEAR(neighbours[2 * i], double{x[2 * i]} * c[i] - double{x[2 * i + 1]} * s[i], 1e-5);
      EXPECT_NEAR(neighbours[2 * i + 1], double{x[2 * i]} * s[i] + double{x[2 * i + 1]} * c[i], 1e-5);
      EXPECT_NEAR(halves[i], double{x[i]} * c[i] - double{x[i + pairs]} * s[i], 1e-5);
      EXPECT_NEAR(halves[i + pairs], double{x[i]} * s[i] + double{x[i + pairs]} * c[i], 1e-5);
    }
  }
}

TEST_P(SimdTest, ScoresAndWeightedSumsOfOddSizes) {
  for (int64_t heads : {1, 4, 7, 16, 21, 40})
    for (int64_t keys : {1, 5, 13, 64})
      for (int64_t dims : {1, 9, 40, 67}) {
        const int64_t stride = heads + 3;
        const std::vector<float> q = Random(heads * dims), k = Random(keys * dims), factor = Random(heads);
        std::vector<float> s(keys * stride), out = Random(heads * dims);
        const std::vector<float> before = out;
        simd_.scores(q.data(), heads, k.data(), keys, dims, s.data(), stride);
        for (int64_t i = 0; i < keys; ++i)
          for (int64_t h = 0; h < heads; ++h) {
            double want = 0;
            for (int64_t d = 0; d < dims; ++d) want += double{q[h * dims + d]} * k[i * dims + d];
            ASSERT_NEAR(s[i * stride + h], want, 1e-4);
          }
        const int64_t width = dims > 2 ? dims - 2 : dims;  // the sum leaves a record's end alone
        simd_.weighted_sum(s.data(), stride, k.data(), dims, keys, heads, width, factor.data(), out.data());
        for (int64_t h = 0; h < heads; ++h)
          for (int64_t d = 0; d < width; ++d) {
            double want = double{factor[h]} * before[h * width + d];
            for (int64_t i = 0; i < keys; ++i) want += double{s[i * stride + h]} * k[i * dims + d];
            ASSERT_NEAR(out[h * width + d], want, 1e-3);
          }
        for (size_t i = heads * width; i < out.size(); ++i) ASSERT_EQ(out[i], before[i]);
      }
}

TEST_P(SimdTest, ScoresAndWeightedSumsOfInt8Records) {
  const auto bytes = [&](int64_t n) {
    std::vector<int8_t> v(n);
    for (int8_t& x : v) x = static_cast<int8_t>(static_cast<int>(engine_() % 255) - 127);
    return v;
  };
  for (int64_t heads : {1, 4, 7, 16, 21})
    for (int64_t keys : {1, 5, 12, 64})
      for (int64_t dims : {1, 9, 40, 67, 512})
        for (int64_t rope : {0, 6, 64}) {
          const int64_t lanes = PackedLanes(simd_, dims), whole = (heads + simd_.lanes - 1) / simd_.lanes * simd_.lanes;
          const int64_t stride = whole + 3, v_stride = dims + 5, pairs = (keys + 1) / 2;
          std::vector<int8_t> k = bytes(keys * dims), q = bytes(heads * dims);
          std::fill_n(k.begin(), dims, int8_t{-127});  // the extremes
          std::fill_n(q.begin(), dims, int8_t{-127});
          const std::vector<float> k_rope = Random(keys * rope), q_rope = Random(heads * rope), factor = Random(heads);
          std::vector<float> k_scale = Random(keys);
          for (float& scale : k_scale) scale = std::fabs(scale) + 0.01f;
          std::vector<int32_t> packed_q(heads * lanes), packed_k(keys * lanes), v(pairs * v_stride, 77);
          std::vector<I8Query> scales(heads);
          for (int64_t h = 0; h < heads; ++h) {
            q[h * dims] = 127;  // so that the scale is 1
            const std::vector<float> row(&q[h * dims], &q[h * dims] + dims);
            scales[h] = simd_.pack_i8_latent(row.data(), dims, &packed_q[h * lanes]);
            ASSERT_EQ(scales[h].scale, 1.0f);
          }
          const std::vector<int8_t> none(dims);
          for (int64_t i = 0; i < keys; ++i) {
            simd_.pack_i8_keys(&k[i * dims], dims, &packed_k[i * lanes]);
            if (i % 2 == 0)
              simd_.pack_i8_values(&k[i * dims], i + 1 < keys ? &k[(i + 1) * dims] : none.data(), dims, &v[i / 2 * v_stride]);
          }
          std::vector<float> s(keys * stride);
          simd_.scores_i8(packed_q.data(), scales.data(), q_rope.data(), heads, packed_k.data(), k_scale.data(),
                          k_rope.data(), keys, lanes, rope, s.data(), stride);
          // Side by side: columns beyond the last are of no head.
          std::vector<int32_t> side_q(lanes * stride, 3), lift(whole);
          std::vector<float> side_rope(rope * stride, 3.0f), side_scale(whole), side(keys * stride);
          for (int64_t h = 0; h < heads; ++h) {
            side_scale[h] = scales[h].scale;
            lift[h] = scales[h].lift * simd_.lanes;
            for (int64_t d = 0; d < lanes; ++d) side_q[d * stride + h] = packed_q[h * lanes + d];
            for (int64_t e = 0; e < rope; ++e) side_rope[e * stride + h] = q_rope[h * rope + e];
          }
          simd_.scores_i8_columns(side_q.data(), stride, side_scale.data(), lift.data(), side_rope.data(), whole, packed_k.data(),
                                  k_scale.data(), k_rope.data(), keys, lanes, rope, side.data(), stride);
          for (int64_t i = 0; i < keys; ++i)
            for (int64_t h = 0; h < heads; ++h) {
              double want = 0, size = 1;
              for (int64_t d = 0; d < dims; ++d) {
                want += q[h * dims + d] * k[i * dims + d];
                size += std::abs(q[h * dims + d]) * (std::abs(k[i * dims + d]) + 256);  // keys may be lifted by 128
              }
              for (int64_t e = 0; e < rope; ++e) {
                want += double{q_rope[h * rope + e]} * k_rope[i * rope + e];
                size += std::fabs(q_rope[h * rope + e] * k_rope[i * rope + e]);
              }
              ASSERT_NEAR(s[i * stride + h], want * k_scale[i], 1e-6 * size * k_scale[i]);
              ASSERT_NEAR(side[i * stride + h], want * k_scale[i], 1e-6 * size * k_scale[i]);
            }

          std::vector<float> p(keys * stride), out = Random(heads * dims), p_scale(whole);
          for (float& x : p) x = std::fabs(Random(1)[0]);
          const std::vector<float> before = out;
          std::vector<int32_t> packed_p(pairs * stride);
          simd_.pack_weights(p.data(), stride, whole, keys, k_scale.data(), packed_p.data(), p_scale.data());
          simd_.weighted_sum_i8(packed_p.data(), stride, p_scale.data(), v.data(), v_stride, pairs, heads, dims,
                                factor.data(), out.data());
          for (int64_t h = 0; h < heads; ++h) {
            double most = 0;
            for (int64_t i = 0; i < keys; ++i) most = std::max(most, double{p[i * stride + h]} * k_scale[i]);
            for (int64_t d = 0; d < dims; ++d) {
              double want = double{factor[h]} * before[h * dims + d], size = std::fabs(want);
              for (int64_t i = 0; i < keys; ++i) {
                const double term = double{p[i * stride + h]} * k_scale[i] * k[i * dims + d];
                want += term;
                size += std::fabs(term);
              }
              // Weights are rounded to 1/32767 of the largest.
              ASSERT_NEAR(out[h * dims + d], want, 1e-6 * size + most * 127 * keys / 65534);
            }
          }
        }
}

TEST_P(SimdTest, Int8WeightsOfKeysNotSeenAreZeroWhateverTheirScale) {
  const int64_t cols = simd_.lanes;
  std::vector<float> p(3 * cols, 0.5f), scale(cols);
  std::fill_n(p.begin() + 2 * cols, cols, 0.0f);
  const std::vector<float> k_scale = {1.0f, 2.0f, kNaN};
  std::vector<int32_t> out(2 * cols);
  simd_.pack_weights(p.data(), cols, cols, 3, k_scale.data(), out.data(), scale.data());
  for (int64_t c = 0; c < cols; ++c) {
    EXPECT_EQ(out[c], 16384 | 32767 << 16);
    EXPECT_EQ(out[cols + c], 0);
    EXPECT_EQ(scale[c], 1.0f / 32767.0f);
  }
}

TEST_P(SimdTest, SoftmaxInTwoStepsIsSoftmax) {
  const int64_t cols = 2 * simd_.lanes, keys = 11;
  std::vector<float> scores = Random(2 * keys * cols, 10);
  std::vector<float> max(cols, -kInf), sum(cols, 0), factor(cols);
  std::vector<int32_t> limit(cols);
  for (int64_t c = 0; c < cols; ++c) limit[c] = static_cast<int32_t>(c % (2 * keys + 1));
  const float scale = 0.7f;
  const std::vector<float> raw = scores;
  std::vector<double> kept(cols, 0);
  for (int step = 0; step < 2; ++step) {
    std::vector<int32_t> part(cols);
    for (int64_t c = 0; c < cols; ++c) part[c] = std::clamp<int32_t>(limit[c] - step * keys, 0, keys);
    simd_.softmax(&scores[step * keys * cols], cols, cols, keys, scale, part.data(), max.data(), sum.data(), factor.data());
    for (int64_t c = 0; c < cols; ++c) {
      kept[c] *= factor[c];
      for (int64_t i = 0; i < keys; ++i) kept[c] += scores[(step * keys + i) * cols + c];
    }
  }
  for (int64_t c = 0; c < cols; ++c) {
    double top = -kInf, want = 0;
    for (int64_t i = 0; i < limit[c]; ++i) top = std::max(top, double{raw[i * cols + c]} * scale);
    for (int64_t i = 0; i < limit[c]; ++i) want += std::exp(double{raw[i * cols + c]} * scale - top);
    EXPECT_NEAR(sum[c], want, 1e-5 * (1 + want)) << limit[c];
    EXPECT_NEAR(kept[c], want, 1e-5 * (1 + want));
    if (limit[c] == 0) EXPECT_EQ(sum[c], 0) << "a column that sees nothing";
  }
}

TEST_P(SimdTest, SoftmaxOfInfinityAndNaN) {
  const int64_t cols = simd_.lanes, keys = 3;
  const std::vector<int32_t> limit(cols, keys);
  const auto sum_of = [&](float a, float b, float c) {
    std::vector<float> s(keys * cols, 0), max(cols, -kInf), sum(cols, 0), factor(cols);
    s[0] = a, s[cols] = b, s[2 * cols] = c;
    simd_.softmax(s.data(), cols, cols, keys, 1, limit.data(), max.data(), sum.data(), factor.data());
    EXPECT_EQ(sum[1], 3) << "the column beside it";
    return sum[0];
  };
  EXPECT_TRUE(std::isnan(sum_of(0, kNaN, 1)));
  EXPECT_TRUE(std::isnan(sum_of(0, kInf, 1)));
  EXPECT_EQ(sum_of(-kInf, 0, -kInf), 1);
  EXPECT_EQ(sum_of(-200, 0, -300), 1) << "far below";
}

TEST_P(SimdTest, IndexScoresOfAnyHeadsAndWidth) {
  for (int64_t heads : {1, 3, 4, 7, 16, 61})
    for (int64_t dims : {1, 16, 24, 128}) {
      const std::vector<float> q = Random(heads * dims), w = Random(heads), k = Random(64 * dims);
      std::vector<float> blocks(64 * dims), out(64);
      simd_.transpose_f32(k.data(), dims, blocks.data());
      for (int64_t i = 0; i < 64; ++i)
        for (int64_t d = 0; d < dims; ++d)
          ASSERT_EQ(blocks[(i / 16 * dims + d) * 16 + i % 16], k[i * dims + d]) << i << ", " << d;
      for (int64_t keys : {1, 17, 64}) {
        std::fill(out.begin(), out.end(), kNaN);
        simd_.index_scores(q.data(), w.data(), heads, blocks.data(), keys, dims, out.data());
        for (int64_t i = 0; i < keys; ++i) {
          double want = 0;
          for (int64_t h = 0; h < heads; ++h) {
            double dot = 0;
            for (int64_t d = 0; d < dims; ++d) dot += double{q[h * dims + d]} * k[i * dims + d];
            want += w[h] * std::max(dot, 0.0);
          }
          ASSERT_NEAR(out[i], want, 1e-4 * (1 + std::fabs(want)));
        }
      }
    }
}

TEST_P(SimdTest, NarrowKeysScoreAsFloatsDo) {
  for (int64_t dims : {7, 16, 68, 128, 260})
    for (int64_t heads : {1, 4, 13, 40})
      for (int with_nan = 0; with_nan < 2; ++with_nan) {
        const int64_t padded = (dims + 3) / 4 * 4;
        std::vector<uint8_t> bytes(64 * dims), byte_keys(64 * padded);
        std::vector<uint16_t> halves(64 * dims);
        std::vector<float> floats(64 * dims), want_keys(64 * dims), half_keys(64 * dims), want(64), got(64);
        for (int64_t i = 0; i < 64 * dims; ++i) bytes[i] = static_cast<uint8_t>(engine_() % 0x7f | engine_() % 2 << 7);
        if (with_nan) bytes[5] = 0xff;
        for (int64_t i = 0; i < 64 * dims; ++i) {
          floats[i] = E4M3(bytes[i]);
          halves[i] = static_cast<uint16_t>(std::bit_cast<uint32_t>(floats[i]) >> 16);  // exact: e4m3 fits
        }
        simd_.transpose_f32(floats.data(), dims, want_keys.data());
        simd_.transpose_bf16(halves.data(), dims, half_keys.data());
        for (int64_t i = 0; i < 64 * dims; ++i)
          ASSERT_EQ(std::bit_cast<uint32_t>(half_keys[i]), std::bit_cast<uint32_t>(want_keys[i]));
        const std::vector<float> q = Random(heads * dims), w = Random(heads);
        simd_.index_scores(q.data(), w.data(), heads, want_keys.data(), 64, dims, want.data());
        std::vector<float> rows(heads * padded);
        for (int64_t h = 0; h < heads; ++h)
          for (int64_t d = 0; d < dims; ++d) rows[h * padded + d] = q[h * dims + d];
        simd_.transpose_bytes(bytes.data(), dims, byte_keys.data());
        simd_.index_scores_e4m3(rows.data(), w.data(), heads, byte_keys.data(), 64, padded,
                                simd_.has_e4m3_nan(bytes.data(), bytes.size()), byte_keys.data(), got.data());
        for (int64_t i = 0; i < 64; ++i)
          ASSERT_TRUE(std::isnan(want[i]) ? std::isnan(got[i]) : got[i] == want[i]) << i << ": " << got[i] << ", " << want[i];
      }
}

TEST_P(SimdTest, CandidatesAboveABoundStayInOrder) {
  for (int64_t n : {0, 1, 15, 16, 17, 100})
    for (uint32_t bound : {0u, 3u, 9u})
      for (int64_t places : {0, 1, 5, 1000}) {
        std::vector<float> x(n);
        std::vector<uint32_t> keys(n + 16), want;
        std::vector<int32_t> positions(n + 16), want_positions;
        for (int64_t i = 0; i < n; ++i) {
          keys[i] = static_cast<uint32_t>(i * i * 7 + i) % 8;
          positions[i] = static_cast<int32_t>(100 + i);
        }
        int64_t left = places;
        for (int64_t i = 0; i < n; ++i)
          if (keys[i] > bound || (keys[i] == bound && left-- > 0)) {
            want.push_back(keys[i]);
            want_positions.push_back(positions[i]);
          }
        ASSERT_EQ(simd_.keep_from(keys.data(), positions.data(), n, bound, places), static_cast<int64_t>(want.size()));
        keys.resize(want.size());
        positions.resize(want.size());
        EXPECT_EQ(keys, want);
        EXPECT_EQ(positions, want_positions);

        // What is collected by a threshold is kept by it, whatever the scores.
        for (int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(i * 13 % 11) - 5;
        std::vector<uint32_t> all(n + 16), some(n + 16);
        std::vector<int32_t> everywhere(n + 16), somewhere(n + 16);
        ASSERT_EQ(simd_.collect_above(x.data(), n, 7, 0, all.data(), everywhere.data()), n);
        const uint32_t threshold = n > 2 ? all[n / 2] : 0;
        const int64_t count = simd_.collect_above(x.data(), n, 7, threshold, some.data(), somewhere.data());
        ASSERT_EQ(simd_.keep_from(all.data(), everywhere.data(), n, threshold, 0), count);
        for (int64_t i = 0; i < count; ++i) {
          EXPECT_EQ(some[i], all[i]);
          EXPECT_EQ(somewhere[i], everywhere[i]);
        }
      }
}

TEST_P(SimdTest, Int8RoundsToNearestEvenOfTheLargest) {
  for (int64_t n : {1, 7, 16, 128, 131}) {
    std::vector<float> x = Random(n);
    if (n > 4) x[0] = 0.5f, x[1] = 1.5f, x[2] = -2.5f, x[3] = 126.49f;
    x[n - 1] = -127.0f;  // makes the scale one
    std::vector<int8_t> out(n + 1, 99);
    ASSERT_EQ(simd_.to_i8(x.data(), n, out.data()), 1.0f);
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(out[i], std::nearbyint(x[i])) << i << " of " << n;
    EXPECT_EQ(out[n], 99) << "written behind the end";
  }
  const std::vector<float> tiny(20, 1e-5f);
  std::vector<int8_t> out(20);
  EXPECT_EQ(simd_.to_i8(tiny.data(), 20, out.data()), 1e-4f / 127.0f);
  EXPECT_EQ(out[19], 13);
  for (float odd : {kNaN, kInf, -kInf}) {
    std::vector<float> x(20, 1.0f);
    x[17] = odd;
    EXPECT_TRUE(std::isnan(simd_.to_i8(x.data(), 20, out.data()))) << odd;
    EXPECT_EQ(out[17], 0);
  }
}

TEST_P(SimdTest, Int8KeysScoreByWholeNumbers) {
  for (int64_t dims : {4, 7, 68, 128, 260})
    for (int64_t heads : {1, 4, 13}) {
      const int64_t padded = (dims + 3) / 4 * 4;
      std::vector<int8_t> keys(64 * dims), values(heads * padded);
      for (int8_t& v : keys) v = static_cast<int8_t>(engine_() % 255 - 127);
      for (int64_t i = 0; i < heads * padded; ++i)
        values[i] = i % padded < dims ? static_cast<int8_t>(engine_() % 255 - 127) : 0;
      std::fill_n(keys.begin(), dims, int8_t{-127});  // the extremes
      std::fill_n(values.begin(), dims, int8_t{-127});
      std::vector<int32_t> q(heads * padded / 2);
      for (int64_t h = 0; h < heads; ++h) {
        values[h * padded] = 127;  // so that the scale is 1
        const std::vector<float> row(&values[h * padded], &values[h * padded] + dims);
        ASSERT_EQ(simd_.pack_i8_query(row.data(), dims, padded, &q[h * padded / 2]), 1.0f);
      }
      const std::vector<float> w = Random(heads);
      std::vector<uint8_t> turned(64 * padded);
      std::vector<float> got(64);
      simd_.transpose_bytes(reinterpret_cast<const uint8_t*>(keys.data()), dims, turned.data());
      simd_.index_scores_i8(q.data(), w.data(), heads, turned.data(), 64, padded, turned.data(), got.data());
      for (int64_t i = 0; i < 64; ++i) {
        double want = 0, size = 0;
        for (int64_t h = 0; h < heads; ++h) {
          int64_t dot = 0;
          for (int64_t d = 0; d < dims; ++d) dot += values[h * padded + d] * keys[i * dims + d];
          want += w[h] * static_cast<double>(std::max<int64_t>(dot, 0));
          size += std::fabs(w[h] * static_cast<double>(dot));
        }
        ASSERT_NEAR(got[i], want, 1e-6 * size) << i << ", " << dims << " dimensions, " << heads << " heads";
      }
    }
}

TEST_P(SimdTest, IndexScoresKeepNaN) {
  const int64_t dims = 16;
  std::vector<float> k(64 * dims, 1.0f), blocks(64 * dims), out(64);
  k[3 * dims] = kNaN;
  simd_.transpose_f32(k.data(), dims, blocks.data());
  const std::vector<float> q(dims, 1.0f), w(1, 1.0f);
  simd_.index_scores(q.data(), w.data(), 1, blocks.data(), 64, dims, out.data());
  for (int i = 0; i < 64; ++i) EXPECT_EQ(std::isnan(out[i]), i == 3) << i;
}

// What select must choose: score descending, position ascending; NaN last.
std::vector<int32_t> Best(const std::vector<float>& x, int64_t k) {
  std::vector<int32_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    if (std::isnan(x[a]) || std::isnan(x[b])) return !std::isnan(x[a]) && std::isnan(x[b]);
    return x[a] > x[b];
  });
  order.resize(std::min<size_t>(k, order.size()));
  std::sort(order.begin(), order.end());
  order.resize(k, -1);
  return order;
}

TEST_P(SimdTest, TopKIsTheTotalOrder) {
  std::vector<std::vector<float>> inputs = {{}, {1}, {kNaN}, std::vector<float>(3000, 0.0f)};
  inputs.push_back(Random(5000));
  inputs.push_back({});
  for (int i = 0; i < 6000; ++i) inputs.back().push_back(static_cast<float>(engine_() % 7));  // many ties
  inputs.push_back({});
  for (int i = 0; i < 4000; ++i) inputs.back().push_back(static_cast<float>(i));  // always better
  inputs.push_back({});
  for (int i = 0; i < 4000; ++i) inputs.back().push_back(static_cast<float>(-i));
  inputs.push_back({});
  for (int i = 0; i < 2500; ++i) {
    const float odd[] = {0.0f, -0.0f, kNaN, kInf, -kInf, -kNaN, 1e-40f, -1e-40f};
    inputs.back().push_back(odd[engine_() % 8]);
  }
  for (const auto& x : inputs)
    for (int64_t k : {1, 2, 64, 700, 2048}) {
      const int64_t capacity = TopK::Capacity(k);
      std::vector<uint32_t> keys(capacity);
      std::vector<int32_t> positions(capacity), sel(k);
      TopK whole(simd_, k, keys.data(), positions.data());
      whole.Add(x.data(), x.size(), 0);
      whole.Finish(sel.data());
      ASSERT_EQ(sel, Best(x, k)) << x.size() << " scores, k = " << k;

      // In uneven pieces, and merged from the best of three parts.
      TopK pieces(simd_, k, keys.data(), positions.data());
      for (size_t i = 0; i < x.size(); i += 61) pieces.Add(x.data() + i, std::min<int64_t>(61, x.size() - i), i);
      pieces.Finish(sel.data());
      ASSERT_EQ(sel, Best(x, k));
      std::vector<uint32_t> merged_keys(3 * k + simd_.lanes);
      std::vector<int32_t> merged_positions(3 * k + simd_.lanes);
      const int64_t size = x.size();
      int64_t kept = 0;
      for (int64_t i = 0; i < 3; ++i) {
        const int64_t begin = size * i / 3, end = size * (i + 1) / 3;
        TopK part(simd_, k, keys.data(), positions.data());
        part.Add(x.data() + begin, end - begin, begin);
        const int64_t n = part.Finish();
        std::copy_n(keys.data(), n, merged_keys.data() + kept);
        std::copy_n(positions.data(), n, merged_positions.data() + kept);
        kept += n;
      }
      TopK merged(simd_, k, merged_keys.data(), merged_positions.data());
      merged.Adopt(kept);
      merged.Finish(sel.data());
      ASSERT_EQ(sel, Best(x, k));
    }
}

}  // namespace
}  // namespace modelc::cpu
