#include "tools/modelc/scoring/problem.h"

#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "core/text/chat.h"

namespace modelc {
namespace {

absl::Status Wrong(const char* field, const char* wanted) {
  return absl::InvalidArgumentError(absl::StrCat("'", field, "' must be ", wanted));
}

const Json* Find(const Json& object, const char* name) {
  auto field = object.find(name);
  return field == object.end() || field->is_null() ? nullptr : &*field;
}

absl::StatusOr<std::string> String(const Json& object, const char* name, const char* field) {
  const Json* value = Find(object, name);
  if (value == nullptr || !value->is_string()) return Wrong(field, "a string");
  return value->get<std::string>();
}

absl::StatusOr<Rule> ReadRule(const Json& score) {
  if (!score.is_object()) return Wrong("score", "an object");
  MODELC_ASSIGN_OR_RETURN(const std::string rule, String(score, "rule", "score.rule"));
  if (rule == "tool_call") {
    const Json* arguments = Find(score, "arguments");
    if (arguments == nullptr || !arguments->is_object()) return Wrong("score.arguments", "an object");
    MODELC_ASSIGN_OR_RETURN(std::string name, String(score, "name", "score.name"));
    return ToolCallEqual{std::move(name), nlohmann::json(*arguments)};
  }
  const auto value = score.find("value");
  if (rule == "last_number") {
    if (value == score.end() || !value->is_number()) return Wrong("score.value", "a number");
    return LastNumber{value->get<double>()};
  }
  if (rule == "equals") {
    MODELC_ASSIGN_OR_RETURN(std::string text, String(score, "value", "score.value"));
    return Equals{std::move(text)};
  }
  if (rule == "json_equal") {
    if (value == score.end()) return Wrong("score.value", "there");
    return JsonEqual{nlohmann::json(*value)};
  }
  return Wrong("score.rule", "last_number, equals, json_equal or tool_call");
}

absl::StatusOr<Problem> ReadProblem(const std::string& line) {
  MODELC_ASSIGN_OR_RETURN(const Json json, ParseJson(line));
  if (!json.is_object()) return absl::InvalidArgumentError("a problem must be a JSON object");
  Problem p;
  MODELC_ASSIGN_OR_RETURN(p.id, String(json, "id", "id"));
  MODELC_ASSIGN_OR_RETURN(p.task, String(json, "task", "task"));
  const Json* messages = Find(json, "messages");
  if (messages == nullptr || !messages->is_array()) return Wrong("messages", "a list");
  p.messages = *messages;
  if (const Json* tools = Find(json, "tools")) {
    if (!tools->is_array()) return Wrong("tools", "a list");
    p.tools = *tools;
  }
  const Json* thinking = Find(json, "thinking");
  if (thinking == nullptr || !thinking->is_boolean()) return Wrong("thinking", "true or false");
  p.thinking = thinking->get<bool>();
  if (const Json* expected = Find(json, "expected")) p.expected = *expected;
  const Json* score = Find(json, "score");
  MODELC_ASSIGN_OR_RETURN(p.rule, ReadRule(score ? *score : Json()));
  if (const Json* most = Find(json, "max_tokens")) {
    if (!most->is_number_integer() || most->get<int64_t>() < 1) return Wrong("max_tokens", "a whole number above 0");
    p.max_tokens = most->get<int64_t>();
  }
  return p;
}

// The last run of digits with its sign and decimals: "4.5" in "1, -2 and 4.5.".
std::optional<double> FindLastNumber(const std::string& text) {
  const size_t last = text.find_last_of("0123456789");
  if (last == std::string::npos) return std::nullopt;
  size_t first = last;
  bool point = false;
  for (; first > 0; --first) {
    const char c = text[first - 1];
    if (absl::ascii_isdigit(c)) continue;
    if (c != '.' || point || first < 2 || !absl::ascii_isdigit(text[first - 2])) break;
    point = true;
  }
  if (first > 0 && text[first - 1] == '-') --first;
  return std::strtod(text.substr(first, last + 1 - first).c_str(), nullptr);
}

struct Passing {
  const Answer& answer;
  bool operator()(const LastNumber& rule) const { return FindLastNumber(answer.content) == rule.value; }
  bool operator()(const Equals& rule) const {
    return Std(absl::StripAsciiWhitespace(answer.content)) == Std(absl::StripAsciiWhitespace(rule.value));
  }
  bool operator()(const JsonEqual& rule) const {
    absl::StatusOr<nlohmann::json> json = ParseSortedJson(answer.content);
    return json.ok() && *json == rule.value;
  }
  bool operator()(const ToolCallEqual& rule) const {
    if (answer.calls.empty() || answer.calls[0].name != rule.name) return false;
    absl::StatusOr<nlohmann::json> json = ParseSortedJson(answer.calls[0].arguments);
    return json.ok() && *json == rule.arguments;
  }
};

}  // namespace

absl::StatusOr<std::vector<Problem>> ReadProblems(const std::filesystem::path& file, int64_t limit) {
  std::ifstream in(file, std::ios::binary);
  if (!in || std::filesystem::is_directory(file)) {
    return absl::NotFoundError(absl::StrCat("cannot read '", file.string(), "'; check the path"));
  }
  std::vector<Problem> problems;
  std::map<std::string, int64_t> of_task;
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    absl::StatusOr<Problem> problem = ReadProblem(line);
    if (!problem.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(file.string(), ":", number, ": ", problem.status().message()));
    }
    if (limit == 0 || ++of_task[problem->task] <= limit) problems.push_back(*std::move(problem));
  }
  if (problems.empty()) return absl::InvalidArgumentError(absl::StrCat(file.string(), " holds no problems"));
  return problems;
}

Answer ParseAnswer(std::string_view completion, bool thinking) {
  Answer answer;
  StreamParser parser(thinking);
  for (const StreamParser::Delta& delta : {parser.Push(completion), parser.Finish()}) {
    answer.reasoning += delta.reasoning;
    answer.content += delta.content;
    for (const auto& piece : delta.tool_calls) {
      if (static_cast<size_t>(piece.index) >= answer.calls.size()) answer.calls.resize(piece.index + 1);
      answer.calls[piece.index].name += piece.name;
      answer.calls[piece.index].arguments += piece.arguments;
    }
  }
  return answer;
}

bool Passes(const Rule& rule, const Answer& answer) { return std::visit(Passing{answer}, rule); }

}  // namespace modelc
