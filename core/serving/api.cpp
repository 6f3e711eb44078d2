#include "core/serving/api.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/serving/error.h"
#include "core/serving/fields.h"
#include "core/serving/playground.h"
#include "core/support/status.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

enum class Route { kPlayground, kHealth, kMetrics, kModels, kModel, kChat, kCompletions, kUnknown };

constexpr std::string_view kModelPrefix = "/v1/models/";

struct RouteInfo {
  Route route;
  std::string_view path;  // also its label in the metrics
  std::string_view method;
  bool needs_key;
};
constexpr RouteInfo kRoutes[] = {
    {Route::kPlayground, "/", "GET", false},
    {Route::kHealth, "/health", "GET", false},
    {Route::kMetrics, "/metrics", "GET", false},
    {Route::kModels, "/v1/models", "GET", true},
    {Route::kChat, "/v1/chat/completions", "POST", true},
    {Route::kCompletions, "/v1/completions", "POST", true},
};
constexpr RouteInfo kOneModel = {Route::kModel, "/v1/models/{model}", "GET", true};
constexpr RouteInfo kNoRoute = {Route::kUnknown, "other", "", false};

const RouteInfo& FindRoute(std::string_view path) {
  for (const RouteInfo& info : kRoutes) {
    if (info.path == path) return info;
  }
  return path.starts_with(kModelPrefix) ? kOneModel : kNoRoute;
}

ApiReply JsonReply(const Json& json) {
  ApiReply reply;
  reply.body = Dump(json);
  return reply;
}

ApiReply Page() {
  ApiReply reply;
  reply.content_type = "text/html; charset=utf-8";
  reply.body = kPlaygroundPage;
  reply.headers = {{"Content-Security-Policy",
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
                    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}};
  return reply;
}

}  // namespace

ApiReply Api::Refuse(const absl::Status& status) {
  const ApiError error = ToApiError(status);
  ApiReply reply = JsonReply(error.body);
  reply.status = error.http_status;
  if (reply.status == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (reply.status == 503) reply.headers.emplace_back("Retry-After", "1");
  return reply;
}

ApiReply Api::Refuse(int http_status, const absl::Status& status) {
  ApiReply reply = Refuse(status);
  reply.status = http_status;
  metrics().CountReply(kNoRoute.path, http_status);
  return reply;
}

ApiReply Api::Handle(const ApiRequest& request, std::function<void()> wake) {
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  const RouteInfo& info = FindRoute(path);
  const bool method_fits = request.method == info.method || (request.method == "HEAD" && info.method == "GET");
  const auto handle = [&]() -> ApiReply {
    if (info.route == Route::kUnknown) {
      return Refuse(WithCode(absl::NotFoundError(absl::StrCat("there is nothing at ", Absl(path))), "not_found"));
    }
    if (!method_fits) {
      ApiReply reply = Refuse(WithCode(
          absl::InvalidArgumentError(absl::StrCat(Absl(path), " takes ", Absl(info.method), ", not ", Absl(request.method))),
          "method_not_allowed"));
      reply.status = 405;
      reply.headers.emplace_back("Allow", std::string(info.method));
      return reply;
    }
    switch (info.route) {
      case Route::kPlayground: return Page();
      case Route::kHealth: return JsonReply({{"status", "ok"}});
      case Route::kMetrics: {
        ApiReply reply;
        reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
        reply.body = metrics().Text();
        return reply;
      }
      default: break;
    }
    const absl::StatusOr<Caller> caller = keys_.Check(request.authorization);
    if (!caller.ok()) return Refuse(caller.status());
    switch (info.route) {
      case Route::kModels: return JsonReply(chat_.Models());
      case Route::kModel: return DescribeModel(path.substr(kModelPrefix.size()));
      default: return Ask(request, *caller, info.route == Route::kChat, std::move(wake));
    }
  };
  ApiReply reply = handle();
  reply.route = info.path;
  if (!reply.answer) metrics().CountReply(info.path, reply.status);
  return reply;
}

void Api::CountAnswer(std::string_view route, const RunningAnswer& answer) {
  constexpr int kClientGone = 499;
  const int status = !answer.done() ? kClientGone : answer.status().ok() ? 200 : ToApiError(answer.status()).http_status;
  metrics().CountReply(route, status);
}

ApiReply Api::DescribeModel(std::string_view name) {
  const Json models = chat_.Models();
  for (const Json& model : models["data"]) {
    if (model["id"] == name) return JsonReply(model);
  }
  return Refuse(WithCode(absl::NotFoundError("there is no such model; see /v1/models"), "model_not_found"));
}

ApiReply Api::Ask(const ApiRequest& request, const Caller& caller, bool chat, std::function<void()> wake) {
  const std::chrono::seconds wait = limiter_.Take(keys_.empty() ? request.peer : caller.salt);
  if (wait.count() > 0) {
    ApiReply reply = Refuse(WithCode(
        absl::ResourceExhaustedError(absl::StrCat("too many requests; try again in ", wait.count(), " seconds")),
        "rate_limit_exceeded"));
    reply.headers.emplace_back("Retry-After", std::to_string(wait.count()));
    return reply;
  }
  absl::StatusOr<Json> body = ParseJsonObject(request.body);
  if (!body.ok()) return Refuse(body.status());
  absl::StatusOr<std::unique_ptr<RunningAnswer>> answer = chat ? chat_.Chat(*body, caller.salt, std::move(wake))
                                                        : chat_.Complete(*body, caller.salt, std::move(wake));
  if (!answer.ok()) return Refuse(answer.status());
  ApiReply reply;
  reply.answer = *std::move(answer);
  return reply;
}

}  // namespace modelc
