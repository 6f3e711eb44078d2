#include "core/runtime/executor/weight_format.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "core/support/floats.h"

namespace modelc {
namespace {

constexpr int64_t kGroup = 128;      // columns with one scale; rows and columns of a checkpoint's block too
constexpr int64_t kBlock = 32;       // columns of int4 with one factor
constexpr int64_t kLanes = 8;        // sums and maxima kept apart, so that the compiler may take them at once; divides kBlock
constexpr float kSmallest = 1e-30f;  // a group below it counts as zeros: the inverse of its scale might not be finite

template <typename T>
T Load(const std::byte* from, int64_t i) {
  T value;
  std::memcpy(&value, from + i * sizeof(T), sizeof(T));
  return value;
}

// All values of e4m3, by their bits.
const std::array<float, 256>& E4M3Values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> v;
    for (int bits = 0; bits < 256; ++bits) v[bits] = FromF8E4M3(static_cast<uint8_t>(bits));
    return v;
  }();
  return values;
}

// Row `row` as float32.
void ReadRow(const StoredMatrix& m, int64_t row, float* out) {
  const std::byte* values = m.values + row * m.k * ByteSize(m.dtype);
  if (m.dtype == DType::kF32) {
    std::memcpy(out, values, m.k * sizeof(float));
  } else if (m.dtype == DType::kBF16) {
    for (int64_t i = 0; i < m.k; ++i) out[i] = FromBF16(Load<uint16_t>(values, i));
  } else {
    const std::array<float, 256>& e4m3 = E4M3Values();
    const int64_t blocks = (m.k + kGroup - 1) / kGroup;
    for (int64_t begin = 0; begin < m.k; begin += kGroup) {
      const int64_t end = std::min(m.k, begin + kGroup);
      const float scale = m.scales ? Load<float>(m.scales, row / kGroup * blocks + begin / kGroup) : 1.0f;
      for (int64_t i = begin; i < end; ++i) out[i] = e4m3[static_cast<uint8_t>(values[i])] * scale;
    }
  }
}

// To the nearest integer, ties to even; |v| below 2^22.
float Round(float v) {
  constexpr float kShift = 12582912.0f;  // 1.5·2^23
  return (v + kShift) - kShift;
}

// Of a multiple of kLanes values.
float Largest(const float* x, int64_t n) {
  float most[kLanes] = {};
  for (int64_t i = 0; i < n; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j) most[j] = std::max(most[j], std::fabs(x[i + j]));
  return *std::max_element(most, most + kLanes);
}

// Of a multiple of kLanes values.
bool AllFinite(const float* x, int64_t n) {
  float check[kLanes] = {};  // NaN where a value is not finite
  for (int64_t i = 0; i < n; i += kLanes)
    for (int64_t j = 0; j < kLanes; ++j) check[j] += x[i + j] * 0.0f;
  return std::all_of(check, check + kLanes, [](float v) { return v == 0; });
}

void WriteBF16(const float* x, int64_t k, std::byte* out) {
  for (int64_t i = 0; i < k; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(x[i]);
    const auto half = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    std::memcpy(out + i * sizeof half, &half, sizeof half);
  }
}

// A group of 128: its scale, then the values.
void WriteInt8(const float* x, std::byte* out) {
  const float most = Largest(x, kGroup);
  const float scale = most < kSmallest ? 0 : most / 127;
  const float inverse = scale > 0 ? 1 / scale : 0;
  std::memcpy(out, &scale, sizeof scale);
  auto* q = reinterpret_cast<int8_t*>(out + sizeof scale);
  for (int64_t i = 0; i < kGroup; ++i) q[i] = static_cast<int8_t>(Round(x[i] * inverse));
}

float Nibble(float v) { return Round(std::min(std::max(v, -8.0f), 7.0f)); }

// The factor of a block whose values are given in units of the group's scale: 1 … 255, or 0 for a block of zeros.
float BestFactor(const float* x) {
  const float most = Largest(x, kBlock);
  if (most == 0) return 0;
  // What the largest magnitude becomes: 7 keeps it, more clips it and leaves finer steps to the others.
  constexpr float kLargest[] = {7.0f, 7.4f, 7.8f, 8.3f, 8.8f};
  float best = std::numeric_limits<float>::infinity(), found = 1;
  for (const float largest : kLargest) {
    const float factor = std::clamp(Round(most / largest), 1.0f, 255.0f), inverse = 1 / factor;
    float errors[kLanes] = {};
    for (int64_t i = 0; i < kBlock; i += kLanes)
      for (int64_t j = 0; j < kLanes; ++j) {
        const float d = x[i + j] - factor * Nibble(x[i + j] * inverse);
        errors[j] += d * d;
      }
    const float error = std::accumulate(errors, errors + kLanes, 0.0f);
    if (error >= best) continue;
    best = error;
    found = factor;
  }
  return found;
}

// A group of 128: its scale, the factors of its blocks, then nibbles, the lower ones of even columns.
void WriteInt4(const float* x, std::byte* out) {
  const float most = Largest(x, kGroup);
  const float scale = most < kSmallest ? 0 : most / (7 * 255);
  const float inverse = scale > 0 ? 1 / scale : 0;
  std::memcpy(out, &scale, sizeof scale);
  auto* factors = reinterpret_cast<uint8_t*>(out + sizeof scale);
  uint8_t* nibbles = factors + kGroup / kBlock;
  for (int64_t block = 0; block < kGroup / kBlock; ++block, x += kBlock, nibbles += kBlock / 2) {
    float units[kBlock];
    for (int64_t i = 0; i < kBlock; ++i) units[i] = x[i] * inverse;
    const float factor = BestFactor(units);
    const float inverse_factor = factor > 0 ? 1 / factor : 0;
    factors[block] = static_cast<uint8_t>(factor);
    for (int64_t i = 0; i < kBlock / 2; ++i) {
      const auto even = static_cast<uint8_t>(Nibble(units[2 * i] * inverse_factor) + 8);
      const auto odd = static_cast<uint8_t>(Nibble(units[2 * i + 1] * inverse_factor) + 8);
      nibbles[i] = static_cast<uint8_t>(even | odd << 4);
    }
  }
}

}  // namespace

bool ConvertRows(const StoredMatrix& matrix, int64_t first, int64_t last, DType format, std::byte* out) {
  const int64_t groups = (matrix.k + kGroup - 1) / kGroup;
  std::vector<float> row(groups * kGroup);  // zeros beyond k
  for (int64_t r = first; r < last; ++r, out += RowBytes(format, matrix.k)) {
    ReadRow(matrix, r, row.data());
    if (!AllFinite(row.data(), groups * kGroup)) return false;
    if (format == DType::kBF16) {
      WriteBF16(row.data(), matrix.k, out);
      continue;
    }
    const int64_t bytes = RowBytes(format, kGroup);
    for (int64_t g = 0; g < groups; ++g) {
      const float* group = row.data() + g * kGroup;
      format == DType::kInt8 ? WriteInt8(group, out + g * bytes) : WriteInt4(group, out + g * bytes);
    }
  }
  return true;
}

}  // namespace modelc
