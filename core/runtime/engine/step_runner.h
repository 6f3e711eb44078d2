// The engine's view of a model: what Executor offers, as an interface, so that scheduling, sampling and speculation are
// tested on a model whose every mistake shows.
#ifndef MODELC_CORE_RUNTIME_ENGINE_STEP_RUNNER_H_
#define MODELC_CORE_RUNTIME_ENGINE_STEP_RUNNER_H_

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/program/program.h"
#include "core/runtime/engine.h"
#include "core/runtime/executor/executor.h"

namespace modelc {

class StepRunner {
 public:
  virtual ~StepRunner() = default;
  virtual const Program& program() const = 0;
  virtual int64_t pages() const = 0;
  virtual absl::StatusOr<StepOutput> Run(std::string_view entry, const StepBatch& batch) = 0;
  // Bytes read since the last call.
  virtual absl::StatusOr<Device::Counters> ReadCounters() = 0;
};

// An engine over any runner; Engine::Create makes one over an Executor.
absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(std::unique_ptr<StepRunner> runner, const EngineOptions& options);

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_ENGINE_STEP_RUNNER_H_
