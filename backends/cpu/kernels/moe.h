// The kernels of MoEKernels(), a file each.
#ifndef MODELC_BACKENDS_CPU_KERNELS_MOE_H_
#define MODELC_BACKENDS_CPU_KERNELS_MOE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "backends/cpu/kernels/kernel.h"

namespace modelc::cpu {

absl::StatusOr<std::unique_ptr<Kernel>> MakeRoute(const nlohmann::json& attributes);
absl::StatusOr<std::unique_ptr<Kernel>> MakeDispatch(const nlohmann::json& attributes);
absl::StatusOr<std::unique_ptr<Kernel>> MakeCombine(const nlohmann::json& attributes);

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_MOE_H_
