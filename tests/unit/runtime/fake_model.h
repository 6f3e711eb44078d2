// A model whose every mistake of the engine shows: its logits are a hash of all ids of the sequence, read back through
// the page table from the pages that earlier rows wrote. A page shared wrongly, reused too early, or a row that is not
// computed changes the text.
#ifndef MODELC_TESTS_UNIT_RUNTIME_FAKE_MODEL_H_
#define MODELC_TESTS_UNIT_RUNTIME_FAKE_MODEL_H_

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "core/runtime/engine/step_runner.h"

namespace modelc {

struct FakeOptions {
  int64_t pages = 64;
  int64_t vocab = 50;
  int64_t max_rows = 512;
  int64_t max_sequences = 16;
  int64_t max_context = 4096;
  bool draft_entry = false;
  int draft_misses_of_8 = 2;  // in eight drafts
};

// What the model saw, for the tests to look at; outlives the engine.
struct FakeLog {
  absl::Mutex mutex;
  // Called before a step is run, with its batch; an error is the step's result.
  std::function<absl::Status(std::string_view, const StepBatch&)> before;
  std::vector<std::string> mistakes;  // broken promises of the batch itself
  int64_t step_rows = 0, steps = 0, draft_rows = 0;
};

// The token a lone greedy sequence of these ids generates next, from the definition.
int32_t FakeNext(const FakeOptions& options, absl::Span<const int32_t> ids);
// Logits of the next token.
std::vector<float> FakeLogits(const FakeOptions& options, absl::Span<const int32_t> ids);

std::unique_ptr<StepRunner> NewFake(const FakeOptions& options, FakeLog* log);

}  // namespace modelc

#endif  // MODELC_TESTS_UNIT_RUNTIME_FAKE_MODEL_H_
