#include "plugins/conformance/tensor.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace modelc::conformance {
namespace {

constexpr int64_t kBlock = 128;

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

HostTensor Blank(modelc_dtype dtype, Shape shape) {
  HostTensor t;
  t.dtype = dtype;
  const int64_t k = shape.empty() ? 1 : shape.back();
  t.bytes.resize(static_cast<size_t>(k == 0 ? 0 : Elements(shape) / k * RowBytes(dtype, k)));
  t.shape = std::move(shape);
  return t;
}

// A group of 128 columns of an int8 or int4 weight.
constexpr int64_t kInt8Bytes = 4 + 128, kInt4Bytes = 4 + 4 + 64;

float ScaleOf(const std::byte* group) {
  float scale;
  std::memcpy(&scale, group, sizeof scale);
  return scale;
}

double ValueInt8(const std::byte* group, int64_t column) {
  return static_cast<double>(ScaleOf(group)) * static_cast<int8_t>(group[4 + column]);
}

double ValueInt4(const std::byte* group, int64_t column) {
  const auto factor = static_cast<uint8_t>(group[4 + column / 32]);
  const auto pair = static_cast<uint8_t>(group[8 + column / 2]);
  return static_cast<double>(ScaleOf(group)) * factor * ((column % 2 ? pair >> 4 : pair & 15) - 8);
}

// Fills the groups of an int8 or int4 weight; columns beyond the row are zeros.
void FillGroups(Random& random, HostTensor& t, double deviation) {
  const int64_t k = t.shape.back(), groups = CeilDiv(k, kBlock);
  const bool int8 = t.dtype == MODELC_INT8;
  const int64_t size = int8 ? kInt8Bytes : kInt4Bytes;
  for (int64_t i = 0; i < static_cast<int64_t>(t.bytes.size()) / size; ++i) {
    std::byte* group = t.bytes.data() + i * size;
    const int64_t columns = std::min(kBlock, k - i % groups * kBlock);
    const double unit = int8 ? 50 : 3 * 100;  // what the integers spread by
    const auto scale = static_cast<float>(random.Below(16) == 0 ? 0 : deviation / unit * (0.5 + 0.125 * random.Below(8)));
    std::memcpy(group, &scale, sizeof scale);
    if (int8) {
      for (int64_t c = 0; c < columns; ++c) group[4 + c] = static_cast<std::byte>(random.Below(255) - 127);
      continue;
    }
    for (int64_t b = 0; b < 4; ++b) group[4 + b] = static_cast<std::byte>(random.Below(256));
    for (int64_t c = 0; c < kBlock; c += 2) {
      const int64_t low = c < columns ? random.Below(16) : 8, high = c + 1 < columns ? random.Below(16) : 8;
      group[8 + c / 2] = static_cast<std::byte>(low | high << 4);
    }
  }
}

// The e4m3 round trip in groups of 128.
void RoundE4M3(double* row, int64_t n) {
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t end = std::min(n, begin + kBlock);
    double amax = 0;
    for (int64_t i = begin; i < end; ++i) amax = std::max(amax, std::fabs(row[i]));
    const double scale = PowerOfTwoScale(amax);
    for (int64_t i = begin; i < end; ++i) row[i] = DecodeE4M3(EncodeE4M3(row[i] / scale)) * scale;
  }
}

// The int8 round trip in groups of 128, as ops.md says.
void RoundInt8(double* row, int64_t n) {
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    constexpr float kLeast = 1e-30f;  // below it a group counts as zeros
    double *first = row + begin, *last = first + std::min(n - begin, kBlock);
    if (std::all_of(first, last, [](double v) { return std::fabs(static_cast<float>(v)) < kLeast; })) {
      std::fill(first, last, 0.0);
      continue;
    }
    const Int8Row group = RoundToInt8(first, last - first, kLeast);
    std::transform(group.values.begin(), group.values.end(), row + begin, [&](int8_t v) { return v * group.scale; });
  }
}

// Where in `scale` the factor of element i of a block-quantized weight lies.
class BlockIndex {
 public:
  explicit BlockIndex(const Shape& shape) : k_(shape.back()), n_(shape[shape.size() - 2]) {}
  int64_t count(const Shape& shape) const { return Elements(shape) / std::max<int64_t>(n_ * k_, 1) * blocks(); }
  int64_t operator()(int64_t i) const {
    const int64_t matrix = i / (n_ * k_), row = i / k_ % n_, column = i % k_;
    return matrix * blocks() + row / kBlock * CeilDiv(k_, kBlock) + column / kBlock;
  }

 private:
  int64_t blocks() const { return CeilDiv(n_, kBlock) * CeilDiv(k_, kBlock); }
  int64_t k_, n_;
};

}  // namespace

int64_t Elements(const Shape& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

int64_t RowBytes(modelc_dtype dtype, int64_t k) {
  switch (dtype) {
    case MODELC_F32:
    case MODELC_I32:
      return 4 * k;
    case MODELC_BF16:
      return 2 * k;
    case MODELC_F8E4M3:
    case MODELC_U8:
      return k;
    case MODELC_INT8:
      return CeilDiv(k, kBlock) * kInt8Bytes;
    case MODELC_INT4:
      return CeilDiv(k, kBlock) * kInt4Bytes;
  }
  return 0;
}

const char* Name(modelc_dtype dtype) {
  switch (dtype) {
    case MODELC_F32:
      return "f32";
    case MODELC_BF16:
      return "bf16";
    case MODELC_F8E4M3:
      return "f8e4m3";
    case MODELC_I32:
      return "i32";
    case MODELC_U8:
      return "u8";
    case MODELC_INT8:
      return "int8";
    case MODELC_INT4:
      return "int4";
  }
  return "?";
}

double DecodeE4M3(uint8_t bits) {
  const int exponent = bits >> 3 & 15, mantissa = bits & 7;
  const double sign = bits & 0x80 ? -1 : 1;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<double>::quiet_NaN();
  return exponent == 0 ? sign * std::ldexp(mantissa, -9) : sign * std::ldexp(8 + mantissa, exponent - 10);
}

uint8_t EncodeE4M3(double value) {
  const uint8_t sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value)) return sign | 0x7f;
  const double magnitude = std::min(std::fabs(value), 448.0);
  // Spacing of representable numbers around the magnitude: 2^-9 below 2^-6, then 3 bits of mantissa.
  int exponent = magnitude == 0 ? -6 : std::max(std::ilogb(magnitude), -6);
  double steps = std::nearbyint(std::ldexp(magnitude, 3 - exponent));
  if (steps == 16) {  // rounded up to the next power of two
    steps = 8;
    ++exponent;
  }
  return sign | (steps < 8 ? static_cast<uint8_t>(steps)
                           : static_cast<uint8_t>((exponent + 7) << 3 | (static_cast<int>(steps) - 8)));
}

double DecodeBF16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

uint16_t EncodeBF16(double value) {
  const uint32_t bits = std::bit_cast<uint32_t>(static_cast<float>(value));
  if (std::isnan(value)) return 0x7fc0;
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

double PowerOfTwoScale(double amax) { return std::exp2(std::ceil(std::log2(std::max(amax, 1e-4) / 448))); }

Int8Row RoundToInt8(const double* values, int64_t n, float least) {
  if (!std::all_of(values, values + n, [](double v) { return std::isfinite(static_cast<float>(v)); }))
    return {std::vector<int8_t>(n), std::numeric_limits<float>::quiet_NaN()};
  float amax = least;
  for (int64_t i = 0; i < n; ++i) amax = std::max(amax, std::fabs(static_cast<float>(values[i])));
  const float inverse = 127.0f / amax;
  Int8Row row{std::vector<int8_t>(n), amax / 127.0f};
  for (int64_t i = 0; i < n; ++i)
    row.values[i] = static_cast<int8_t>(std::nearbyint(static_cast<float>(values[i]) * inverse));
  return row;
}

void RoundActivations(const std::string& act, double* row, int64_t n) {
  if (act == "e4m3_1x128_pow2") RoundE4M3(row, n);
  if (act == "int8_1x128") RoundInt8(row, n);
}

Random::Random(std::string_view seed) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a, so that a case has the same numbers everywhere
  for (char c : seed) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  engine_.seed(hash);
}

std::vector<int32_t> Random::Permutation(int64_t n) {
  std::vector<int32_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  for (int64_t i = n - 1; i > 0; --i) std::swap(order[i], order[Below(i + 1)]);
  return order;
}

HostTensor F32(Shape shape, const Values& values) {
  HostTensor t = Blank(MODELC_F32, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) t.as<float>()[i] = static_cast<float>(values[i]);
  return t;
}

HostTensor I32(Shape shape, const std::vector<int32_t>& values) {
  HostTensor t = Blank(MODELC_I32, std::move(shape));
  std::copy(values.begin(), values.end(), t.as<int32_t>());
  return t;
}

HostTensor NormalF32(Random& random, Shape shape, double deviation, double mean) {
  Values values(Elements(shape));
  for (double& v : values) v = mean + deviation * random.Normal();
  return F32(std::move(shape), values);
}

HostTensor Weight(Random& random, modelc_dtype dtype, Shape shape, double deviation) {
  if (dtype == MODELC_F32) return NormalF32(random, std::move(shape), deviation);
  HostTensor t = Blank(dtype, std::move(shape));
  if (dtype == MODELC_INT8 || dtype == MODELC_INT4) {
    FillGroups(random, t, deviation);
    return t;
  }
  const int64_t n = Elements(t.shape);
  // Drawn from a bag, as a weight of the published model has millions of values.
  std::array<uint16_t, 4096> bag;
  for (uint16_t& code : bag) {
    code = dtype == MODELC_BF16 ? EncodeBF16(deviation * random.Normal()) : EncodeE4M3(64 * random.Normal());
  }
  if (dtype == MODELC_BF16) {
    for (int64_t i = 0; i < n; ++i) t.as<uint16_t>()[i] = bag[random.Below(bag.size())];
    return t;
  }
  const BlockIndex block(t.shape);
  t.scale.resize(block.count(t.shape));
  for (float& s : t.scale) s = static_cast<float>(deviation / 64 * (0.5 + 0.125 * random.Below(8)));
  for (int64_t i = 0; i < n; ++i) t.as<uint8_t>()[i] = static_cast<uint8_t>(bag[random.Below(bag.size())]);
  return t;
}

HostTensor Output(modelc_dtype dtype, Shape shape) {
  HostTensor t = Blank(dtype, std::move(shape));
  t.role = HostTensor::Role::kOutput;
  if (dtype == MODELC_F32) std::fill_n(t.as<float>(), Elements(t.shape), kBlankF32);
  if (dtype == MODELC_I32) std::fill_n(t.as<int32_t>(), Elements(t.shape), kBlankI32);
  return t;
}

HostTensor LeftOut() {
  HostTensor t;
  t.left_out = true;
  return t;
}

Values ToValues(const HostTensor& t) {
  Values values(t.left_out ? 0 : Elements(t.shape));
  const int64_t n = static_cast<int64_t>(values.size());
  switch (t.dtype) {
    case MODELC_F32:
      std::copy_n(t.as<float>(), n, values.begin());
      break;
    case MODELC_I32:
      std::copy_n(t.as<int32_t>(), n, values.begin());
      break;
    case MODELC_U8:
      std::copy_n(t.as<uint8_t>(), n, values.begin());
      break;
    case MODELC_BF16:
      std::transform(t.as<uint16_t>(), t.as<uint16_t>() + n, values.begin(), DecodeBF16);
      break;
    case MODELC_F8E4M3:
      std::transform(t.as<uint8_t>(), t.as<uint8_t>() + n, values.begin(), DecodeE4M3);
      if (!t.scale.empty()) {
        const BlockIndex block(t.shape);
        for (int64_t i = 0; i < n; ++i) values[i] *= t.scale[block(i)];
      }
      break;
    case MODELC_INT8:
    case MODELC_INT4: {
      const int64_t k = t.shape.back(), row_bytes = RowBytes(t.dtype, k);
      const bool int8 = t.dtype == MODELC_INT8;
      for (int64_t i = 0; i < n; ++i) {
        const int64_t column = i % k;
        const std::byte* group = &t.bytes[i / k * row_bytes + column / kBlock * (int8 ? kInt8Bytes : kInt4Bytes)];
        values[i] = int8 ? ValueInt8(group, column % kBlock) : ValueInt4(group, column % kBlock);
      }
      break;
    }
  }
  return values;
}

}  // namespace modelc::conformance
