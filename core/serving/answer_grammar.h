// The text that a request demands of an answer, after any thinking: forced tool calls, tools that say "strict", and
// response_format.
#ifndef MODELC_CORE_SERVING_ANSWER_GRAMMAR_H_
#define MODELC_CORE_SERVING_ANSWER_GRAMMAR_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/text/grammar.h"
#include "core/text/json.h"

namespace modelc {

struct ToolChoice {
  bool forced = false;  // the answer is calls and nothing else
  std::string name;     // of the one tool to call; empty: any, several times too
};

// `tools` are checked, or null; `response_format` is the request's object of type json_object or json_schema, or null.
// Null when anything may come. InvalidArgument (see error.h) names the field that cannot be enforced.
absl::StatusOr<std::shared_ptr<const Grammar>> AnswerGrammar(const Json& tools, const ToolChoice& choice,
                                                             const Json& response_format);

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_ANSWER_GRAMMAR_H_
