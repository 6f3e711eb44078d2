// A tokenizer of bytes and an engine that says what it is told to, so that serving is tested without a model.
#ifndef MODELC_TESTS_UNIT_SERVING_FAKES_H_
#define MODELC_TESTS_UNIT_SERVING_FAKES_H_

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/program/program.h"
#include "core/runtime/engine.h"
#include "core/serving/defaults.h"
#include "core/text/tokenizer.h"

namespace modelc {

// Ids 0…255 are bytes; 256… are the chat format's special tokens.
class ByteTokenizer : public Tokenizer {
 public:
  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text) const override;
  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids) const override;
  std::string_view TokenBytes(int32_t id) const override;
  std::optional<int32_t> AddedToken(std::string_view text) const override;
  int32_t vocab_size() const override;

  int32_t end() const { return *AddedToken("<｜end▁of▁sentence｜>"); }
};

// Of a model that ends its turns with the tokenizer's end token.
inline ServingDefaults EndingDefaults() {
  ServingDefaults defaults;
  defaults.stop_ids = {ByteTokenizer().end()};
  return defaults;
}

// Answers every request with the same text, a token at a time, on a thread of its own.
class ScriptedEngine : public Engine {
 public:
  // `answer` is tokenized; the end token follows it. With `hold`, the last token waits until Release or a cancel.
  explicit ScriptedEngine(std::string_view answer, bool hold = false);
  ~ScriptedEngine() override;

  absl::StatusOr<uint64_t> Submit(GenerateRequest request) override;
  void Cancel(uint64_t request) override;
  EngineStats Stats() const override;
  int64_t max_context() const override { return 4096; }
  const Program& program() const override { return program_; }
  Usage UsageOf(uint64_t request) const override;

  void Release();
  // What the next Submit returns instead, and what requests end with instead of their last token.
  void RefuseWith(absl::Status status) { refusal_ = std::move(status); }
  void FailWith(absl::Status status) { failure_ = std::move(status); }

  std::vector<GenerateRequest> requests() const;
  size_t cancelled() const;
  // Waits, ten seconds at most, until `n` requests have been cancelled.
  bool WaitForCancelled(size_t n) const;

 private:
  void Answer(uint64_t id, GenerateRequest request);

  const std::vector<int32_t> answer_;
  Program program_;
  absl::Status refusal_, failure_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool hold_;
  bool closing_ = false;
  std::vector<GenerateRequest> requests_;
  std::set<uint64_t> cancelled_;
  std::vector<std::thread> threads_;
};

}  // namespace modelc

#endif  // MODELC_TESTS_UNIT_SERVING_FAKES_H_
