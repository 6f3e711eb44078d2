#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "core/text/chat.h"
#include "core/text/dsml.h"

namespace modelc {
namespace {

// What the model was trained to read above its functions; it must stand as published, byte for byte.
constexpr absl::string_view kToolsHead =
    R"(## Tools

You have access to a set of tools you can use to answer the user's question.
You can invoke functions by writing a "<｜DSML｜function_calls>" block like the following as part of your reply to the user:
<｜DSML｜function_calls>
<｜DSML｜invoke name="$FUNCTION_NAME">
<｜DSML｜parameter name="$PARAMETER_NAME" string="true|false">$PARAMETER_VALUE</｜DSML｜parameter>
...
</｜DSML｜invoke>
<｜DSML｜invoke name="$FUNCTION_NAME2">
...
</｜DSML｜invoke>
</｜DSML｜function_calls>

String and scalar parameters should be specified as is without any escaping or quotes, while lists and objects should use JSON format. The "string" attribute should be set to "true" for string type parameters and "false" for other types (numbers, booleans, arrays, objects).

If the thinking_mode is enabled, then after function results you should strongly consider outputting a thinking block. Here is an example:

<｜DSML｜function_calls>
...
</｜DSML｜function_calls>

<function_results>
...
</function_results>

<think>...thinking about results</think>

Here are the functions available in JSONSchema format:
<functions>
)";
constexpr absl::string_view kToolsTail = "\n</functions>\n";
constexpr absl::string_view kResponseFormat =
    "## Response Format:\n\nYou MUST strictly adhere to the following schema to reply:\n";

// message[name], or null.
const Json& Get(const Json& message, const char* name) {
  static const Json kNull;
  auto field = message.find(name);
  return field == message.end() ? kNull : *field;
}

bool HasRole(const Json& message, std::string_view role) {
  const Json& found = Get(message, "role");
  return found.is_string() && found.get_ref<const std::string&>() == role;
}

std::string StrOrEmpty(const Json& value) { return PythonTruth(value) ? PythonStr(value) : std::string(); }

class Encoder {
 public:
  explicit Encoder(const ChatOptions& options) : options_(options) {}

  absl::StatusOr<std::string> Encode(const Json& messages) {
    if (!messages.is_array()) return absl::InvalidArgumentError("messages must be an array");
    for (size_t i = 0; i < messages.size(); ++i) {
      if (!messages[i].is_object()) return Wrong(i, "is not an object");
    }
    messages_ = messages;
    if (options_.thinking && options_.drop_thinking) MODELC_RETURN_IF_ERROR(DropThinking());
    last_user_ = LastUser(messages_);
    if (options_.add_default_bos_token) prompt_ += dsml::kBegin;
    for (size_t i = 0; i < messages_.size(); ++i) {
      MODELC_RETURN_IF_ERROR(Render(i));
      if (!HasRole(messages_[i], "tool")) caller_ = static_cast<int64_t>(i);
    }
    return std::move(prompt_);
  }

 private:
  static absl::Status Wrong(size_t index, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("messages[", index, "] ", what));
  }

  // The published encoder keeps only user, system, tool and assistant messages before the last user message, and then
  // fails because there are fewer than it was given.
  absl::Status DropThinking() {
    const int64_t last = LastUser(messages_);
    for (int64_t i = 0; i < last; ++i) {
      if (HasRole(messages_[i], "assistant")) {
        messages_[i].erase("reasoning_content");
      } else if (!HasRole(messages_[i], "user") && !HasRole(messages_[i], "system") && !HasRole(messages_[i], "tool")) {
        return Wrong(i, absl::StrCat("has the role ", PythonStr(Get(messages_[i], "role")),
                                     ", which cannot come before the last user message where thinking is dropped"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Render(size_t i) {
    const Json& message = messages_[i];
    const Json& role = Get(message, "role");
    std::string tools, calls;
    MODELC_RETURN_IF_ERROR(RenderTools(i, &tools));
    MODELC_RETURN_IF_ERROR(RenderCalls(i, &calls));
    if (role == "system") {
      absl::StrAppend(&prompt_, StrOrEmpty(Get(message, "content")), tools);
    } else if (role == "developer") {
      if (!PythonTruth(Get(message, "content"))) return Wrong(i, "has the role developer and no content");
      RenderUser(i, absl::StrCat(tools, "\n\n# The user's message is: ", PythonStr(Get(message, "content"))));
    } else if (role == "user") {
      RenderUser(i, PythonStr(Get(message, "content")));
    } else if (role == "tool") {
      return RenderToolResult(i);
    } else if (role == "assistant") {
      return RenderAssistant(i, calls);
    } else {
      return Wrong(i, absl::StrCat("has the unknown role ", PythonStr(role)));
    }
    return absl::OkStatus();
  }

  void RenderUser(size_t i, std::string_view text) {
    absl::StrAppend(&prompt_, Absl(dsml::kUser), Absl(text), Absl(dsml::kAssistant));
    OpenTurn(static_cast<int64_t>(i) == last_user_);
  }

  // The assistant's turn begins: thinking where it is the current turn, past its thinking where it is an earlier one.
  void OpenTurn(bool current) { prompt_ += options_.thinking && current ? dsml::kThink : dsml::kThinkEnd; }

  absl::Status RenderToolResult(size_t i) {
    // From the first message there is no way back to a caller: the published encoder then looks at the last message
    // (index -1), and so do we.
    const Json& assistant = messages_[caller_ >= 0 ? caller_ : messages_.size() - 1];
    if (i != 0 && (caller_ < 0 || !HasRole(assistant, "assistant"))) {
      return Wrong(i, "has the role tool and does not follow an assistant message");
    }
    const Json& calls = Get(assistant, "tool_calls");
    const size_t order = i - caller_;
    if (!calls.is_array() || calls.size() < order) return Wrong(i, "has the role tool and answers no tool call");
    if (order == 1) prompt_ += "\n\n<function_results>";
    absl::StrAppend(&prompt_, "\n<result>", PythonStr(Get(messages_[i], "content")), "</result>");
    if (order == calls.size()) {
      prompt_ += "\n</function_results>\n\n";
      OpenTurn(static_cast<int64_t>(i) >= last_user_);
    }
    return absl::OkStatus();
  }

  absl::Status RenderAssistant(size_t i, const std::string& calls) {
    const Json& reasoning = Get(messages_[i], "reasoning_content");
    if (options_.thinking && static_cast<int64_t>(i) > last_user_) {
      if (!PythonTruth(reasoning) && calls.empty()) {
        return Wrong(i, "comes after the last user message, so it needs reasoning_content or tool_calls when thinking");
      }
      absl::StrAppend(&prompt_, StrOrEmpty(reasoning), Absl(dsml::kThinkEnd));
    }
    absl::StrAppend(&prompt_, StrOrEmpty(Get(messages_[i], "content")), calls, Absl(dsml::kEnd));
    return absl::OkStatus();
  }

  // The tools and the response format that message i carries.
  absl::Status RenderTools(size_t i, std::string* out) const {
    const Json& tools = Get(messages_[i], "tools");
    if (PythonTruth(tools)) {
      std::vector<std::string> schemas;
      if (!tools.is_array()) return Wrong(i, "has tools that are not an array");
      for (size_t t = 0; t < tools.size(); ++t) {
        if (!tools[t].is_object() || !tools[t].contains("function")) {
          return Wrong(i, absl::StrCat("has tools[", t, "] without function"));
        }
        schemas.push_back(PythonDumps(tools[t]["function"]));
      }
      absl::StrAppend(out, "\n\n", kToolsHead, absl::StrJoin(schemas, "\n"), kToolsTail);
    }
    const Json& format = Get(messages_[i], "response_format");
    if (PythonTruth(format)) absl::StrAppend(out, "\n\n", kResponseFormat, PythonDumps(format));
    return absl::OkStatus();
  }

  absl::Status RenderCalls(size_t i, std::string* out) const {
    const Json& calls = Get(messages_[i], "tool_calls");
    if (!PythonTruth(calls)) return absl::OkStatus();
    if (!calls.is_array()) return Wrong(i, "has tool_calls that are not an array");
    std::vector<std::string> invokes;
    for (size_t c = 0; c < calls.size(); ++c) {
      const auto wrong = [&](absl::string_view what) {
        return Wrong(i, absl::StrCat("has tool_calls[", c, "] ", what));
      };
      if (!calls[c].is_object() || !calls[c].contains("function") || !calls[c]["function"].is_object()) {
        return wrong("without function");
      }
      const Json& function = calls[c]["function"];
      if (!function.contains("name") || !function.contains("arguments")) return wrong("without name or arguments");
      // The published encoder reads the arguments of assistant messages alone.
      if (!HasRole(messages_[i], "assistant")) continue;
      if (!function["arguments"].is_string()) return wrong("with arguments that are not a string of JSON");
      absl::StatusOr<Json> arguments = ParseJson(function["arguments"].get_ref<const std::string&>());
      if (!arguments.ok()) return wrong(absl::StrCat("with arguments that are ", arguments.status().message()));
      if (!arguments->is_object()) return wrong("with arguments that are not a JSON object");
      std::vector<std::string> parameters;
      for (const auto& [name, value] : arguments->items()) {
        parameters.push_back(absl::StrCat(
            "<｜DSML｜parameter name=\"", name, "\" string=\"", value.is_string() ? "true" : "false", "\">",
            value.is_string() ? value.get<std::string>() : PythonDumps(value), "</｜DSML｜parameter>"));
      }
      invokes.push_back(absl::StrCat("<｜DSML｜invoke name=\"", PythonStr(function["name"]), "\">\n",
                                     absl::StrJoin(parameters, "\n"), "\n</｜DSML｜invoke>"));
    }
    absl::StrAppend(out, "\n\n<｜DSML｜function_calls>\n", absl::StrJoin(invokes, "\n"), "\n</｜DSML｜function_calls>");
    return absl::OkStatus();
  }

  const ChatOptions options_;
  Json messages_;
  int64_t last_user_ = -1;
  int64_t caller_ = -1;  // place of the last message so far that is no tool result
  std::string prompt_;
};

}  // namespace

int64_t LastUser(const Json& messages) {
  for (int64_t i = static_cast<int64_t>(messages.size()) - 1; i >= 0; --i) {
    if (HasRole(messages[i], "user") || HasRole(messages[i], "developer")) return i;
  }
  return -1;
}

absl::StatusOr<std::string> EncodeChat(const Json& messages, const ChatOptions& options) {
  return Encoder(options).Encode(messages);
}

Json WithTools(Json messages, const Json& tools, const Json& response_format) {
  if (!messages.is_array() || (!PythonTruth(tools) && !PythonTruth(response_format))) return messages;
  auto system = messages.begin();
  while (system != messages.end() && !HasRole(*system, "system")) ++system;
  if (system == messages.end()) {
    system = messages.insert(messages.begin(), Json{{"role", "system"}, {"content", ""}});
  }
  if (PythonTruth(tools)) (*system)["tools"] = tools;
  if (PythonTruth(response_format)) (*system)["response_format"] = response_format;
  return messages;
}

}  // namespace modelc
