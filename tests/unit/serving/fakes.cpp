#include "tests/unit/serving/fakes.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace modelc {
namespace {

constexpr std::array<std::string_view, 6> kSpecial = {"<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>",
                                                      "<｜Assistant｜>", "<think>", "</think>"};

const std::vector<std::string>& Bytes() {
  static const auto* bytes = [] {
    auto* all = new std::vector<std::string>;
    for (int i = 0; i < 256; ++i) all->push_back(std::string(1, static_cast<char>(i)));
    return all;
  }();
  return *bytes;
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> ByteTokenizer::Encode(std::string_view text) const {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < text.size();) {
    const auto special = std::find_if(kSpecial.begin(), kSpecial.end(),
                                      [&](std::string_view s) { return text.substr(i).starts_with(s); });
    if (special == kSpecial.end()) {
      ids.push_back(static_cast<unsigned char>(text[i++]));
    } else {
      ids.push_back(256 + static_cast<int32_t>(special - kSpecial.begin()));
      i += special->size();
    }
  }
  return ids;
}

absl::StatusOr<std::string> ByteTokenizer::Decode(absl::Span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) text += TokenBytes(id);
  return text;
}

std::string_view ByteTokenizer::TokenBytes(int32_t id) const {
  if (id < 0 || id >= vocab_size()) return "";
  return id < 256 ? std::string_view(Bytes()[id]) : kSpecial[id - 256];
}

std::optional<int32_t> ByteTokenizer::AddedToken(std::string_view text) const {
  const auto at = std::find(kSpecial.begin(), kSpecial.end(), text);
  if (at == kSpecial.end()) return std::nullopt;
  return 256 + static_cast<int32_t>(at - kSpecial.begin());
}

int32_t ByteTokenizer::vocab_size() const { return 256 + kSpecial.size(); }

ScriptedEngine::ScriptedEngine(std::string_view answer, bool hold)
    : answer_(*ByteTokenizer().Encode(answer)), hold_(hold) {}

ScriptedEngine::~ScriptedEngine() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

absl::StatusOr<uint64_t> ScriptedEngine::Submit(GenerateRequest request) {
  if (!refusal_.ok()) return refusal_;
  const std::lock_guard lock(mutex_);
  requests_.push_back(request);
  const uint64_t id = requests_.size();
  threads_.emplace_back([this, id, request = std::move(request)]() mutable { Answer(id, std::move(request)); });
  return id;
}

void ScriptedEngine::Answer(uint64_t id, GenerateRequest request) {
  TokenEvent event;
  const auto send = [&](std::optional<int32_t> token, std::optional<FinishReason> finish) {
    event.id = token;
    event.finish = finish;
    event.logprob = token ? std::optional<float>(-0.5f) : std::nullopt;
    event.top_logprobs.clear();
    if (token && request.sampling.top_logprobs > 0) event.top_logprobs = {{*token, -0.5f}, {'x', -1.5f}};
    return request.on_token(event);
  };
  int64_t sent = 0;
  for (const int32_t token : answer_) {
    const bool last = ++sent == request.max_tokens;
    if (!send(token, last ? std::optional(FinishReason::kLength) : std::nullopt)) {
      const std::lock_guard lock(mutex_);
      cancelled_.insert(id);
      changed_.notify_all();
      return;
    }
    if (last) return;
  }
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !hold_ || closing_ || cancelled_.contains(id); });
    if (closing_ || cancelled_.contains(id)) {
      lock.unlock();
      send(std::nullopt, FinishReason::kCancelled);
      return;
    }
  }
  event.status = failure_;
  if (failure_.ok()) {
    send(ByteTokenizer().end(), FinishReason::kStop);
  } else {
    send(std::nullopt, FinishReason::kError);
  }
}

void ScriptedEngine::Cancel(uint64_t request) {
  const std::lock_guard lock(mutex_);
  cancelled_.insert(request);
  changed_.notify_all();
}

EngineStats ScriptedEngine::Stats() const {
  EngineStats stats;
  stats.pages_total = 77;
  stats.drafted = 20;
  stats.accepted = 11;
  stats.weight_bytes = 5000000000;
  return stats;
}

Usage ScriptedEngine::UsageOf(uint64_t) const { return {.cached_tokens = 3}; }

void ScriptedEngine::Release() {
  const std::lock_guard lock(mutex_);
  hold_ = false;
  changed_.notify_all();
}

std::vector<GenerateRequest> ScriptedEngine::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

size_t ScriptedEngine::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_.size();
}

bool ScriptedEngine::WaitForCancelled(size_t n) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return cancelled_.size() >= n; });
}

}  // namespace modelc
