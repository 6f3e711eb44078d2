// How well a model predicts known answers, and how much of the dense attention's mass lies on what it selects.
#ifndef MODELC_TOOLS_MODELC_MEASURE_QUALITY_H_
#define MODELC_TOOLS_MODELC_MEASURE_QUALITY_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/runtime/executor/executor.h"

namespace modelc {

// A prompt and the answer that should follow it.
struct KnownAnswer {
  std::vector<int32_t> ids;  // both
  int64_t prompt = 0;        // tokens of the prompt; at least 1 and fewer than ids
};

struct Quality {
  int64_t answers = 0, exact = 0;   // exact: every token of the answer was the most probable one, as greedy decoding takes
  int64_t tokens = 0;               // of answers
  double log_likelihood = 0;        // of those, natural
  double mass = 0;                  // attention of the rows that predict answers, summed over rows, heads and layers …
  int64_t masses = 0;               // … and how many

  double accuracy() const { return answers == 0 ? 0 : static_cast<double>(exact) / static_cast<double>(answers); }
  double perplexity() const;
  // Of the softmax over all positions a row sees, the share on the positions its layer selected; 1 where all are. Nothing
  // where attention has no queries in latent space to tell it by (mla.attend_expanded).
  std::optional<double> recall() const {
    if (masses == 0) return std::nullopt;
    return mass / static_cast<double>(masses);
  }
};

// Makes the attention ops of `program` show what recall needs. Before Executor::Create.
void TapAttention(Program& program);

// Runs one answer, teacher-forced, through the entry "step" of a program TapAttention has seen, and adds to `quality`. The
// cache needs SequencePages(ids) pages.
absl::Status AddAnswer(Executor& executor, const KnownAnswer& answer, Quality& quality);

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MEASURE_QUALITY_H_
