// Engine::Create: the engine over an Executor.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/runtime/cache/page_cache.h"
#include "core/runtime/engine.h"
#include "core/runtime/engine/step_runner.h"
#include "core/runtime/executor/executor.h"
#include "core/support/status.h"

namespace modelc {
namespace {

class ExecutorRunner final : public StepRunner {
 public:
  explicit ExecutorRunner(std::unique_ptr<Executor> executor) : executor_(std::move(executor)) {}
  const Program& program() const override { return executor_->program(); }
  int64_t pages() const override { return executor_->pages(); }
  absl::StatusOr<StepOutput> Run(std::string_view entry, const StepBatch& batch) override {
    return executor_->Run(entry, batch);
  }
  absl::StatusOr<Device::Counters> ReadCounters() override { return executor_->ReadCounters(); }

 private:
  const std::unique_ptr<Executor> executor_;
};

// Pages for every sequence at full length, unless that is more than `cache_bytes`, or without it than a quarter of what
// the weights leave of the device's memory.
absl::StatusOr<int64_t> CachePages(const Program& program, const Checkpoint& checkpoint, const Device& device,
                                   const EngineOptions& options) {
  int64_t context = program.limits[static_cast<int>(Size::kC)];
  if (options.max_context > 0) context = std::min(context, options.max_context);
  const int64_t sequences = std::min(options.max_sequences, program.limits[static_cast<int>(Size::kS)]);
  const uint64_t page_bytes = static_cast<uint64_t>(Executor::PageBytes(program));
  if (page_bytes == 0) return absl::InvalidArgumentError("the program has no cache; build it again");
  const uint64_t memory = device.info().memory_bytes, weights = checkpoint.total_bytes();
  const uint64_t budget = options.cache_bytes > 0 ? options.cache_bytes : memory > weights ? (memory - weights) / 4 : 0;
  const int64_t pages = std::min<int64_t>(sequences * PagesFor(context), budget / page_bytes);
  if (pages < 1) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "a cache page takes ", page_bytes, " bytes and the cache may have ", budget, "; give the cache more memory"));
  }
  return pages;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(Program program, const Checkpoint& checkpoint,
                                                       std::unique_ptr<Device> device, const EngineOptions& options,
                                                       LoadProgress progress) {
  MODELC_ASSIGN_OR_RETURN(const int64_t pages, CachePages(program, checkpoint, *device, options));
  MODELC_ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                          Executor::Create(std::move(program), checkpoint, std::move(device), pages, progress));
  return MakeEngine(std::make_unique<ExecutorRunner>(std::move(executor)), options);
}

}  // namespace modelc
