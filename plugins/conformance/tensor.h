// Tensors in host memory, and the number formats of the ABI written from their definitions: what the cases of the
// conformance suite are made of. Shares no code with any backend.
#ifndef MODELC_PLUGINS_CONFORMANCE_TENSOR_H_
#define MODELC_PLUGINS_CONFORMANCE_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/abi/plugin.h"

namespace modelc::conformance {

using Values = std::vector<double>;
using Shape = std::vector<int64_t>;

int64_t Elements(const Shape& shape);
// Bytes of a row of k numbers; those of int8 and int4 are groups of 128.
int64_t RowBytes(modelc_dtype dtype, int64_t k);
const char* Name(modelc_dtype dtype);  // "f32", as manifest.md writes it

// OCP e4m3fn: nearest, ties to even, beyond 448 saturates.
uint8_t EncodeE4M3(double value);
double DecodeE4M3(uint8_t bits);
// Nearest, ties to even.
uint16_t EncodeBF16(double value);
double DecodeBF16(uint16_t bits);
// 2^ceil(log2(max(amax, 1e-4) / 448)).
double PowerOfTwoScale(double amax);
// n values, each as the nearest of 255 steps of max |value| (at least `least`) / 127, in float32 as ops.md says.
struct Int8Row {
  std::vector<int8_t> values;
  double scale;  // a float32
};
Int8Row RoundToInt8(const double* values, int64_t n, float least);
// The round trip of a row of activations that the attribute `act` (ops.md) asks for; "none" leaves it.
void RoundActivations(const std::string& act, double* row, int64_t n);

struct HostTensor {
  enum class Role : uint8_t { kInput, kOutput, kInOut };

  modelc_dtype dtype = MODELC_F32;
  Shape shape;
  std::vector<std::byte> bytes;
  std::vector<float> scale;  // of block-quantized weights: [..., ceil(N/128), ceil(K/128)]
  Role role = Role::kInput;
  bool per_row = false;   // the first dimension counts rows, each computed on its own
  bool left_out = false;  // passed without a buffer

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(bytes.data());
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(bytes.data());
  }
  HostTensor& PerRow() {
    per_row = true;
    return *this;
  }
  HostTensor& InOut() {
    role = Role::kInOut;
    return *this;
  }
};

// What an output holds before the kernel runs, to see what it leaves alone.
inline constexpr float kBlankF32 = -12345.0f;
inline constexpr int32_t kBlankI32 = -12345;

// Deterministic for a seed.
class Random {
 public:
  explicit Random(std::string_view seed);
  double Normal() { return normal_(engine_); }
  int64_t Below(int64_t n) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(n)); }
  std::vector<int32_t> Permutation(int64_t n);

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
};

HostTensor F32(Shape shape, const Values& values);
HostTensor I32(Shape shape, const std::vector<int32_t>& values);
HostTensor NormalF32(Random& random, Shape shape, double deviation = 1, double mean = 0);
// A weight of any dtype; e4m3 gets block scales over the last two dimensions that differ from block to block, int8 and int4
// a scale for each group (and int4 a factor for each block of 32), some of them 0.
HostTensor Weight(Random& random, modelc_dtype dtype, Shape shape, double deviation = 1);
HostTensor Output(modelc_dtype dtype, Shape shape);
HostTensor LeftOut();

// The tensor's numbers, dequantized; u8 as 0…255.
Values ToValues(const HostTensor& tensor);

}  // namespace modelc::conformance

#endif  // MODELC_PLUGINS_CONFORMANCE_TENSOR_H_
