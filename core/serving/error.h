// How a refused or failed request looks to a client: OpenAI's error object and its HTTP status. Inside the server an
// error is an absl::Status; the field it names and OpenAI's machine-readable code travel as payloads.
#ifndef MODELC_CORE_SERVING_ERROR_H_
#define MODELC_CORE_SERVING_ERROR_H_

#include <string_view>

#include "absl/status/status.h"
#include "core/text/chat.h"

namespace modelc {

// InvalidArgument about one field of a request, named by its path ("messages[2].role"). `code` is OpenAI's, or empty.
absl::Status FieldError(std::string_view field, std::string_view message, std::string_view code = "");
// The same status with a field, or with OpenAI's code ("invalid_api_key"), on it.
absl::Status WithField(absl::Status status, std::string_view field);
absl::Status WithCode(absl::Status status, std::string_view code);

struct ApiError {
  int http_status;
  Json body;  // {"error": {"message", "type", "param", "code"}}
};
// `status` is not OK. Unavailable means that asking again later may succeed.
ApiError ToApiError(const absl::Status& status);

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_ERROR_H_
