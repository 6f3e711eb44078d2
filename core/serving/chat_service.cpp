#include "core/serving/chat_service.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/serving/error.h"
#include "core/support/status.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

// Lets a thread sleep until an answer has something new.
struct Signal {
  std::mutex mutex;
  std::condition_variable changed;
  bool raised = false;

  void Raise() {
    const std::lock_guard lock(mutex);
    raised = true;
    changed.notify_one();
  }
  void Wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return raised; });
    raised = false;
  }
};

// Takes from `answer` until it is done or `show` returns false.
absl::Status RunToEnd(RunningAnswer& answer, Signal& signal, const std::function<bool(const Json&)>& show) {
  while (true) {
    for (const Json& object : answer.Take()) {
      if (!show(object)) return absl::CancelledError("cancelled");
    }
    if (answer.done()) return answer.status();
    signal.Wait();
  }
}

}  // namespace

ChatService::ChatService(std::string name, Engine* engine, const Tokenizer* tokenizer, ServingDefaults defaults)
    : metrics_(engine),
      model_{std::move(name), engine, tokenizer, &metrics_, std::move(defaults), nullptr},
      created_(std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
                   .count()) {}

absl::StatusOr<std::unique_ptr<RunningAnswer>> ChatService::Chat(const Json& body, const std::string& cache_salt,
                                                          std::function<void()> wake) {
  MODELC_ASSIGN_OR_RETURN(AnswerRequest request, ParseChatRequest(body, model_.defaults));
  return Start(std::move(request), cache_salt, std::move(wake));
}

absl::StatusOr<std::unique_ptr<RunningAnswer>> ChatService::Complete(const Json& body, const std::string& cache_salt,
                                                              std::function<void()> wake) {
  MODELC_ASSIGN_OR_RETURN(AnswerRequest request, ParseCompletionRequest(body, model_.defaults));
  return Start(std::move(request), cache_salt, std::move(wake));
}

absl::Status ChatService::Stream(Json body, const std::function<bool(const Json&)>& show) {
  Signal signal;
  body["stream"] = true;
  MODELC_ASSIGN_OR_RETURN(const std::unique_ptr<RunningAnswer> answer, Chat(body, "", [&signal] { signal.Raise(); }));
  return RunToEnd(*answer, signal, show);
}

absl::StatusOr<Json> ChatService::Respond(Json body) {
  Signal signal;
  body["stream"] = false;
  body.erase("stream_options");
  MODELC_ASSIGN_OR_RETURN(const std::unique_ptr<RunningAnswer> answer, Chat(body, "", [&signal] { signal.Raise(); }));
  Json response;
  MODELC_RETURN_IF_ERROR(RunToEnd(*answer, signal, [&response](const Json& object) {
    response = object;
    return true;
  }));
  return response;
}

absl::StatusOr<std::unique_ptr<RunningAnswer>> ChatService::Start(AnswerRequest request, const std::string& cache_salt,
                                                           std::function<void()> wake) {
  if (!request.model.empty() && request.model != model_.name) {
    const absl::Status status = absl::NotFoundError(
        absl::StrCat("the model '", request.model, "' does not exist; this server has '", model_.name, "'"));
    return WithCode(WithField(status, "model"), "model_not_found");
  }
  const int32_t vocabulary = model_.tokenizer->vocab_size();
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    if (id >= vocabulary) {
      return FieldError("logit_bias", absl::StrCat("'logit_bias' has token ", id, "; the vocabulary has ", vocabulary));
    }
  }
  std::vector<std::vector<int32_t>> prompts;
  for (const Prompt& prompt : request.prompts) {
    MODELC_ASSIGN_OR_RETURN(std::vector<int32_t> ids, Tokenize(request, prompt));
    // A default that does not fit beside this prompt shrinks; one that was asked for was refused above.
    const int64_t room = model_.engine->max_context() - static_cast<int64_t>(ids.size());
    if (request.max_tokens > 0) request.max_tokens = std::min(request.max_tokens, room);
    prompts.push_back(std::move(ids));
  }
  if (request.grammar) {
    std::call_once(tokens_once_, [this] { model_.tokens = std::make_unique<TokenTable>(*model_.tokenizer); });
  }
  auto answer = std::make_unique<RunningAnswer>(model_, std::move(request), std::move(wake));
  absl::Status status = answer->Start(prompts, cache_salt);
  if (absl::IsResourceExhausted(status)) status = absl::UnavailableError(status.message());
  MODELC_RETURN_IF_ERROR(status);
  return answer;
}

absl::StatusOr<std::vector<int32_t>> ChatService::Tokenize(const AnswerRequest& request, const Prompt& prompt) const {
  const char* field = request.chat ? "messages" : "prompt";
  std::vector<int32_t> ids;
  if (const std::string* text = std::get_if<std::string>(&prompt)) {
    absl::StatusOr<std::vector<int32_t>> encoded = model_.tokenizer->Encode(*text);
    if (!encoded.ok()) return FieldError(field, Std(encoded.status().message()));
    ids = *std::move(encoded);
    const std::optional<int32_t> bos = request.chat ? std::nullopt : model_.defaults.bos_id;
    if (bos && (ids.empty() || ids.front() != *bos)) ids.insert(ids.begin(), *bos);
  } else {
    ids = std::get<std::vector<int32_t>>(prompt);
    const auto bad = std::find_if(ids.begin(), ids.end(), [&](int32_t id) { return id >= model_.tokenizer->vocab_size(); });
    if (bad != ids.end()) {
      return FieldError(field, absl::StrCat("'", field, "' has token ", *bad, "; the vocabulary has ",
                                            model_.tokenizer->vocab_size()));
    }
  }
  if (ids.empty()) return FieldError(field, absl::StrCat("'", field, "' is empty"));
  const int64_t limit = model_.engine->max_context();
  const int64_t prompt_tokens = static_cast<int64_t>(ids.size());
  const int64_t wanted = request.max_tokens_given ? request.max_tokens : 1;
  if (prompt_tokens + wanted > limit) {
    return FieldError(field,
                      absl::StrCat("this model's context is ", limit, " tokens; the request asks for ",
                                   prompt_tokens + wanted, " (", prompt_tokens, " in the prompt, ", wanted,
                                   " for the answer)"),
                      "context_length_exceeded");
  }
  return ids;
}

Json ChatService::Models() const {
  Json model = {{"id", model_.name},
                {"object", "model"},
                {"created", created_},
                {"owned_by", "modelc"},
                {"max_model_len", model_.engine->max_context()}};
  return {{"object", "list"}, {"data", Json::array({std::move(model)})}};
}

}  // namespace modelc
