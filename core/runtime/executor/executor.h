// Runs a kernel program on a device: binds weights, owns arena and cache pages, and turns an entry and a step's sizes into
// the flat command array a plugin takes. Knows no IR and no request. One thread at a time.
#ifndef MODELC_CORE_RUNTIME_EXECUTOR_EXECUTOR_H_
#define MODELC_CORE_RUNTIME_EXECUTOR_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/checkpoint/checkpoint.h"
#include "core/program/program.h"
#include "plugins/loader/plugin.h"

namespace modelc {

// (done bytes, total bytes) while weights are bound.
using LoadProgress = std::function<void(uint64_t, uint64_t)>;

// One step over a flat list of rows: any mix of prefill chunks and decodes.
struct StepBatch {
  absl::Span<const int32_t> ids;     // [T]
  absl::Span<const int32_t> pos;     // [T] position in its sequence
  absl::Span<const int32_t> seq;     // [T] row of `pages`; -1: padding
  absl::Span<const int32_t> pages;   // [S, P] page numbers
  int64_t sequences = 0;             // S
  absl::Span<const int32_t> wanted;  // [N] rows that want logits
  absl::Span<const float> hidden;    // [T, hidden], entry "draft" alone
};

struct StepOutput {
  absl::Span<const float> logits;    // [N, vocab]; valid until the next call
  absl::Span<const float> hidden;    // [T, hidden], every row; empty where the entry has none
};

// A value people compare, seen by a Tap right after its launch: what Launch::tap names, with the layer it ran for.
struct TapValue {
  std::string_view name;             // "hidden", "topk_indices", "experts", "expert_weights", "index_scores", "logits"
  int64_t layer = 0;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;      // a copy
};
// Returns true when it changed `bytes`; they are then written back before the next launch.
using Tap = std::function<bool(TapValue&)>;

// (launch of the program, its layer, seconds from submitting it to its end)
using LaunchTimer = std::function<void(const Launch&, int64_t, double)>;

class Executor {
 public:
  // Binds every weight of the program: shapes and dtypes must be the checkpoint's, scales finite and positive, e4m3
  // values no NaN. Weights whose layout allows it are wrapped in place, the others (stacked experts) copied and their mapped
  // pages given back.
  // Allocates `pages` pages in every cache. The checkpoint must outlive the executor.
  static absl::StatusOr<std::unique_ptr<Executor>> Create(Program program, const Checkpoint& checkpoint,
                                                          std::unique_ptr<Device> device, int64_t pages,
                                                          const LoadProgress& progress);
  ~Executor();

  const Program& program() const;
  const Device& device() const;
  int64_t pages() const;                                 // per cache
  // Bytes one page takes in all layers of all caches.
  static int64_t PageBytes(const Program& program);

  // Runs an entry ("step", "draft"). InvalidArgument when a size exceeds the program's limits or an id its range.
  absl::StatusOr<StepOutput> Run(std::string_view entry, const StepBatch& batch);
  // The same, launch by launch, showing tapped values.
  absl::StatusOr<StepOutput> RunWithTaps(std::string_view entry, const StepBatch& batch, const Tap& tap);

  // The same, launch by launch, with the time each took. A submit for every launch costs a few microseconds that Run does
  // not have.
  absl::StatusOr<StepOutput> RunTimed(std::string_view entry, const StepBatch& batch, const LaunchTimer& timer);

  // Bytes the kernels read so far (zeros where the plugin does not count).
  absl::StatusOr<Device::Counters> ReadCounters();
  uint64_t weight_bytes() const;                         // bound

 private:
  Executor();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_EXECUTOR_EXECUTOR_H_
