// The bodies of /v1/chat/completions and /v1/completions, checked and with the model's defaults filled in. Fields that
// are not known are ignored, as OpenAI-compatible servers do; known ones of a wrong type or value are refused by name.
#ifndef MODELC_CORE_SERVING_REQUEST_H_
#define MODELC_CORE_SERVING_REQUEST_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "core/runtime/engine.h"
#include "core/serving/defaults.h"
#include "core/text/chat.h"
#include "core/text/grammar.h"

namespace modelc {

// Text that is yet to be tokenized, or ids as they are.
using Prompt = std::variant<std::string, std::vector<int32_t>>;

struct AnswerRequest {
  bool chat = true;             // the form of the answer: chat.completion or text_completion
  std::string model;            // empty: the one that is served
  std::vector<Prompt> prompts;  // one, for chat the encoded conversation; /v1/completions may send several
  bool thinking = false;        // the answer begins with reasoning
  bool expects_json = false;    // response_format asks for JSON
  std::shared_ptr<const Grammar> grammar;  // of the answer after any thinking; null: anything
  SamplingParams sampling;
  int64_t max_tokens = 0;       // 0: up to the context's end
  bool max_tokens_given = false;  // by the request, so that it must fit the context
  std::vector<std::string> stop;  // cut the answer's content (not its reasoning) before the first of them
  int64_t n = 1;                // answers per prompt
  bool echo = false;            // /v1/completions: the prompt before its answer
  bool stream = false;
  bool include_usage = false;   // stream_options: a last chunk with the usage
};

// InvalidArgument (see error.h) names the field.
absl::StatusOr<AnswerRequest> ParseChatRequest(const Json& body, const ServingDefaults& defaults);
absl::StatusOr<AnswerRequest> ParseCompletionRequest(const Json& body, const ServingDefaults& defaults);

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_REQUEST_H_
