// What a step's batch must satisfy before a kernel sees it, and the sizes it makes.
#ifndef MODELC_CORE_RUNTIME_EXECUTOR_BATCH_H_
#define MODELC_CORE_RUNTIME_EXECUTOR_BATCH_H_

#include "absl/status/statusor.h"
#include "core/program/program.h"
#include "core/runtime/executor/executor.h"

namespace modelc {

// The ranges that hold for every batch of a program.
struct BatchLimits {
  Sizes sizes{};             // the program's limits
  int64_t vocab = 0;
  int64_t hidden = 0;        // floats a row of StepBatch::hidden; 0: the entry takes none
  int64_t pages = 0;         // in each cache
};

// InvalidArgument names the field, the row, the value and its range. Page numbers are checked up to the page of a
// sequence's last position: what follows in its row of the table is never read.
absl::StatusOr<Sizes> CheckBatch(const StepBatch& batch, const BatchLimits& limits);

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_EXECUTOR_BATCH_H_
