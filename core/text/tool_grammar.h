// The grammar of an answer that calls tools, in DeepSeek-V3.2's chat format: what may follow </think>.
#ifndef MODELC_CORE_TEXT_TOOL_GRAMMAR_H_
#define MODELC_CORE_TEXT_TOOL_GRAMMAR_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "core/text/json_grammar.h"

namespace modelc {

// One call or several of `tools` (OpenAI's), or exactly one of the tool `name` where it is not empty. Arguments are those
// that a tool's parameters, a JSON schema, list, in that order; a tool may say "strict" in its function. String arguments
// stand unquoted, as the model was trained to write them. InvalidArgument names the place that cannot be enforced.
absl::StatusOr<Grammar::Expr> ToolCalls(Grammar& grammar, JsonGrammar& json, const Json& tools, std::string_view name);

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_TOOL_GRAMMAR_H_
