// Weights in another format than the checkpoint's: what a program's weight with a `format` becomes when it is bound.
// int8 and int4 are those of plugins/abi/ops.md.
#ifndef MODELC_CORE_RUNTIME_EXECUTOR_WEIGHT_FORMAT_H_
#define MODELC_CORE_RUNTIME_EXECUTOR_WEIGHT_FORMAT_H_

#include <cstddef>
#include <cstdint>

#include "core/support/dtype.h"

namespace modelc {

// A matrix [rows, k] as the checkpoint stores it.
struct StoredMatrix {
  const std::byte* values = nullptr;
  DType dtype = DType::kF32;          // f32, bf16 or f8e4m3
  const std::byte* scales = nullptr;  // float32 factors of 128 x 128 blocks, or null
  int64_t k = 0;
};

// Writes rows first … last - 1 in `format` (bf16, int8 or int4), RowBytes(format, k) each. False where a value is not
// finite; what is written is then worth nothing.
//
// bf16 rounds to nearest, ties to even: e4m3 times a power of two stays exact. int8: a group's scale is its largest
// magnitude / 127. int4: a block of 32 has the factor that leaves the least squared error among those around its
// largest magnitude / 7; the scale of a group lets the largest factor be 255.
bool ConvertRows(const StoredMatrix& matrix, int64_t first, int64_t last, DType format, std::byte* out);

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_EXECUTOR_WEIGHT_FORMAT_H_
