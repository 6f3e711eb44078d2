// From a request's JSON to a running answer: the one path that the HTTP routes, `modelc run --prompt` and `modelc chat` share.
// Thread-safe.
#ifndef MODELC_CORE_SERVING_CHAT_SERVICE_H_
#define MODELC_CORE_SERVING_CHAT_SERVICE_H_

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/statusor.h"
#include "core/serving/running_answer.h"
#include "core/serving/metrics.h"
#include "core/serving/request.h"
#include "core/text/chat.h"

namespace modelc {

class ChatService {
 public:
  // `engine` and `tokenizer` must outlive it; `name` is the model's id in the API.
  ChatService(std::string name, Engine* engine, const Tokenizer* tokenizer, ServingDefaults defaults);

  // Bodies of /v1/chat/completions and /v1/completions. Errors as error.h describes them; `wake` as RunningAnswer's. Requests
  // see cached prompts of the same `cache_salt` alone.
  absl::StatusOr<std::unique_ptr<RunningAnswer>> Chat(const Json& body, const std::string& cache_salt, std::function<void()> wake);
  absl::StatusOr<std::unique_ptr<RunningAnswer>> Complete(const Json& body, const std::string& cache_salt, std::function<void()> wake);
  // Runs a chat request (its "stream" is on) to its end on this thread; `show` gets each chunk and returns false to
  // cancel.
  absl::Status Stream(Json body, const std::function<bool(const Json&)>& show);
  // The same without a stream: the response.
  absl::StatusOr<Json> Respond(Json body);

  // Body of /v1/models.
  Json Models() const;
  Metrics& metrics() { return metrics_; }

 private:
  absl::StatusOr<std::unique_ptr<RunningAnswer>> Start(AnswerRequest request, const std::string& cache_salt,
                                                std::function<void()> wake);
  // A prompt's ids, checked against the vocabulary and the context.
  absl::StatusOr<std::vector<int32_t>> Tokenize(const AnswerRequest& request, const Prompt& prompt) const;

  Metrics metrics_;
  ServedModel model_;
  std::once_flag tokens_once_;
  int64_t created_;  // seconds since 1970
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_CHAT_SERVICE_H_
