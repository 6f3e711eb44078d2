#include "core/text/tool_grammar.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

using Expr = Grammar::Expr;

class Builder {
 public:
  Builder(Grammar* grammar, JsonGrammar* json) : g_(*grammar), json_(*json) {}

  absl::StatusOr<Expr> Call(const Json& function) {
    const std::string name = function.value("name", "");
    const Json parameters = function.value("parameters", Json::object());
    const bool strict = function.value("strict", Json()) == true;
    MODELC_ASSIGN_OR_RETURN(const Expr arguments, Arguments(parameters, strict));
    return g_.Sequence({g_.Text(absl::StrCat("<｜DSML｜invoke name=\"", name, "\">\n")), arguments, g_.Text("\n</｜DSML｜invoke>")});
  }

 private:
  absl::StatusOr<Expr> Arguments(const Json& parameters, bool strict) {
    if (parameters.is_null()) return g_.Text("");
    const Json properties = parameters.is_object() ? parameters.value("properties", Json::object()) : Json();
    if (!properties.is_object()) return absl::InvalidArgumentError("'parameters.properties' must be an object");
    std::set<std::string> needed;
    const Json required = parameters.value("required", Json::array());
    if (required.is_array()) {
      for (const Json& name : required) {
        if (name.is_string()) needed.insert(name.get<std::string>());
      }
    }
    struct Argument {
      Expr text;
      bool needed;
    };
    std::vector<Argument> arguments;
    for (const auto& [name, schema] : properties.items()) {
      MODELC_ASSIGN_OR_RETURN(const Expr text, OneArgument(name, schema, parameters, strict));
      arguments.push_back({text, needed.contains(name)});
    }
    // As in a JSON object, with line breaks for commas.
    const Expr line = g_.Text("\n");
    Expr after = g_.Text(""), first = after;
    for (auto argument = arguments.rbegin(); argument != arguments.rend(); ++argument) {
      const Expr next = g_.Sequence({line, argument->text, after}), begin = g_.Sequence({argument->text, after});
      first = argument->needed ? begin : g_.OneOf({begin, first});
      after = argument->needed ? next : g_.OneOf({next, after});
    }
    return first;
  }

  absl::StatusOr<Expr> OneArgument(const std::string& name, const Json& schema, const Json& root, bool strict) {
    std::vector<Expr> choices;
    const auto add = [&](bool string, Expr value) {
      choices.push_back(g_.Sequence({g_.Text(absl::StrCat("<｜DSML｜parameter name=\"", name, "\" string=\"", string ? "true" : "false", "\">")),
                                     value, g_.Text("</｜DSML｜parameter>")}));
    };
    if (const Json values = Listed(schema); values.is_array()) {
      for (const Json& one : values) {
        if (g_.full()) {
          return absl::InvalidArgumentError(absl::StrCat("parameter '", name, "' has too many values to be enforced; list fewer"));
        }
        add(one.is_string(), one.is_string() ? g_.Text(one.get_ref<const std::string&>()) : json_.Literal(one));
      }
      return g_.OneOf(std::move(choices));
    }
    // Strings in the one form, other values in the other; where the schema says nothing of types, in the other too.
    Json others = schema;
    if (const Json types = schema.is_object() ? schema.value("type", Json()) : Json(); !types.is_null()) {
      others["type"] = Json::array();
      for (const Json& type : types.is_array() ? types : Json::array({types})) {
        if (type != "string") others["type"].push_back(type);
      }
      // What the string alone is asked for is checked, and enforced by nothing but its type.
      if (others["type"].size() < (types.is_array() ? types.size() : 1)) {
        MODELC_RETURN_IF_ERROR(json_.Schema(schema, strict, root).status());
        add(true, g_.Repeat(json_.plain_character(), 0));
      }
      if (others["type"].empty()) return choices.front();
    }
    MODELC_ASSIGN_OR_RETURN(const Expr value, json_.Schema(others, strict, root));
    add(false, value);
    return g_.OneOf(std::move(choices));
  }

  // The values of an enum or const.
  static Json Listed(const Json& schema) {
    if (!schema.is_object()) return nullptr;
    if (schema.contains("const")) return Json::array({schema["const"]});
    return schema.value("enum", Json());
  }

  Grammar& g_;
  JsonGrammar& json_;
};

}  // namespace

absl::StatusOr<Expr> ToolCalls(Grammar& g, JsonGrammar& json, const Json& tools, std::string_view name) {
  Builder builder(&g, &json);
  std::vector<Expr> calls;
  for (const Json& tool : tools) {
    const Json& function = tool["function"];
    if (!name.empty() && function.value("name", "") != name) continue;
    absl::StatusOr<Expr> call = builder.Call(function);
    if (!call.ok()) {
      return absl::InvalidArgumentError(absl::StrCat("tool '", function.value("name", ""), "': ", call.status().message()));
    }
    calls.push_back(*call);
  }
  if (calls.empty()) return absl::InvalidArgumentError(absl::StrCat("no tool is called '", Absl(name), "'"));
  const Expr call = g.OneOf(std::move(calls));
  const Expr more = name.empty() ? g.Repeat(g.Sequence({g.Text("\n"), call}), 0) : g.Text("");
  return g.Sequence({g.Text("\n\n<｜DSML｜function_calls>\n"), call, more, g.Text("\n</｜DSML｜function_calls>")});
}

}  // namespace modelc
