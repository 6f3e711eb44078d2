#include "core/serving/messages.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/serving/error.h"
#include "core/serving/fields.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "core/text/chat.h"

namespace modelc {
namespace {

constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant", "tool"};

// A string, null, or an array of {"type": "text", "text"}, which is joined.
absl::StatusOr<Json> CheckContent(const Json& content, const std::string& path) {
  if (content.is_string() || content.is_null()) return content;
  if (!content.is_array()) {
    return FieldError(path, absl::StrCat("'", path, "' must be a string or an array of parts, not ", content.type_name()),
                      "invalid_type");
  }
  std::string joined;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string part_path = absl::StrCat(path, "[", i, "]");
    if (!content[i].is_object()) return FieldError(part_path, absl::StrCat("'", part_path, "' must be an object"), "invalid_type");
    FieldReader part(content[i], part_path);
    std::string type, text;
    part.Read("type", type);
    part.Read("text", text);
    if (type != "text") part.Fail("type", absl::StrCat("is '", type, "'; this model reads text parts only"));
    else if (part.Find("text") == nullptr) part.Fail("text", "is missing");
    MODELC_RETURN_IF_ERROR(part.status());
    joined += text;
  }
  return Json(std::move(joined));
}

absl::Status CheckToolCalls(const Json& calls, const std::string& path) {
  for (size_t i = 0; i < calls.size(); ++i) {
    const std::string call_path = absl::StrCat(path, "[", i, "]");
    if (!calls[i].is_object()) return FieldError(call_path, absl::StrCat("'", call_path, "' must be an object"), "invalid_type");
    FieldReader call(calls[i], call_path);
    const Json* function = call.FindObject("function");
    if (function == nullptr) call.Fail("function", "is missing");
    MODELC_RETURN_IF_ERROR(call.status());
    FieldReader fields(*function, call.Path("function"));
    std::string name, arguments;
    fields.Read("name", name);
    fields.Read("arguments", arguments);
    if (name.empty()) fields.Fail("name", "is missing");
    if (fields.Find("arguments") == nullptr) fields.Fail("arguments", "is missing");
    MODELC_RETURN_IF_ERROR(fields.status());
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> CheckMessage(const Json& message, const std::string& path) {
  if (!message.is_object()) {
    return FieldError(path, absl::StrCat("'", path, "' must be an object, not ", message.type_name()), "invalid_type");
  }
  FieldReader fields(message, path);
  std::string role, reasoning;
  fields.Read("role", role);
  fields.Read("reasoning_content", reasoning);
  const Json* calls = fields.FindArray("tool_calls");
  if (message.find("role") == message.end()) {
    fields.Fail("role", "is missing");
  } else if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
    fields.Fail("role", absl::StrCat("is '", role, "'; it must be system, developer, user, assistant or tool"));
  }
  const bool may_be_empty = role == "assistant" && (calls != nullptr || !reasoning.empty());
  if (fields.Find("content") == nullptr && !may_be_empty) fields.Fail("content", "is missing");
  MODELC_RETURN_IF_ERROR(fields.status());
  if (calls != nullptr) MODELC_RETURN_IF_ERROR(CheckToolCalls(*calls, fields.Path("tool_calls")));
  Json checked = message;
  // Tools and response_format come from the request alone; a message cannot bring its own.
  checked.erase("tools");
  checked.erase("response_format");
  if (message.contains("content")) {
    MODELC_ASSIGN_OR_RETURN(checked["content"], CheckContent(message["content"], fields.Path("content")));
  }
  return checked;
}

// The chat encoding knows tool results by their order alone, and ends a turn with the last of them: brings those that
// follow messages[i] into the order of its calls. Where there are none at all the conversation goes on without.
absl::Status OrderResults(Json& messages, size_t i) {
  const auto calls = messages[i].find("tool_calls");
  if (messages[i]["role"] != "assistant" || calls == messages[i].end() || !calls->is_array()) return absl::OkStatus();
  const size_t first = i + 1;
  size_t results = 0;
  while (first + results < messages.size() && messages[first + results]["role"] == "tool") ++results;
  if (results == 0) return absl::OkStatus();
  if (results != calls->size()) {
    const std::string path = absl::StrCat("messages[", i, "].tool_calls");
    return FieldError(path, absl::StrCat("'", path, "' has ", calls->size(), " calls and ", results,
                                         " results after it; answer every call with one tool message"));
  }
  std::map<std::string, size_t> place;  // of a call, by its id
  for (size_t c = 0; c < calls->size(); ++c) {
    const Json id = (*calls)[c].value("id", Json());
    if (id.is_string()) place.emplace(id.get<std::string>(), c);
  }
  if (place.size() != calls->size()) return absl::OkStatus();  // without ids of their own, the order is all there is
  Json ordered(results, nullptr);
  for (size_t r = first; r < first + results; ++r) {
    const Json id = messages[r].value("tool_call_id", Json());
    if (id.is_null()) return absl::OkStatus();
    const std::string path = absl::StrCat("messages[", r, "].tool_call_id");
    const auto call = id.is_string() ? place.find(id.get<std::string>()) : place.end();
    if (call == place.end()) {
      return FieldError(path, absl::StrCat("'", path, "' is the id of no call in messages[", i, "], or of one already answered"));
    }
    ordered[call->second] = messages[r];
    place.erase(call);
  }
  for (size_t r = 0; r < results; ++r) messages[first + r] = std::move(ordered[r]);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Json> CheckMessages(const Json& messages) {
  if (messages.empty()) return FieldError("messages", "'messages' is empty; send at least one message");
  Json checked = Json::array();
  for (size_t i = 0; i < messages.size(); ++i) {
    MODELC_ASSIGN_OR_RETURN(Json message, CheckMessage(messages[i], absl::StrCat("messages[", i, "]")));
    checked.push_back(std::move(message));
  }
  for (size_t i = 0; i < checked.size(); ++i) MODELC_RETURN_IF_ERROR(OrderResults(checked, i));
  // OpenAI's name for a system message. To the model a developer speaks in the user's place, which fits the last one.
  for (int64_t i = 0, last = LastUser(checked); i < last; ++i) {
    if (checked[i]["role"] == "developer") checked[i]["role"] = "system";
  }
  const std::string& last = checked.back()["role"].get_ref<const std::string&>();
  if (last == "assistant" || last == "system") {
    const std::string path = absl::StrCat("messages[", messages.size() - 1, "].role");
    return FieldError(path, absl::StrCat("'", path, "' is '", last, "': the last message must be from user, developer or tool"));
  }
  return checked;
}

absl::Status CheckTools(const Json& tools) {
  for (size_t i = 0; i < tools.size(); ++i) {
    const std::string path = absl::StrCat("tools[", i, "]");
    if (!tools[i].is_object()) return FieldError(path, absl::StrCat("'", path, "' must be an object"), "invalid_type");
    FieldReader tool(tools[i], path);
    std::string type, name;
    tool.Read("type", type);
    if (type != "function") tool.Fail("type", "must be 'function'");
    const Json* function = tool.FindObject("function");
    if (function == nullptr) tool.Fail("function", "is missing");
    MODELC_RETURN_IF_ERROR(tool.status());
    FieldReader fields(*function, tool.Path("function"));
    fields.Read("name", name);
    fields.FindObject("parameters");
    if (name.empty()) fields.Fail("name", "is missing");
    MODELC_RETURN_IF_ERROR(fields.status());
  }
  return absl::OkStatus();
}

}  // namespace modelc
