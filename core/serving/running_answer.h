// A request being answered. The engine's thread puts tokens into an inbox; whoever asked takes API objects out of it on
// a thread of their own, as fast as they can send them. Destroying it cancels what still runs.
#ifndef MODELC_CORE_SERVING_RUNNING_ANSWER_H_
#define MODELC_CORE_SERVING_RUNNING_ANSWER_H_

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/runtime/engine.h"
#include "core/serving/answer_format.h"
#include "core/serving/choice.h"
#include "core/serving/defaults.h"
#include "core/serving/metrics.h"
#include "core/serving/request.h"
#include "core/text/token_mask.h"
#include "core/text/tokenizer.h"

namespace modelc {

// What answers need; all of it outlives them.
struct ServedModel {
  std::string name;
  Engine* engine;
  const Tokenizer* tokenizer;
  Metrics* metrics;
  ServingDefaults defaults;
  std::unique_ptr<const TokenTable> tokens;  // made for the first request with a grammar
};

class RunningAnswer {
 public:
  // `wake` is called, on the engine's thread, when Take has something new; it must only hand over. Not called after the
  // destructor has returned.
  RunningAnswer(const ServedModel& model, AnswerRequest request, std::function<void()> wake);
  ~RunningAnswer();
  RunningAnswer(const RunningAnswer&) = delete;
  RunningAnswer& operator=(const RunningAnswer&) = delete;

  // Submits n sequences for every prompt (request.prompts as ids). On an error nothing runs.
  absl::Status Start(const std::vector<std::vector<int32_t>>& prompts, const std::string& cache_salt);

  // Objects that are ready, oldest first: a stream's chunks, or the response once it is complete. Does not block.
  std::vector<Json> Take();
  // Take has returned the last object, or status() says what failed.
  bool done() const { return done_; }
  const absl::Status& status() const { return status_; }
  bool streams() const { return request_.stream; }

 private:
  using Clock = std::chrono::steady_clock;
  struct Arrival {
    int choice;
    TokenEvent event;
    Clock::time_point at;
  };
  struct Inbox;  // shared with the engine's callbacks
  struct Sequence {
    Choice choice;
    uint64_t engine_id = 0;
    Clock::time_point last_token{};
    bool opened = false;
  };

  void Accept(const Arrival& arrival, std::vector<Json>& out);
  void Emit(int index, const Choice::Piece& piece, std::vector<Json>& out);
  void Observe(Sequence& sequence, Clock::time_point at);
  void Finish(std::vector<Json>& out);
  void Fail(absl::Status status);
  void Stop(int index);

  const ServedModel& model_;
  const AnswerRequest request_;
  const Clock::time_point start_ = Clock::now();
  AnswerFormat format_;
  std::shared_ptr<Inbox> inbox_;
  std::deque<Sequence> sequences_;
  std::vector<std::string> echoes_;  // per prompt
  int64_t prompt_tokens_ = 0;
  size_t open_ = 0;                  // sequences not finished
  bool done_ = false;
  absl::Status status_;
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_RUNNING_ANSWER_H_
