// What the matrix product kernels share: weights as tensors, rows packed by the team, tiles of a product.
#ifndef MODELC_BACKENDS_CPU_KERNELS_LINEAR_H_
#define MODELC_BACKENDS_CPU_KERNELS_LINEAR_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/kernel.h"
#include "backends/cpu/simd/simd.h"
#include "backends/cpu/ukernels/matmul.h"
#include "nlohmann/json.hpp"

namespace modelc::cpu {

// The ukernels for this machine.
const MatmulUkernels& HostMatmul();

// What is done to a row of activations before the product.
enum class Act { kNone, kRoundE4M3, kRoundInt8 };

// Reads the attribute `act`, the only one of an op.
absl::Status ReadAct(const nlohmann::json& attributes, Act* act);

inline constexpr std::initializer_list<modelc_dtype> kFloatWeights = {MODELC_F8E4M3, MODELC_BF16, MODELC_F32};
inline constexpr std::initializer_list<modelc_dtype> kWeights = {MODELC_F8E4M3, MODELC_BF16, MODELC_F32, MODELC_INT8,
                                                                 MODELC_INT4};

// What a TensorSpec cannot say of a weight: it has elements, block scales where its dtype wants them, and goes with
// `act`.
absl::Status CheckWeight(const char* name, const Tensor& w, Act act);
absl::Status CheckSameDtype(const Tensor& gate, const Tensor& up);

// Bytes of `rows` rows of a weight with their scales.
uint64_t WeightBytes(const Tensor& w, int64_t rows);

// Rows first … first+count-1 of a weight [N, K], or of matrix number `matrix` of a weight [E, N, K].
WeightRows RowsOf(const Tensor& w, int64_t matrix, int64_t first, int64_t count);

// x [rows, k] packed for weights of `dtype`, rounded as `act` says; every worker calls it. They live as long as the
// command.
InputRows PackRows(const MatmulUkernels& ukernels, const Simd& simd, const float* x, int64_t rows, int64_t k,
                   modelc_dtype dtype, Act act, Worker& worker);

// Weight rows in a tile, so that `rows` of them make some tiles for every worker; at most MatmulUkernels::kMaxWeights.
int64_t TileRows(int64_t rows, const Worker& worker);

// Runs tiles of a product in the worker's scratch memory.
class TileRunner {
 public:
  TileRunner(const MatmulUkernels& ukernels, Worker& worker);
  // out[t] = w·x[t] for all rows of packed x; with `up` (as many rows as w), out[t] = silu(w·x[t]) * (up·x[t]).
  void Run(const WeightRows& w, const WeightRows* up, InputRows x, OutputRows out) const;

 private:
  const MatmulUkernels& ukernels_;
  std::byte* const scratch_;
  float* const up_;
};

absl::StatusOr<std::unique_ptr<Kernel>> MakeHeadLinear(const nlohmann::json& attributes);

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_LINEAR_H_
