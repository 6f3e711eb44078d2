// One turn of the engine: runs the planned rows through the model, chooses tokens, verifies guesses and drafts new
// ones.
//
// Speculation. A sequence with a guess g for its next token runs two rows, its last token and g. The first row's logits
// give the real next token, chosen as without speculation; only when it equals g does the second row count, and its
// logits give one token more. So the text is the same as without, sampled or greedy, whatever was guessed. Then the
// draft entry (the MTP layer: hidden state of t and id of t+1 → logits of t+2) runs over every row the turn made final,
// prompt rows included: that keeps the draft layer's cache as full as the others', and the last row's logits give the
// next guess, picked by the sequence's own sampler with the random numbers that will pick the real token.
#ifndef MODELC_CORE_RUNTIME_ENGINE_TURN_H_
#define MODELC_CORE_RUNTIME_ENGINE_TURN_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "core/runtime/engine/scheduler.h"
#include "core/runtime/engine/step_runner.h"

namespace modelc {

class Turn {
 public:
  // Called for every token and end; false ends the sequence.
  using Emit = std::function<bool(Sequence&, const TokenEvent&)>;

  Turn(StepRunner* runner, bool speculate, int64_t vocab_size, int64_t hidden_size, Emit emit);

  // Sets Sequence::finished of those that ended. A failed step ends all of its sequences with its status.
  void Run(absl::Span<const Slot> slots);

  int64_t drafted() const { return drafted_; }
  int64_t accepted() const { return accepted_; }

 private:
  // Rows of one run of an entry, as StepBatch views them.
  struct Rows {
    std::vector<int32_t> ids, pos, seq, wanted;
    std::vector<float> hidden;
    int32_t size() const { return static_cast<int32_t>(ids.size()); }
    void Clear();
    void Add(int32_t id, int64_t position, int32_t sequence);
    void WantLast() { wanted.push_back(size() - 1); }
  };

  absl::StatusOr<StepOutput> RunRows(std::string_view entry, const Rows& rows, int64_t sequences);
  void Build(absl::Span<const Slot> slots);
  // Takes the token that `logits` give. False when the sequence has ended with it.
  bool Take(Sequence& sequence, absl::Span<const float> logits);
  void Draft(absl::Span<const Slot> slots, absl::Span<const float> hidden);
  void Fail(Sequence& sequence, const absl::Status& status);

  StepRunner* const runner_;
  const bool speculate_;
  const int64_t vocab_, hidden_;  // widths of a row of logits, of hidden
  const Emit emit_;
  std::vector<int32_t> pages_;  // [S, P] of the turn
  Rows step_, draft_;
  int64_t drafted_ = 0, accepted_ = 0;
};

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_ENGINE_TURN_H_
