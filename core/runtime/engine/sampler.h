// Chooses a sequence's next token from its logits. The order of steps: repetition penalty (over prompt and generated),
// presence and frequency penalties (over generated), logit_bias, the constraint; then greedy when temperature is 0, else temperature,
// top_k, top_p (the smallest set that reaches it), min_p (relative to the most likely), and a draw.
//
// The draw is an exponential race: token i with weight p_i finishes at -log(u_i) / p_i and the first wins, which picks
// i with probability p_i. u_i is a hash of (seed, position, i) and of nothing else, so a seed gives the same text
// whatever shares the batch, and two logit rows that are close (a draft's and the model's) mostly pick the same token.
// All orders are total: the higher logit first, then the lower id.
#ifndef MODELC_CORE_RUNTIME_ENGINE_SAMPLER_H_
#define MODELC_CORE_RUNTIME_ENGINE_SAMPLER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/runtime/engine.h"

namespace modelc {

// InvalidArgument names the parameter, its value and what it may be.
absl::Status Validate(const SamplingParams& params, int64_t vocab_size);

class Sampler {
 public:
  // `params` are valid; `seed` is the one to use (params.seed or a drawn one).
  Sampler(SamplingParams params, uint64_t seed, absl::Span<const int32_t> prompt,
          std::shared_ptr<TokenConstraint> constraint = nullptr);

  struct Choice {
    int32_t id = 0;
    std::optional<float> logprob;  // with top_logprobs >= 0; of the model's own distribution
    std::vector<TokenLogprob> top_logprobs;
  };
  // The token at `position` of its sequence. Internal when a logit is NaN or +infinity, or none that is allowed is
  // above -infinity.
  absl::StatusOr<Choice> Choose(absl::Span<const float> logits, int64_t position);
  // A guess at what Choose will pick from the logits the model will give: the same steps on a draft's logits, without
  // logprobs. None where those logits are no numbers.
  std::optional<int32_t> Guess(absl::Span<const float> draft_logits, int64_t position);

  // Counts a generated token for the penalties, and takes the constraint on.
  void Accept(int32_t id);

 private:
  absl::StatusOr<int32_t> Pick(absl::Span<const float> logits, int64_t position);
  absl::Status Constrain();
  int32_t Draw(int64_t position);

  const SamplingParams params_;
  const uint64_t seed_;
  const bool penalties_;
  const std::shared_ptr<TokenConstraint> constraint_;
  absl::flat_hash_map<int32_t, int64_t> generated_;  // id → times; prompt ids are there with 0. Empty without penalties
  std::vector<float> logits_;                        // adjusted
  std::vector<double> weights_;
  std::vector<int32_t> candidates_;
};

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_ENGINE_SAMPLER_H_
