// An engine over the fake model, and what a request should give by the definition: one token after another from the
// logits of all ids so far, with no cache, no batch and no speculation.
#ifndef MODELC_TESTS_UNIT_RUNTIME_HARNESS_H_
#define MODELC_TESTS_UNIT_RUNTIME_HARNESS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "core/runtime/engine/sampler.h"
#include "tests/unit/runtime/fake_model.h"

namespace modelc {

inline std::vector<int32_t> Expected(const FakeOptions& fake, const GenerateRequest& request) {
  std::vector<int32_t> ids = request.prompt;
  Sampler sampler(request.sampling, request.sampling.seed.value_or(0), request.prompt);
  const int64_t most = request.max_tokens > 0 ? request.max_tokens : fake.max_context - ids.size();
  for (int64_t n = 0; n < most; ++n) {
    const int32_t id = sampler.Choose(FakeLogits(fake, ids), ids.size()).value().id;
    sampler.Accept(id);
    ids.push_back(id);
    if (std::count(request.stop_ids.begin(), request.stop_ids.end(), id)) break;
  }
  return {ids.begin() + request.prompt.size(), ids.end()};
}

inline std::vector<int32_t> Prompt(int64_t n, int32_t salt = 0) {
  std::vector<int32_t> ids(n);
  for (int64_t i = 0; i < n; ++i) ids[i] = static_cast<int32_t>((i * 7 + salt * 13 + i * salt) % 50);
  return ids;
}

inline GenerateRequest Greedy(std::vector<int32_t> prompt, int64_t max_tokens) {
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  return request;
}

// A submitted request's events.
struct Answer {
  std::vector<int32_t> ids;
  std::vector<TokenEvent> events;
  std::optional<FinishReason> finish;
  absl::Status status;
  absl::Notification done;
  uint64_t request = 0;
};

struct Harness {
  explicit Harness(FakeOptions fake_options = {}, EngineOptions engine_options = {}) : fake(fake_options) {
    absl::StatusOr<std::unique_ptr<Engine>> made = MakeEngine(NewFake(fake, &log), engine_options);
    EXPECT_TRUE(made.ok()) << made.status();
    engine = *std::move(made);
  }
  ~Harness() {
    engine.reset();
    for (const std::string& mistake : log.mistakes) ADD_FAILURE() << mistake;
  }

  std::shared_ptr<Answer> Submit(GenerateRequest request) {
    auto answer = std::make_shared<Answer>();
    auto next = std::move(request.on_token);
    request.on_token = [answer, next](const TokenEvent& event) {
      EXPECT_FALSE(answer->finish.has_value()) << "an event after the last";
      if (event.id) answer->ids.push_back(*event.id);
      answer->events.push_back(event);
      const bool go_on = !next || next(event);
      if (event.finish) {
        answer->finish = event.finish;
        answer->status = event.status;
        answer->done.Notify();
      }
      return go_on;
    };
    absl::StatusOr<uint64_t> id = engine->Submit(std::move(request));
    EXPECT_TRUE(id.ok()) << id.status();
    answer->request = id.value_or(0);
    return answer;
  }

  // Once the engine has nothing to do.
  EngineStats Settled() {
    EngineStats stats = engine->Stats();
    while (stats.running + stats.waiting > 0) {
      absl::SleepFor(absl::Milliseconds(1));
      stats = engine->Stats();
    }
    return stats;
  }

  FakeOptions fake;
  FakeLog log;
  std::unique_ptr<Engine> engine;
};

// Holds the engine at its next step until Open: what is submitted meanwhile comes in one turn.
class Gate {
 public:
  explicit Gate(Harness& h) : log_(h.log) {
    {
      absl::MutexLock lock(&h.log.mutex);
      h.log.before = [this](std::string_view, const StepBatch&) {
        if (!reached_.HasBeenNotified()) reached_.Notify();
        open_.WaitForNotification();
        return absl::OkStatus();
      };
    }
    first_ = h.Submit(Greedy({1}, 1));
    reached_.WaitForNotification();
  }
  ~Gate() {
    absl::MutexLock lock(&log_.mutex);
    log_.before = nullptr;
  }
  void Open() { open_.Notify(); }

 private:
  FakeLog& log_;
  std::shared_ptr<Answer> first_;
  absl::Notification reached_, open_;
};

}  // namespace modelc

#endif  // MODELC_TESTS_UNIT_RUNTIME_HARNESS_H_
