// Random weights with the numbers they stand for, and products of them in double precision.
#ifndef MODELC_TESTS_UNIT_CPU_MATMUL_WEIGHTS_H_
#define MODELC_TESTS_UNIT_CPU_MATMUL_WEIGHTS_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "plugins/abi/plugin.h"

namespace modelc::cpu {

// Finite e4m3 by its definition: sign, 4 bits of exponent (bias 7), 3 of mantissa.
inline double E4M3Value(uint8_t b) {
  const int exponent = (b >> 3) & 15, mantissa = b & 7;
  const double value = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  return b & 0x80 ? -value : value;
}

inline bool IsGrouped(modelc_dtype dtype) { return dtype == MODELC_INT8 || dtype == MODELC_INT4; }

// `matrices` weights [rows, k]; block scales when f8e4m3: powers of two where `seed` is even; extremes in int8 and int4.
struct RandomWeights {
  RandomWeights(modelc_dtype dtype, int64_t matrices, int64_t rows, int64_t k, uint32_t seed)
      : dtype(dtype), rows(rows), k(k), values(matrices * rows * k) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    const int64_t row_blocks = (rows + 127) / 128, k_blocks = (k + 127) / 128;
    if (dtype == MODELC_F8E4M3)
      for (int64_t i = 0; i < matrices * row_blocks * k_blocks; ++i)
        scales.push_back(seed % 2 == 0 ? std::exp2(-6.0f - i % 4) : 0.01f * (1 + std::abs(normal(random))));
    const auto put = [&](auto element) {
      const auto* bytes = reinterpret_cast<const std::byte*>(&element);
      data.insert(data.end(), bytes, bytes + sizeof(element));
    };
    if (IsGrouped(dtype)) {
      for (int64_t row = 0; row < matrices * rows; ++row)
        for (int64_t g = 0; g < k_blocks; ++g)
          PutGroup(random, &values[row * k + g * 128], std::min<int64_t>(128, k - g * 128));
      return;
    }
    for (size_t i = 0; i < values.size(); ++i) {
      const int64_t matrix = i / (rows * k), row = i / k % rows, column = i % k;
      if (dtype == MODELC_F8E4M3) {
        uint8_t byte = random();
        if ((byte & 0x7f) == 0x7f) byte ^= 1;  // NaN
        put(byte);
        values[i] = E4M3Value(byte) * scales[(matrix * row_blocks + row / 128) * k_blocks + column / 128];
      } else if (dtype == MODELC_BF16) {
        const uint16_t half = std::bit_cast<uint32_t>(normal(random)) >> 16;
        put(half);
        values[i] = std::bit_cast<float>(uint32_t{half} << 16);
      } else {
        const float value = normal(random);
        put(value);
        values[i] = value;
      }
    }
  }

  // A group of int8 or int4: its scale, for int4 a factor for each 32 columns, and the columns; none beyond `n`.
  void PutGroup(std::mt19937& random, double* to, int64_t n) {
    const bool int8 = dtype == MODELC_INT8;
    std::byte group[132] = {};
    const float scale = 0.01f * (1 + random() % 7);
    std::memcpy(group, &scale, sizeof scale);
    for (int64_t c = 0; c < 128; ++c) {
      const bool extreme = random() % 4 == 0;
      if (int8) {
        const int q = extreme ? (random() % 2 ? 127 : -127) : static_cast<int>(random() % 255) - 127;
        if (c < n) group[4 + c] = static_cast<std::byte>(q), to[c] = double{scale} * q;
        continue;
      }
      if (c % 32 == 0) group[4 + c / 32] = static_cast<std::byte>(extreme ? 255 : random() % 256);
      const int q = c >= n ? 0 : extreme ? (random() % 2 ? 7 : -8) : static_cast<int>(random() % 16) - 8;
      group[8 + c / 2] |= static_cast<std::byte>((q + 8) << (c % 2 ? 4 : 0));
      if (c < n) to[c] = double{scale} * static_cast<int>(group[4 + c / 32]) * q;
    }
    data.insert(data.end(), group, group + (int8 ? 132 : 72));
  }

  double At(int64_t row, int64_t column, int64_t matrix = 0) const {
    return values[(matrix * rows + row) * k + column];
  }

  modelc_dtype dtype;
  int64_t rows, k;
  std::vector<std::byte> data;
  std::vector<float> scales;
  std::vector<double> values;
};

inline std::vector<float> RandomFloats(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> v(n);
  for (float& x : v) x = normal(random);
  return v;
}

// What products with weights of `dtype` see of rows of k activations: int8 in groups of 128 for grouped ones.
inline std::vector<double> Seen(modelc_dtype dtype, const std::vector<float>& x, int64_t k) {
  std::vector<double> out(x.begin(), x.end());
  if (!IsGrouped(dtype)) return out;
  for (size_t row = 0; row < x.size(); row += k)
    for (size_t begin = row; begin < row + k; begin += 128) {
      const size_t end = std::min<size_t>(row + k, begin + 128);
      float most = 0;
      for (size_t i = begin; i < end; ++i) most = std::max(most, std::abs(x[i]));
      const float inverse = most < 1e-30f ? 0 : 127.0f / most, scale = most / 127.0f;
      for (size_t i = begin; i < end; ++i) out[i] = double{std::nearbyint(x[i] * inverse)} * scale;
    }
  return out;
}

// A sum of products and the error that float32 may make in it: a few units in the last place of the sum of magnitudes.
struct Sum {
  double value = 0, magnitude = 0;
  void Add(double a, double b) {
    value += a * b;
    magnitude += std::abs(a * b);
  }
  double tolerance() const { return 2e-6 * magnitude + 1e-12; }
};

}  // namespace modelc::cpu

#endif  // MODELC_TESTS_UNIT_CPU_MATMUL_WEIGHTS_H_
