#include "core/serving/answer_grammar.h"

#include <algorithm>

#include "core/serving/error.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "core/text/json_grammar.h"
#include "core/text/tool_grammar.h"

namespace modelc {
namespace {

absl::StatusOr<Grammar::Expr> Format(JsonGrammar& json, const Json& response_format) {
  if (response_format["type"] == "json_object") return json.object();
  const Json& format = response_format["json_schema"];
  if (!format.contains("schema")) return json.object();
  absl::StatusOr<Grammar::Expr> text = json.Schema(format["schema"], format.value("strict", Json()) == true);
  if (!text.ok()) return FieldError("response_format.json_schema.schema", Std(text.status().message()));
  return text;
}

bool Strict(const Json& tool) { return tool["function"].value("strict", Json()) == true; }

}  // namespace

absl::StatusOr<std::shared_ptr<const Grammar>> AnswerGrammar(const Json& tools, const ToolChoice& choice,
                                                             const Json& response_format) {
  const bool strict = tools.is_array() && std::any_of(tools.begin(), tools.end(), Strict);
  if (!choice.forced && !strict && response_format.is_null()) return nullptr;
  auto grammar = std::make_shared<Grammar>();
  JsonGrammar json(grammar.get());
  Grammar::Expr calls = grammar->OneOf({});  // none
  if (tools.is_array()) {
    absl::StatusOr<Grammar::Expr> some = ToolCalls(*grammar, json, tools, choice.name);
    if (!some.ok()) return FieldError(choice.name.empty() ? "tools" : "tool_choice", Std(some.status().message()));
    calls = *some;
  }
  if (choice.forced) {
    grammar->SetStart(calls);
  } else if (response_format.is_null()) {
    grammar->SetStart(grammar->Sequence({grammar->Repeat(json.plain_character(), 0), grammar->Optional(calls)}));
  } else {
    MODELC_ASSIGN_OR_RETURN(const Grammar::Expr text, Format(json, response_format));
    grammar->SetStart(grammar->OneOf({text, calls}));
  }
  if (GrammarMatcher(grammar).start() == GrammarMatcher::kDead) {
    return FieldError("response_format", "'response_format' has a schema that no value fits");
  }
  return grammar;
}

}  // namespace modelc
