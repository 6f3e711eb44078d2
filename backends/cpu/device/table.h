// The plugin's kernels by name, and the manifest that lists them.
#ifndef MODELC_BACKENDS_CPU_DEVICE_TABLE_H_
#define MODELC_BACKENDS_CPU_DEVICE_TABLE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "backends/cpu/kernels/kernel.h"

namespace modelc::cpu {

// Null when there is none of that name.
const KernelEntry* FindKernel(std::string_view name);

// plugins/abi/manifest.md, for a device of these threads and this memory.
std::string Manifest(uint32_t threads, uint64_t memory_bytes);

// Whether the processor runs code generated for `target` (plugins/abi/codegen.md); FailedPrecondition says what it is.
absl::Status CheckTarget(std::string_view target);

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_DEVICE_TABLE_H_
