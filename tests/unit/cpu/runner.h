// Runs kernels of the CPU plugin over plain vectors, with any instruction set and team: for tests and benchmarks.
#ifndef MODELC_TESTS_UNIT_CPU_RUNNER_H_
#define MODELC_TESTS_UNIT_CPU_RUNNER_H_

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backends/cpu/device/pool.h"
#include "backends/cpu/device/table.h"
#include "backends/cpu/kernels/kernel.h"

namespace modelc::cpu {

// An operand that owns its memory.
struct Array {
  modelc_dtype dtype = MODELC_F32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;

  template <typename T>
  static Array Of(modelc_dtype dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
    Array a{dtype, std::move(shape), std::vector<std::byte>(values.size() * sizeof(T))};
    if (!values.empty()) std::memcpy(a.bytes.data(), values.data(), a.bytes.size());
    return a;
  }
  static Array Floats(std::vector<int64_t> shape, const std::vector<float>& values) {
    return Of(MODELC_F32, std::move(shape), values);
  }
  static Array Floats(std::vector<int64_t> shape, float value = 0) {
    int64_t n = 1;
    for (int64_t d : shape) n *= d;
    return Floats(std::move(shape), std::vector<float>(n, value));
  }
  static Array Ints(std::vector<int64_t> shape, const std::vector<int32_t>& values) {
    return Of(MODELC_I32, std::move(shape), values);
  }
  static Array Bytes(std::vector<int64_t> shape) {
    return Of(MODELC_U8, shape, std::vector<uint8_t>(shape[0] * shape[1]));
  }
  static Array Random(std::vector<int64_t> shape, uint32_t seed) {
    Array a = Floats(std::move(shape));
    std::mt19937 engine(seed);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < a.bytes.size() / 4; ++i) a.as<float>()[i] = normal(engine);
    return a;
  }

  template <typename T>
  T* as() { return reinterpret_cast<T*>(bytes.data()); }
  template <typename T>
  std::vector<T> values() const {
    const T* p = reinterpret_cast<const T*>(bytes.data());
    return std::vector<T>(p, p + bytes.size() / sizeof(T));
  }

  // A left-out operand is null.
  static Tensor View(Array* a) {
    Tensor t;
    if (!a) return t;
    static std::byte empty[64];
    t.data = a->bytes.empty() ? empty : a->bytes.data();
    t.dtype = a->dtype;
    t.rank = static_cast<int>(a->shape.size());
    for (int d = 0; d < t.rank; ++d) t.shape[d] = a->shape[d];
    return t;
  }
};

// A kernel made for an instruction set.
inline std::unique_ptr<Kernel> MakeKernel(const char* name, const std::string& attributes, Isa isa) {
  setenv("MODELC_CPU_ISA", Name(isa), 1);
  auto kernel = FindKernel(name)->make(nlohmann::json::parse(attributes));
  unsetenv("MODELC_CPU_ISA");
  return kernel.ok() ? *std::move(kernel) : nullptr;
}

// One command on the pool: what submit does.
inline absl::Status Launch(const Kernel& kernel, const std::vector<Array*>& operands, Pool& pool,
                           Traffic* traffic = nullptr) {
  std::vector<Tensor> tensors;
  for (Array* a : operands) tensors.push_back(Array::View(a));
  if (absl::Status s = kernel.Check(tensors); !s.ok()) return s;
  const Traffic t = pool.Run([&](Worker& worker) { kernel.Run(tensors, worker); }).value();
  if (traffic) *traffic = t;
  return absl::OkStatus();
}

// The instruction sets of this machine.
inline std::vector<Isa> HostIsas() {
  std::vector<Isa> all;
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni})
    if (isa <= HostIsa()) all.push_back(isa);
  return all;
}

}  // namespace modelc::cpu

#endif  // MODELC_TESTS_UNIT_CPU_RUNNER_H_
