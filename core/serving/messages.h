// The conversation and the tools of a chat request: checked, and brought to the plain form that EncodeChat takes.
#ifndef MODELC_CORE_SERVING_MESSAGES_H_
#define MODELC_CORE_SERVING_MESSAGES_H_

#include "absl/status/statusor.h"
#include "core/text/chat.h"

namespace modelc {

// `messages` with content parts of type text joined to strings. InvalidArgument names the field: an unknown role, an
// image, a tool call without arguments, a conversation with nothing to answer.
absl::StatusOr<Json> CheckMessages(const Json& messages);

// InvalidArgument unless every tool is {"type": "function", "function": {"name", …}}.
absl::Status CheckTools(const Json& tools);

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_MESSAGES_H_
