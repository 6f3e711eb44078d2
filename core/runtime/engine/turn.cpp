#include "core/runtime/engine/turn.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace modelc {
namespace {

// A guess costs about half a step: where fewer than half are right, guessing pauses for some tokens.
constexpr double kWorthwhile = 0.5, kRetry = 0.6, kMemory = 0.97;
constexpr int64_t kPauseTokens = 64;

void CountGuess(Sequence& s, bool right) {
  s.acceptance = kMemory * s.acceptance + (1 - kMemory) * (right ? 1 : 0);
  if (s.acceptance >= kWorthwhile) return;
  s.acceptance = kRetry;
  s.guess_from = s.size() + kPauseTokens;
}

}  // namespace

void Turn::Rows::Clear() {
  for (auto* v : {&ids, &pos, &seq, &wanted}) v->clear();
  hidden.clear();
}

void Turn::Rows::Add(int32_t id, int64_t position, int32_t sequence) {
  ids.push_back(id);
  pos.push_back(static_cast<int32_t>(position));
  seq.push_back(sequence);
}

Turn::Turn(StepRunner* runner, bool speculate, int64_t vocab_size, int64_t hidden_size, Emit emit)
    : runner_(runner), speculate_(speculate), vocab_(vocab_size), hidden_(hidden_size), emit_(std::move(emit)) {}

void Turn::Run(absl::Span<const Slot> slots) {
  Build(slots);
  absl::StatusOr<StepOutput> output = RunRows("step", step_, slots.size());
  if (output.ok() && speculate_ && output->hidden.size() != step_.ids.size() * hidden_) {
    output = absl::InternalError(absl::StrCat("entry 'step' gave ", output->hidden.size(), " hidden values for ",
                                              step_.ids.size(), " rows of ", hidden_));
  }
  if (!output.ok()) {
    for (const Slot& slot : slots) Fail(*slot.sequence, output.status());
    return;
  }
  const auto logits = [&](size_t n) { return output->logits.subspan(n * vocab_, vocab_); };
  size_t wanted = 0;
  for (const Slot& slot : slots) {
    Sequence& s = *slot.sequence;
    s.computed += slot.rows;
    if (s.computed < s.size()) continue;
    const std::optional<int32_t> guess = std::exchange(s.guess, std::nullopt);
    const size_t n = wanted;
    wanted += slot.verify ? 2 : 1;
    const bool goes_on = Take(s, logits(n));
    if (!slot.verify) continue;
    ++drafted_;
    const bool right = s.tokens.back() == *guess;
    CountGuess(s, right);
    if (!goes_on || !right) continue;
    ++accepted_;
    ++s.computed;
    Take(s, logits(n + 1));
  }
  if (speculate_) Draft(slots, output->hidden);
}

absl::StatusOr<StepOutput> Turn::RunRows(std::string_view entry, const Rows& rows, int64_t sequences) {
  StepBatch batch;
  batch.ids = rows.ids;
  batch.pos = rows.pos;
  batch.seq = rows.seq;
  batch.pages = pages_;
  batch.sequences = sequences;
  batch.wanted = rows.wanted;
  batch.hidden = rows.hidden;
  absl::StatusOr<StepOutput> output = runner_->Run(entry, batch);
  if (output.ok() && output->logits.size() != rows.wanted.size() * vocab_) {
    return absl::InternalError(absl::StrCat("entry '", std::string(entry), "' gave ", output->logits.size(),
                                            " logits for ", rows.wanted.size(), " rows of ", vocab_));
  }
  return output;
}

void Turn::Build(absl::Span<const Slot> slots) {
  size_t width = 0;
  for (const Slot& slot : slots) width = std::max(width, slot.sequence->pages.size());
  pages_.assign(slots.size() * width, 0);
  step_.Clear();
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto& [sequence, rows, verify] = slots[i];
    const Sequence& s = *sequence;
    std::copy(s.pages.begin(), s.pages.end(), pages_.begin() + i * width);
    for (int64_t p = s.computed; p < s.computed + rows; ++p) step_.Add(s.tokens[p], p, static_cast<int32_t>(i));
    if (s.computed + rows < s.size()) continue;
    step_.WantLast();
    if (!verify) continue;
    step_.Add(*s.guess, s.size(), static_cast<int32_t>(i));
    step_.WantLast();
  }
}

bool Turn::Take(Sequence& s, absl::Span<const float> logits) {
  absl::StatusOr<Sampler::Choice> choice = s.sampler.Choose(logits, s.size());
  if (!choice.ok()) {
    Fail(s, choice.status());
    return false;
  }
  s.tokens.push_back(choice->id);
  s.sampler.Accept(choice->id);
  TokenEvent event;
  event.id = choice->id;
  event.logprob = choice->logprob;
  event.top_logprobs = std::move(choice->top_logprobs);
  if (std::find(s.stop_ids.begin(), s.stop_ids.end(), choice->id) != s.stop_ids.end()) {
    event.finish = FinishReason::kStop;
  } else if (s.generated() >= s.max_tokens) {
    event.finish = FinishReason::kLength;
  }
  const bool wanted = emit_(s, event);
  s.finished = event.finish ? event.finish : wanted ? s.finished : FinishReason::kCancelled;
  return !s.finished;
}

void Turn::Draft(absl::Span<const Slot> slots, absl::Span<const float> hidden) {
  draft_.Clear();
  std::vector<Sequence*> guessing;
  int32_t row = 0;  // of the step: the slot's first
  for (size_t i = 0; i < slots.size(); ++i) {
    Sequence& s = *slots[i].sequence;
    const int64_t first = step_.pos[row];
    if (s.draft_filled && s.finished != FinishReason::kError) {
      for (int64_t p = first; p < s.computed; ++p) {
        draft_.Add(s.tokens[p + 1], p, static_cast<int32_t>(i));
        const auto h = hidden.subspan((row + p - first) * hidden_, hidden_);
        draft_.hidden.insert(draft_.hidden.end(), h.begin(), h.end());
      }
      if (!s.finished && s.computed + 1 == s.size() && s.generated() + 1 < s.max_tokens && s.size() >= s.guess_from) {
        draft_.WantLast();
        guessing.push_back(&s);
      }
    }
    row += static_cast<int32_t>(slots[i].rows) + (slots[i].verify ? 1 : 0);
  }
  if (draft_.size() == 0) return;
  absl::StatusOr<StepOutput> output = RunRows("draft", draft_, slots.size());
  if (!output.ok()) {
    // Guesses are not worth a request: these sequences go on without.
    for (const Slot& slot : slots) slot.sequence->draft_filled = false;
    return;
  }
  for (size_t n = 0; n < guessing.size(); ++n) {
    Sequence& s = *guessing[n];
    s.guess = s.sampler.Guess(output->logits.subspan(n * vocab_, vocab_), s.size());
  }
}

void Turn::Fail(Sequence& s, const absl::Status& status) {
  s.finished = FinishReason::kError;
  TokenEvent event;
  event.finish = s.finished;
  event.status = status;
  emit_(s, event);
}

}  // namespace modelc
