#include "core/serving/running_answer.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "core/serving/answer_constraint.h"
#include "core/support/status.h"

namespace modelc {

struct RunningAnswer::Inbox {
  std::mutex mutex;
  std::vector<Arrival> arrivals;
  std::function<void()> wake;
  std::vector<std::atomic<bool>> stopped;  // by choice: its tokens are wanted no more

  explicit Inbox(size_t choices) : stopped(choices) {}

  // On the engine's thread. False ends the sequence.
  bool Put(int choice, const TokenEvent& event) {
    if (stopped[choice].load(std::memory_order_relaxed)) return false;
    const std::lock_guard lock(mutex);
    arrivals.push_back({choice, event, Clock::now()});
    if (arrivals.size() == 1 && wake) wake();
    return true;
  }
};

RunningAnswer::RunningAnswer(const ServedModel& model, AnswerRequest request, std::function<void()> wake)
    : model_(model),
      request_(std::move(request)),
      format_(request_, model.name),
      inbox_(std::make_shared<Inbox>(request_.prompts.size() * request_.n)) {
  inbox_->wake = std::move(wake);
}

RunningAnswer::~RunningAnswer() {
  for (size_t i = 0; i < sequences_.size(); ++i) Stop(static_cast<int>(i));
  const std::lock_guard lock(inbox_->mutex);
  inbox_->wake = nullptr;
}

absl::Status RunningAnswer::Start(const std::vector<std::vector<int32_t>>& prompts, const std::string& cache_salt) {
  for (const std::vector<int32_t>& prompt : prompts) {
    prompt_tokens_ += static_cast<int64_t>(prompt.size());
    if (request_.echo) {
      MODELC_ASSIGN_OR_RETURN(std::string text, model_.tokenizer->Decode(prompt));
      echoes_.push_back(std::move(text));
    }
    for (int64_t i = 0; i < request_.n; ++i) {
      const int index = static_cast<int>(sequences_.size());
      GenerateRequest generate;
      generate.prompt = prompt;
      generate.sampling = request_.sampling;
      if (generate.sampling.seed) *generate.sampling.seed += i;  // the n answers differ
      generate.max_tokens = request_.max_tokens;
      generate.stop_ids = model_.defaults.stop_ids;
      if (request_.grammar) {
        generate.constraint = std::make_shared<AnswerConstraint>(model_.tokenizer, model_.tokens.get(), request_.grammar,
                                                                 model_.defaults.stop_ids, request_.thinking);
      }
      generate.cache_salt = cache_salt;
      generate.on_token = [inbox = inbox_, index](const TokenEvent& event) { return inbox->Put(index, event); };
      MODELC_ASSIGN_OR_RETURN(const uint64_t id, model_.engine->Submit(std::move(generate)));
      sequences_.push_back({Choice(model_.tokenizer, &request_, &model_.defaults.stop_ids), id});
      ++open_;
    }
  }
  return absl::OkStatus();
}

std::vector<Json> RunningAnswer::Take() {
  std::vector<Arrival> arrivals;
  {
    const std::lock_guard lock(inbox_->mutex);
    arrivals.swap(inbox_->arrivals);
  }
  std::vector<Json> out;
  for (const Arrival& arrival : arrivals) {
    if (done_) break;
    Accept(arrival, out);
  }
  return out;
}

void RunningAnswer::Accept(const Arrival& arrival, std::vector<Json>& out) {
  Sequence& sequence = sequences_[arrival.choice];
  if (sequence.choice.finished()) return;
  if (arrival.event.finish == FinishReason::kError) return Fail(arrival.event.status);
  if (arrival.event.finish == FinishReason::kCancelled) return Fail(absl::UnavailableError("the server is shutting down"));
  if (arrival.event.id) Observe(sequence, arrival.at);
  const Choice::Piece piece = sequence.choice.Push(arrival.event);
  Emit(arrival.choice, piece, out);
  if (!sequence.choice.finished()) return;
  if (!arrival.event.finish) Stop(arrival.choice);
  if (--open_ == 0) Finish(out);
}

void RunningAnswer::Emit(int index, const Choice::Piece& piece, std::vector<Json>& out) {
  Sequence& sequence = sequences_[index];
  Choice::Piece echo;
  if (!sequence.opened && request_.echo) echo.delta.content = echoes_[index / request_.n];
  const bool opens = !std::exchange(sequence.opened, true);
  if (!request_.stream) {
    if (!echo.empty()) format_.Gather(index, echo);
    format_.Gather(index, piece);
    return;
  }
  if (opens && request_.chat) out.push_back(format_.OpeningChunk(index));
  if (!echo.empty()) out.push_back(format_.Chunk(index, echo));
  if (!piece.empty()) out.push_back(format_.Chunk(index, piece));
}

void RunningAnswer::Observe(Sequence& sequence, Clock::time_point at) {
  const bool first = sequence.choice.tokens() == 0;
  const double seconds = std::chrono::duration<double>(at - (first ? start_ : sequence.last_token)).count();
  first ? model_.metrics->ObserveFirstToken(seconds) : model_.metrics->ObserveNextToken(seconds);
  sequence.last_token = at;
}

void RunningAnswer::Finish(std::vector<Json>& out) {
  AnswerUsage usage;
  usage.tokens.prompt_tokens = prompt_tokens_;
  for (size_t i = 0; i < sequences_.size(); ++i) {
    const Sequence& sequence = sequences_[i];
    usage.tokens.completion_tokens += sequence.choice.tokens();
    usage.reasoning_tokens += sequence.choice.reasoning_tokens();
    // The n answers of a prompt share it: what the first one found counts.
    if (i % request_.n == 0) usage.tokens.cached_tokens += model_.engine->UsageOf(sequence.engine_id).cached_tokens;
  }
  model_.metrics->CountTokens(usage.tokens);
  if (!request_.stream) {
    out.push_back(format_.Response(usage));
  } else if (request_.include_usage) {
    out.push_back(format_.UsageChunk(usage));
  }
  done_ = true;
}

void RunningAnswer::Fail(absl::Status status) {
  status_ = status.ok() ? absl::InternalError("the engine gave no reason") : std::move(status);
  if (absl::IsResourceExhausted(status_)) status_ = absl::UnavailableError(status_.message());  // ours, not the caller's quota
  done_ = true;
  for (size_t i = 0; i < sequences_.size(); ++i) Stop(static_cast<int>(i));
}

void RunningAnswer::Stop(int index) {
  if (inbox_->stopped[index].exchange(true)) return;
  if (!done_ || !status_.ok()) model_.engine->Cancel(sequences_[index].engine_id);
}

}  // namespace modelc
