// The routes: one HTTP request in, a reply or a RunningAnswer out. Knows no sockets. Thread-safe.
//
// Prompts and answers are in no log and no metric; they live in a request's memory and in the engine's cache alone.
#ifndef MODELC_CORE_SERVING_API_H_
#define MODELC_CORE_SERVING_API_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/serving/running_answer.h"
#include "core/serving/api_keys.h"
#include "core/serving/chat_service.h"
#include "core/serving/rate_limiter.h"

namespace modelc {

struct ApiRequest {
  std::string_view method;         // "GET"
  std::string_view target;         // "/v1/models?x=y"
  std::string_view authorization;  // header, or empty
  std::string peer;                // the client's address: a caller of its own where there are no keys
  std::string_view body;
};

struct ApiReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
  std::unique_ptr<RunningAnswer> answer;  // when set, the body is what it gives
  std::string_view route;                 // its label in the metrics
};

class Api {
 public:
  // `chat` must outlive it.
  Api(ChatService* chat, ApiKeys keys, double requests_per_minute)
      : chat_(*chat), keys_(std::move(keys)), limiter_(requests_per_minute) {}

  // `wake` as RunningAnswer's.
  ApiReply Handle(const ApiRequest& request, std::function<void()> wake);
  // A failure in the API's form: of what the socket side finds (413, 400) and of an answer under way.
  ApiReply Refuse(int http_status, const absl::Status& status);
  ApiReply Refuse(const absl::Status& status);
  // An answer counts when it has ended: by its status, or as 499 when the client went away before.
  void CountAnswer(std::string_view route, const RunningAnswer& answer);
  Metrics& metrics() { return chat_.metrics(); }

 private:
  ApiReply DescribeModel(std::string_view name);
  ApiReply Ask(const ApiRequest& request, const Caller& caller, bool chat, std::function<void()> wake);

  ChatService& chat_;
  ApiKeys keys_;
  RateLimiter limiter_;
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_API_H_
