// The engine: requests in, tokens out. One thread of its own runs continuous batching over the executor: every turn
// it gives each running sequence its row, fills the rest of the row budget with prefill chunks, runs one step and
// samples. Requests and events cross by queues; all public functions are thread-safe.
#ifndef MODELC_CORE_RUNTIME_ENGINE_H_
#define MODELC_CORE_RUNTIME_ENGINE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/program/program.h"
#include "plugins/loader/plugin.h"

namespace modelc {

// Defaults are neutral. temperature 0 is greedy.
struct SamplingParams {
  double temperature = 1.0;
  double top_p = 1.0;
  int64_t top_k = 0;              // 0: off
  double min_p = 0.0;
  double presence_penalty = 0.0;  // OpenAI's: on tokens generated so far
  double frequency_penalty = 0.0;
  double repetition_penalty = 1.0;  // over prompt and generated tokens, Hugging Face's definition
  std::map<int32_t, double> logit_bias;
  std::optional<uint64_t> seed;   // none: drawn by the engine
  int top_logprobs = -1;          // -1: none; n: the n most likely beside the chosen
};

struct TokenLogprob {
  int32_t id;
  float logprob;
};

enum class FinishReason { kStop, kLength, kCancelled, kError };

// One generated token, or the end of the request. Called on the engine's thread: hand over and return.
struct TokenEvent {
  std::optional<int32_t> id;             // absent in a final event that carries no token
  std::optional<float> logprob;          // of id, before temperature
  std::vector<TokenLogprob> top_logprobs;
  std::optional<FinishReason> finish;    // set in the last event
  absl::Status status;                   // not OK with kError
};

struct Usage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;             // of the prompt, found in the prefix cache
  int64_t completion_tokens = 0;
};

// What a sequence may generate, whatever the model prefers. Called on the engine's thread.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // mask[id] is 0 where token `id` must not come next; ids beyond the mask must not either.
  virtual const std::vector<uint8_t>& Mask() = 0;
  // The token that came.
  virtual void Accept(int32_t id) = 0;
};

struct GenerateRequest {
  std::vector<int32_t> prompt;
  SamplingParams sampling;
  int64_t max_tokens = 0;                // 0: up to the context's end
  std::vector<int32_t> stop_ids;         // end the answer; the stop token is the last event's id
  std::shared_ptr<TokenConstraint> constraint;  // of this request alone; null: anything may come
  std::string cache_salt;                // pages are shared between equal salts alone
  // Returns false to end the sequence early (a stop string was found, the client is gone); no event follows then.
  std::function<bool(const TokenEvent&)> on_token;
};

struct EngineOptions {
  int64_t max_sequences = 16;            // running at once
  int64_t max_rows = 512;                // rows a step
  uint64_t cache_bytes = 0;              // 0: a share of the device's memory
  int64_t max_context = 0;               // 0: the program's limit
  int64_t max_waiting = 1024;            // submitted and not running; beyond it Submit refuses
  bool prefix_cache = true;
  bool speculate = true;                 // with programs that have a draft entry; never changes what is generated
};

struct EngineStats {
  int64_t requests = 0, running = 0, waiting = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  int64_t pages_total = 0, pages_used = 0, pages_cached = 0;
  int64_t steps = 0, preemptions = 0;
  int64_t drafted = 0, accepted = 0;           // tokens guessed and verified, and those that were right
  uint64_t weight_bytes = 0, cache_bytes = 0;  // read by the kernels so far
};

// (done bytes, total bytes) while weights are bound.
using LoadProgress = std::function<void(uint64_t, uint64_t)>;

class Engine {
 public:
  // Binds weights (checked: shapes, finite scales, no NaN in e4m3) and allocates the cache; NotFound / InvalidArgument /
  // ResourceExhausted say what and where.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(Program, const Checkpoint&, std::unique_ptr<Device>,
                                                        const EngineOptions&, LoadProgress = nullptr);
  virtual ~Engine() = default;           // cancels what runs

  // Queues a request; the returned id cancels it. InvalidArgument: empty prompt, ids outside the vocabulary, prompt and
  // max_tokens beyond the context. ResourceExhausted: the queue is full.
  virtual absl::StatusOr<uint64_t> Submit(GenerateRequest) = 0;
  virtual void Cancel(uint64_t request) = 0;
  virtual EngineStats Stats() const = 0;
  virtual int64_t max_context() const = 0;
  virtual const Program& program() const = 0;

  // Blocking convenience for tools: runs to the end and returns the generated ids (stop token included).
  struct Result {
    std::vector<int32_t> ids;
    FinishReason finish = FinishReason::kStop;
    Usage usage;
  };
  absl::StatusOr<Result> Generate(GenerateRequest);
  // Of a request still running or just ended (kept until the next 1024 have ended).
  virtual Usage UsageOf(uint64_t request) const = 0;
};

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_ENGINE_H_
