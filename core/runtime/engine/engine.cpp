#include "core/runtime/engine.h"

#include <algorithm>
#include <deque>
#include <new>
#include <random>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "core/runtime/engine/scheduler.h"
#include "core/runtime/engine/step_runner.h"
#include "core/runtime/engine/turn.h"
#include "core/support/status.h"

namespace modelc {
namespace {

constexpr size_t kKeptUsages = 1024;  // of ended requests

struct Settings {
  int64_t vocab_size, hidden_size, max_context, max_waiting;
  bool speculate;
  Scheduler::Limits limits;
};

// Submit and Cancel leave their work in a mailbox; the engine's thread takes it between turns. Scheduler and Turn are
// the thread's own; what others may see is copied under the mutex.
class ContinuousEngine final : public Engine {
 public:
  ContinuousEngine(std::unique_ptr<StepRunner> runner, const Settings& settings)
      : runner_(std::move(runner)),
        settings_(settings),
        seeds_(std::random_device{}()),
        scheduler_(runner_->pages(), settings.limits),
        turn_(runner_.get(), settings.speculate, settings.vocab_size, settings.hidden_size,
              [this](Sequence& s, const TokenEvent& e) { return Emit(s, e); }) {
    stats_.pages_total = runner_->pages();
    thread_ = std::thread([this] { Loop(); });
  }

  ~ContinuousEngine() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    thread_.join();
  }

  absl::StatusOr<uint64_t> Submit(GenerateRequest request) override {
    MODELC_ASSIGN_OR_RETURN(const int64_t max_tokens, Check(request));
    absl::MutexLock lock(&mutex_);
    if (stats_.waiting >= settings_.max_waiting) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the queue is full: ", stats_.waiting, " requests wait; try again later"));
    }
    const uint64_t seed = request.sampling.seed ? *request.sampling.seed : seeds_();
    const uint64_t id = ++last_id_;
    submitted_.push_back(std::make_unique<Sequence>(id, std::move(request), max_tokens, seed));
    usages_[id].prompt_tokens = submitted_.back()->prompt_tokens;
    ++stats_.requests;
    ++stats_.waiting;
    return id;
  }

  void Cancel(uint64_t request) override {
    absl::MutexLock lock(&mutex_);
    cancelled_.push_back(request);
  }

  EngineStats Stats() const override {
    absl::MutexLock lock(&mutex_);
    return stats_;
  }

  Usage UsageOf(uint64_t request) const override {
    absl::MutexLock lock(&mutex_);
    auto found = usages_.find(request);
    return found == usages_.end() ? Usage() : found->second;
  }

  int64_t max_context() const override { return settings_.max_context; }
  const Program& program() const override { return runner_->program(); }

 private:
  // The most tokens to generate, or why the request cannot be served.
  absl::StatusOr<int64_t> Check(const GenerateRequest& r) const {
    const int64_t prompt = static_cast<int64_t>(r.prompt.size());
    if (prompt == 0) return absl::InvalidArgumentError("the prompt is empty; it needs one token at least");
    for (int64_t i = 0; i < prompt; ++i) {
      if (r.prompt[i] < 0 || r.prompt[i] >= settings_.vocab_size) {
        return absl::InvalidArgumentError(
            absl::StrCat("prompt token ", i, " is ", r.prompt[i], "; ids go from 0 to ", settings_.vocab_size - 1));
      }
    }
    if (r.max_tokens < 0) {
      return absl::InvalidArgumentError(absl::StrCat("max_tokens is ", r.max_tokens, "; it must be at least 1"));
    }
    const int64_t room = settings_.max_context - prompt;
    if (std::max<int64_t>(r.max_tokens, 1) > room) {
      return absl::InvalidArgumentError(
          absl::StrCat("the prompt has ", prompt, " tokens and ", std::max<int64_t>(r.max_tokens, 1),
                       " are to be generated, more than the context of ", settings_.max_context,
                       " holds; shorten the prompt or lower max_tokens"));
    }
    if (!r.on_token) return absl::InvalidArgumentError("on_token is empty; set the function that takes the tokens");
    MODELC_RETURN_IF_ERROR(Validate(r.sampling, settings_.vocab_size));
    return r.max_tokens > 0 ? r.max_tokens : room;
  }

  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return busy_ || stopping_ || !submitted_.empty() || !cancelled_.empty();
  }

  void Loop() {
    for (bool stopping = false; !stopping;) {
      std::vector<std::unique_ptr<Sequence>> submitted;
      std::vector<uint64_t> cancelled;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &ContinuousEngine::HasWork));
        submitted.swap(submitted_);
        cancelled.swap(cancelled_);
        stopping = stopping_;
      }
      for (auto& sequence : submitted) scheduler_.Add(std::move(sequence));
      for (uint64_t id : cancelled) CancelNow(id);
      if (stopping) {
        while (Sequence* sequence = scheduler_.Any()) CancelNow(sequence->id);
      } else {
        RunTurn();
      }
      UpdateStats();
    }
  }

  // Without memory for a turn those who were in it end, whatever it had done; the others and the engine go on.
  void RunTurn() {
    try {
      TakeTurn();
    } catch (const std::bad_alloc&) {
      FailRunning(absl::ResourceExhaustedError("the server is out of memory; try again later"));
    }
  }

  void TakeTurn() {
    const std::vector<Slot> slots = scheduler_.Plan();
    if (slots.empty()) return;
    UpdateStats();  // who runs, before a step that may take long
    turn_.Run(slots);
    ++steps_;
    for (const Slot& slot : slots) {
      Sequence& sequence = *slot.sequence;
      if (sequence.finished != FinishReason::kError) scheduler_.Publish(sequence);
      if (sequence.finished) Retire(sequence.id);
    }
    if (absl::StatusOr<Device::Counters> read = runner_->ReadCounters(); read.ok()) {
      read_.weight_bytes += read->weight_bytes;
      read_.cache_bytes += read->cache_bytes;
    }
  }

  void FailRunning(const absl::Status& status) {
    while (scheduler_.running() > 0) {
      const std::unique_ptr<Sequence> sequence = Retire(scheduler_.Any()->id);
      if (sequence->finished) continue;
      TokenEvent event;
      event.finish = FinishReason::kError;
      event.status = status;
      Emit(*sequence, event);
    }
  }

  void CancelNow(uint64_t id) {
    std::unique_ptr<Sequence> sequence = Retire(id);
    if (!sequence) return;  // ended before the cancellation came
    TokenEvent event;
    event.finish = FinishReason::kCancelled;
    Emit(*sequence, event);
  }

  std::unique_ptr<Sequence> Retire(uint64_t id) {
    std::unique_ptr<Sequence> sequence = scheduler_.Remove(id);
    if (!sequence) return nullptr;
    absl::MutexLock lock(&mutex_);
    stats_.prompt_tokens += sequence->prompt_tokens;
    stats_.cached_tokens += sequence->cached_tokens;
    ended_.push_back(id);
    if (ended_.size() > kKeptUsages) {
      usages_.erase(ended_.front());
      ended_.pop_front();
    }
    return sequence;
  }

  bool Emit(Sequence& sequence, const TokenEvent& event) {
    {
      absl::MutexLock lock(&mutex_);
      usages_[sequence.id] = {sequence.prompt_tokens, sequence.cached_tokens, sequence.generated()};
      if (event.id) ++stats_.completion_tokens;
    }
    return sequence.on_token(event);
  }

  void UpdateStats() {
    absl::MutexLock lock(&mutex_);
    busy_ = !scheduler_.idle();
    stats_.running = scheduler_.running();
    stats_.waiting = scheduler_.waiting() + static_cast<int64_t>(submitted_.size());
    stats_.pages_used = scheduler_.cache().held();
    stats_.pages_cached = scheduler_.cache().idle();
    stats_.steps = steps_;
    stats_.preemptions = scheduler_.preemptions();
    stats_.drafted = turn_.drafted();
    stats_.accepted = turn_.accepted();
    stats_.weight_bytes = read_.weight_bytes;
    stats_.cache_bytes = read_.cache_bytes;
  }

  const std::unique_ptr<StepRunner> runner_;
  const Settings settings_;

  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<Sequence>> submitted_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> cancelled_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::mt19937_64 seeds_ ABSL_GUARDED_BY(mutex_);
  EngineStats stats_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, Usage> usages_ ABSL_GUARDED_BY(mutex_);
  std::deque<uint64_t> ended_ ABSL_GUARDED_BY(mutex_);

  // The thread's own.
  Scheduler scheduler_;
  Turn turn_;
  int64_t steps_ = 0;
  Device::Counters read_;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(std::unique_ptr<StepRunner> runner, const EngineOptions& options) {
  const Program& program = runner->program();
  const auto limit = [&](Size size) { return program.limits[static_cast<int>(size)]; };
  Settings s;
  MODELC_ASSIGN_OR_RETURN(s.vocab_size, program.Parameter("vocab_size"));
  MODELC_ASSIGN_OR_RETURN(s.hidden_size, program.Parameter("hidden_size"));
  for (auto [name, value] : {std::pair("max_sequences", options.max_sequences), std::pair("max_rows", options.max_rows),
                             std::pair("max_waiting", options.max_waiting)}) {
    if (value < 1) return absl::InvalidArgumentError(absl::StrCat(name, " is ", value, "; it must be at least 1"));
  }
  s.max_context = std::min({limit(Size::kC), limit(Size::kP) * kPageTokens, runner->pages() * kPageTokens});
  if (options.max_context > 0) s.max_context = std::min(s.max_context, options.max_context);
  if (s.max_context < 2) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a context of ", s.max_context, " tokens (", runner->pages(),
                     " cache pages) has no room to generate; give the cache more memory"));
  }
  s.max_waiting = options.max_waiting;
  s.speculate = options.speculate && program.FindEntry("draft") != nullptr;
  s.limits.max_sequences = std::min(options.max_sequences, limit(Size::kS));
  s.limits.max_rows = std::min({options.max_rows, limit(Size::kT), limit(Size::kN)});
  if (s.limits.max_rows < 1 || s.limits.max_sequences < 1) {
    return absl::InvalidArgumentError("the program's limits leave no row for a token; build it again");
  }
  s.limits.prefix_cache = options.prefix_cache;
  return std::make_unique<ContinuousEngine>(std::move(runner), s);
}

absl::StatusOr<Engine::Result> Engine::Generate(GenerateRequest request) {
  Result result;
  absl::Status status;
  absl::Notification done;
  request.on_token = [&, forward = std::move(request.on_token)](const TokenEvent& event) {
    if (event.id) result.ids.push_back(*event.id);
    const bool go_on = !forward || forward(event);
    if (event.finish || !go_on) {
      result.finish = event.finish.value_or(FinishReason::kCancelled);
      status = event.status;
      done.Notify();
    }
    return go_on;
  };
  MODELC_ASSIGN_OR_RETURN(const uint64_t id, Submit(std::move(request)));
  done.WaitForNotification();
  MODELC_RETURN_IF_ERROR(status);
  result.usage = UsageOf(id);
  return result;
}

}  // namespace modelc
