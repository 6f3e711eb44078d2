#include "core/serving/error.h"

#include <optional>

#include "absl/strings/cord.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

constexpr char kField[] = "modelc/field";
constexpr char kCode[] = "modelc/code";

Json Payload(const absl::Status& status, const char* name) {
  const absl::optional<absl::Cord> value = status.GetPayload(name);
  return value ? Json(std::string(*value)) : Json(nullptr);
}

}  // namespace

absl::Status FieldError(std::string_view field, std::string_view message, std::string_view code) {
  absl::Status status = WithField(absl::InvalidArgumentError(Absl(message)), field);
  return code.empty() ? status : WithCode(std::move(status), code);
}

absl::Status WithField(absl::Status status, std::string_view field) {
  status.SetPayload(kField, absl::Cord(Absl(field)));
  return status;
}

absl::Status WithCode(absl::Status status, std::string_view code) {
  status.SetPayload(kCode, absl::Cord(Absl(code)));
  return status;
}

ApiError ToApiError(const absl::Status& status) {
  int http_status = 500;
  const char* type = "server_error";
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange: http_status = 400; type = "invalid_request_error"; break;
    case absl::StatusCode::kUnauthenticated: http_status = 401; type = "authentication_error"; break;
    case absl::StatusCode::kNotFound: http_status = 404; type = "invalid_request_error"; break;
    case absl::StatusCode::kResourceExhausted: http_status = 429; type = "rate_limit_error"; break;
    case absl::StatusCode::kUnavailable: http_status = 503; type = "overloaded_error"; break;
    default: break;
  }
  Json error = {{"message", std::string(Std(status.message()))},
                {"type", type},
                {"param", Payload(status, kField)},
                {"code", Payload(status, kCode)}};
  return {http_status, Json{{"error", std::move(error)}}};
}

}  // namespace modelc
