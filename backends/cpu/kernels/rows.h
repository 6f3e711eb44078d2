// The row families' table rows, file by file; rows.cpp joins them into RowKernels().
#ifndef MODELC_BACKENDS_CPU_KERNELS_ROWS_H_
#define MODELC_BACKENDS_CPU_KERNELS_ROWS_H_

#include "absl/types/span.h"
#include "backends/cpu/kernels/kernel.h"

namespace modelc::cpu {

absl::Span<const KernelEntry> MoveKernels();      // embed, take_rows, copy, concat, add
absl::Span<const KernelEntry> NormKernels();      // rms_norm, add_rms_norm, layer_norm
absl::Span<const KernelEntry> RopeKernels();      // rope
absl::Span<const KernelEntry> QuantizeKernels();  // hadamard, fake_quantize

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_ROWS_H_
