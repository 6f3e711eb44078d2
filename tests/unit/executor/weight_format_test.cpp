// Conversion of weights: values from their definitions (plugins/abi/ops.md), and how far they are from the originals.
#include "core/runtime/executor/weight_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "core/support/floats.h"

namespace modelc {
namespace {

std::vector<float> Normal(size_t n, uint32_t seed, float deviation = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> v(n);
  for (float& x : v) x = normal(random);
  return v;
}

StoredMatrix Stored(const std::vector<float>& values, int64_t k) {
  return {reinterpret_cast<const std::byte*>(values.data()), DType::kF32, nullptr, k};
}

float FloatAt(const std::byte* at) {
  float value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// A row of groups as numbers, padding included.
std::vector<float> Values(DType format, const std::byte* row, int64_t k) {
  const int64_t groups = (k + 127) / 128, bytes = RowBytes(format, 128);
  std::vector<float> out;
  for (int64_t g = 0; g < groups; ++g, row += bytes) {
    const float scale = FloatAt(row);
    for (int64_t c = 0; c < 128; ++c) {
      if (format == DType::kInt8) {
        out.push_back(scale * static_cast<float>(static_cast<int8_t>(row[4 + c])));
      } else {
        const int pair = static_cast<int>(row[8 + c / 2]), factor = static_cast<int>(row[4 + c / 32]);
        out.push_back(scale * static_cast<float>(factor * ((c % 2 ? pair >> 4 : pair & 15) - 8)));
      }
    }
  }
  return out;
}

std::vector<std::byte> Convert(const StoredMatrix& m, int64_t rows, DType format) {
  std::vector<std::byte> out(rows * RowBytes(format, m.k));
  EXPECT_TRUE(ConvertRows(m, 0, rows, format, out.data()));
  return out;
}

double RelativeRms(const std::vector<float>& want, const std::vector<float>& got) {
  double error = 0, squares = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(want[i] - got[i], 2);
    squares += std::pow(want[i], 2);
  }
  return std::sqrt(error / squares);
}

TEST(WeightFormatTest, Int8IsWithinHalfAStepAndKeepsTheLargest) {
  for (const int64_t k : {1, 100, 128, 129, 400}) {
    const std::vector<float> x = Normal(k, 1, 0.02f);
    const std::vector<std::byte> row = Convert(Stored(x, k), 1, DType::kInt8);
    const std::vector<float> got = Values(DType::kInt8, row.data(), k);
    for (int64_t begin = 0; begin < k; begin += 128) {
      const int64_t end = std::min(k, begin + 128);
      float most = 0;
      for (int64_t i = begin; i < end; ++i) most = std::max(most, std::fabs(x[i]));
      for (int64_t i = begin; i < end; ++i) {
        EXPECT_LE(std::fabs(got[i] - x[i]), 0.501f * most / 127) << "k " << k << ", column " << i;
        if (std::fabs(x[i]) == most) EXPECT_NEAR(got[i], x[i], 1e-6f * most);
      }
    }
    for (size_t i = k; i < got.size(); ++i) EXPECT_EQ(got[i], 0) << "padding of k " << k;
  }
}

TEST(WeightFormatTest, Int4FollowsItsBlocks) {
  const int64_t k = 300;
  std::vector<float> x = Normal(k, 2);
  for (int64_t i = 32; i < 64; ++i) x[i] *= 0.03f;  // a block far below its group keeps its own steps
  const std::vector<std::byte> row = Convert(Stored(x, k), 1, DType::kInt4);
  const std::vector<float> got = Values(DType::kInt4, row.data(), k);
  for (int64_t begin = 0; begin < k; begin += 32) {
    const int64_t end = std::min(k, begin + 32);
    EXPECT_LT(RelativeRms({x.begin() + begin, x.begin() + end}, {got.begin() + begin, got.begin() + end}), 0.13)
        << begin;
  }
  for (size_t i = k; i < got.size(); ++i) EXPECT_EQ(got[i], 0);
}

TEST(WeightFormatTest, Int4ClipsWhereThatLeavesLess) {
  const std::vector<float> x = Normal(64 * 128, 3);
  const std::vector<std::byte> rows = Convert(Stored(x, 128), 64, DType::kInt4);
  std::vector<float> got, plain;
  for (int64_t r = 0; r < 64; ++r) {
    const std::vector<float> row = Values(DType::kInt4, rows.data() + r * RowBytes(DType::kInt4, 128), 128);
    got.insert(got.end(), row.begin(), row.end());
  }
  for (size_t begin = 0; begin < x.size(); begin += 32) {  // the largest magnitude at 7, as simple converters do
    float most = 0;
    for (size_t i = begin; i < begin + 32; ++i) most = std::max(most, std::fabs(x[i]));
    for (size_t i = begin; i < begin + 32; ++i) plain.push_back(std::nearbyint(x[i] * 7 / most) * most / 7);
  }
  EXPECT_LT(RelativeRms(x, got), 0.97 * RelativeRms(x, plain));
}

TEST(WeightFormatTest, BF16HoldsE4M3TimesAPowerOfTwo) {
  std::vector<uint8_t> values(256 * 130);  // across a border of scales both ways
  for (size_t i = 0; i < values.size(); ++i) values[i] = (i % 127) | (i % 3 ? 0x80 : 0);
  const std::vector<float> scales = {0.5f, 8.0f, 0x1p-9f, 0x1p-20f};
  const StoredMatrix m{reinterpret_cast<const std::byte*>(values.data()), DType::kF8E4M3,
                       reinterpret_cast<const std::byte*>(scales.data()), 130};
  const std::vector<std::byte> out = Convert(m, 256, DType::kBF16);
  for (int64_t r = 0; r < 256; ++r)
    for (int64_t c = 0; c < 130; ++c) {
      uint16_t half;
      std::memcpy(&half, &out[(r * 130 + c) * 2], 2);
      ASSERT_EQ(FromBF16(half), FromF8E4M3(values[r * 130 + c]) * scales[r / 128 * 2 + c / 128]) << r << ", " << c;
    }
}

TEST(WeightFormatTest, BF16RoundsToEven) {
  const std::vector<float> x = {1 + 0x1p-8f, 1 + 0x3p-8f, -1 - 0x1p-8f, 1 + 0x1.01p-8f};
  const std::vector<std::byte> out = Convert(Stored(x, 4), 1, DType::kBF16);
  std::vector<float> got;
  for (int i = 0; i < 4; ++i) {
    uint16_t half;
    std::memcpy(&half, &out[i * 2], 2);
    got.push_back(FromBF16(half));
  }
  EXPECT_EQ(got, (std::vector<float>{1, 1 + 0x1p-6f, -1, 1 + 0x1p-7f}));
}

TEST(WeightFormatTest, ZerosAndTinyGroupsAreZeros) {
  for (const float value : {0.0f, 1e-38f, 1e-44f})
    for (const DType format : {DType::kInt8, DType::kInt4}) {
      const std::vector<float> x(130, value);
      const std::vector<std::byte> row = Convert(Stored(x, 130), 1, format);
      for (const float v : Values(format, row.data(), 130)) ASSERT_EQ(v, 0);
    }
}

TEST(WeightFormatTest, LargeFloatsDoNotOverflow) {
  const float most = std::numeric_limits<float>::max() / 2;
  const std::vector<float> x = {most, -most, 0, most / 2};
  for (const DType format : {DType::kInt8, DType::kInt4}) {
    const std::vector<std::byte> row = Convert(Stored(x, 4), 1, format);
    const std::vector<float> got = Values(format, row.data(), 4);
    for (int i = 0; i < 4; ++i) EXPECT_NEAR(got[i] / most, x[i] / most, 0.15) << i;
  }
}

TEST(WeightFormatTest, RowsAreConvertedByThemselves) {
  const int64_t k = 200, rows = 9;
  const std::vector<float> x = Normal(rows * k, 4);
  for (const DType format : {DType::kInt8, DType::kInt4, DType::kBF16}) {
    const std::vector<std::byte> all = Convert(Stored(x, k), rows, format);
    std::vector<std::byte> some(3 * RowBytes(format, k));
    ASSERT_TRUE(ConvertRows(Stored(x, k), 4, 7, format, some.data()));
    EXPECT_TRUE(std::equal(some.begin(), some.end(), all.begin() + 4 * RowBytes(format, k)));
  }
}

TEST(WeightFormatTest, WhatIsNotFiniteIsRefused) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {infinity, -infinity, std::nanf("")})
    for (const DType format : {DType::kInt8, DType::kInt4, DType::kBF16}) {
      std::vector<float> x = Normal(3 * 40, 5);
      x[2 * 40 + 39] = bad;
      std::vector<std::byte> out(3 * RowBytes(format, 40));
      EXPECT_FALSE(ConvertRows(Stored(x, 40), 0, 3, format, out.data()));
      EXPECT_TRUE(ConvertRows(Stored(x, 40), 0, 2, format, out.data()));
    }
}

}  // namespace
}  // namespace modelc
