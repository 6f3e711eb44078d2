// Timed runs of a model on made-up tokens: prefill of a prompt, decoding at a depth.
#ifndef MODELC_TOOLS_MODELC_MEASURE_RUNS_H_
#define MODELC_TOOLS_MODELC_MEASURE_RUNS_H_

#include <cstdint>
#include <map>
#include <random>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/runtime/executor/executor.h"

namespace modelc {

// Repeated timings of one thing.
struct Timing {
  std::vector<double> seconds;
  double median() const;
  double min() const;
  double max() const;
};

struct TimedRun {
  Timing timing;
  Device::Counters read;  // bytes of one run of the timed part
};

// Seconds of each launch of an entry, all its layers together.
using LaunchSeconds = std::map<const Launch*, double>;

// Pages of each cache that a sequence of tokens takes, at least one.
int64_t SequencePages(int64_t tokens);
// A step of `rows` rows that end `sequences` sequences of `context` tokens, logits wanted of the last of each.
Sizes StepSizes(const Program& program, int64_t rows, int64_t sequences, int64_t context);

constexpr int64_t kDecodeSteps = 16;  // timed together

// Sequences of random tokens on pages of their own. Runs the executor directly: no scheduler, no sampler.
class Runs {
 public:
  explicit Runs(Executor& executor);

  // Pages that what is below needs in each cache.
  static int64_t PrefillPages(int64_t depth, int64_t tokens);
  static int64_t DecodePages(int64_t depth, int64_t batch);
  static int64_t LaunchPages(const Sizes& sizes);

  // `tokens` of one sequence that already has `depth`, in chunks of the program's rows, logits for the last: the time to a
  // first token.
  absl::StatusOr<TimedRun> Prefill(int64_t depth, int64_t tokens, int repeat);
  // kDecodeSteps steps of one token for each of `batch` sequences that already have `depth` tokens.
  absl::StatusOr<TimedRun> Decode(int64_t depth, int64_t batch, int repeat);

  // Gives sizes[S] sequences all of their sizes[C] tokens but the last sizes[T], as Launches needs it.
  absl::Status Fill(const Sizes& sizes);
  // Each launch of a step of sizes[T] rows that end sequences of sizes[C] tokens, sizes[S] of them: medians over `repeat`
  // steps. The entry "draft" gets zeros for hidden states.
  absl::StatusOr<LaunchSeconds> Launches(std::string_view entry, const Sizes& sizes, int repeat);

 private:
  // Tokens at positions begin … end-1 of a sequence.
  absl::Status FillSequence(int64_t sequence, int64_t begin, int64_t end, int64_t pages_each, bool want_last);
  absl::Status DecodeSteps(int64_t depth, int64_t batch, int64_t pages_each);
  std::vector<int32_t> RandomIds(int64_t count);
  template <typename Part>
  absl::StatusOr<TimedRun> Time(int repeat, Part&& part);

  Executor& executor_;
  const int64_t chunk_;
  std::mt19937 random_{1};
};

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MEASURE_RUNS_H_
