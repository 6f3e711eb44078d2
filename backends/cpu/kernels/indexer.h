// The kernels of IndexerKernels(), and how their rows and keys are cut.
#ifndef MODELC_BACKENDS_CPU_KERNELS_INDEXER_H_
#define MODELC_BACKENDS_CPU_KERNELS_INDEXER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "backends/cpu/kernels/kernel.h"

namespace modelc::cpu {

absl::StatusOr<std::unique_ptr<Kernel>> MakeIndexAppend(const nlohmann::json& attributes);
absl::StatusOr<std::unique_ptr<Kernel>> MakeIndexLogits(const nlohmann::json& attributes);
absl::StatusOr<std::unique_ptr<Kernel>> MakeIndexSelect(const nlohmann::json& attributes);
absl::StatusOr<std::unique_ptr<Kernel>> MakeBlockScores(const nlohmann::json& attributes);
absl::StatusOr<std::unique_ptr<Kernel>> MakeWindowScores(const nlohmann::json& attributes);
absl::StatusOr<std::unique_ptr<Kernel>> MakeIndexLogitsSelect(const nlohmann::json& attributes);

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_INDEXER_H_
