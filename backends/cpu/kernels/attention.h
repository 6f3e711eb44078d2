// The kernels of AttentionKernels(), a file each.
#ifndef MODELC_BACKENDS_CPU_KERNELS_ATTENTION_H_
#define MODELC_BACKENDS_CPU_KERNELS_ATTENTION_H_

#include <memory>

#include "absl/status/statusor.h"
#include "backends/cpu/kernels/kernel.h"

namespace modelc::cpu {

absl::StatusOr<std::unique_ptr<Kernel>> MakeLatentAppend(const nlohmann::json& attributes);
absl::StatusOr<std::unique_ptr<Kernel>> MakeLatentAttend(const nlohmann::json& attributes);
absl::StatusOr<std::unique_ptr<Kernel>> MakeExpandedAttend(const nlohmann::json& attributes);

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_ATTENTION_H_
