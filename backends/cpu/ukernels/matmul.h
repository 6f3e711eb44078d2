// Matrix products of the CPU plugin, one table of functions per instruction set. A ukernel works on one tile in one
// thread: it allocates nothing, calls nothing and keeps no state; the kernels (../kernels) split the work and own the
// memory.
//
// Weights stay as the checkpoint has them, [rows, k] row-major, and are widened in registers (few rows of x) or once
// into a float panel in L1 (many). Both ways keep one order of arithmetic, so a result never depends on how many rows
// were asked for together: an output is `lanes` float sums that run over k in order, added up by halves at the end.
// The order differs between instruction sets and between weight dtypes. Weights in int8 and int4 are multiplied with
// rows that `pack` has rounded to int8; their sums are integers over groups of 128 columns (integers.inl).
//
// A widened weight is float(w)·scale rounded to float32: exact when the scale is a power of two. Scales must be below
// 2^7 (the difference of the exponent biases rides on them), and activations times a scale below 2^47: where a few rows
// meet scales that are powers of two, the rows carry them. The NaN bytes of e4m3 (0x7f, 0xff) widen to ±480·scale.
#ifndef MODELC_BACKENDS_CPU_UKERNELS_MATMUL_H_
#define MODELC_BACKENDS_CPU_UKERNELS_MATMUL_H_

#include <cstddef>
#include <cstdint>

#include "plugins/abi/plugin.h"

namespace modelc::cpu {

// Consecutive rows of a weight matrix.
struct WeightRows {
  const void* data = nullptr;       // the first of them
  modelc_dtype dtype = MODELC_F32;  // f8e4m3, bf16, f32, and for dot int8 or int4
  int64_t count = 0;
  int64_t k = 0;                 // elements in a row
  const float* scale = nullptr;  // block scales of the whole matrix, [⌈rows/128⌉, ⌈k/128⌉]; null unless f8e4m3
  int64_t first = 0;             // number of the first row in that matrix
};

// Rows of activations; `index` picks them, or is null for 0, 1, 2 …
struct InputRows {
  const float* data = nullptr;
  int64_t stride = 0;  // floats from row to row
  int64_t count = 0;
  const int32_t* index = nullptr;
};

struct OutputRows {
  float* data = nullptr;
  int64_t stride = 0;  // floats from row to row
};

struct MatmulUkernels {
  static constexpr int64_t kMaxInputs = 64;   // rows of x in one call of dot or accumulate
  static constexpr int64_t kMaxWeights = 96;  // rows of w in one call of dot

  // Bytes of scratch (64-byte aligned) that dot and accumulate want.
  size_t scratch;
  // Floats that the room for a packed row of k activations takes, whatever the weights; keeps rows 64-byte aligned.
  int64_t (*packed)(int64_t k);
  // Brings a row of k activations into the form dot wants for weights of `dtype`: floats in the order they are widened
  // in, zeros at the end; for int8 and int4 rounded to integers, with a scale for each group.
  void (*pack)(modelc_dtype dtype, const float* x, int64_t k, float* out);
  // out[t][n] = x[t]·w[n] with x packed.
  void (*dot)(const WeightRows& w, const InputRows& x, const OutputRows& out, std::byte* scratch);
  // out[t][c] = Σ_r x[t][r]·w[r][c], r over the weight rows, c over 0…k-1, with x plain.
  void (*accumulate)(const WeightRows& w, const InputRows& x, const OutputRows& out, std::byte* scratch);
  // gate[i] = silu(gate[i])·up[i]
  void (*silu_mul)(float* gate, const float* up, int64_t n);
};

extern const MatmulUkernels kMatmulPortable, kMatmulAvx2, kMatmulAvx512, kMatmulAvx512Vnni;

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_UKERNELS_MATMUL_H_
