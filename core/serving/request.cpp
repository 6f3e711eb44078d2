#include "core/serving/request.h"

#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/serving/answer_grammar.h"
#include "core/serving/error.h"
#include "core/serving/fields.h"
#include "core/serving/messages.h"
#include "core/support/status.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

constexpr int64_t kMaxChoices = 128;
constexpr size_t kMaxPrompts = 128;
constexpr size_t kMaxStops = 16, kMaxStopBytes = 1024;
constexpr size_t kMaxBiases = 1024;
constexpr int64_t kMaxTopLogprobs = 20;
constexpr int64_t kAnyInt = std::numeric_limits<int32_t>::max();

void ReadStop(FieldReader& fields, std::vector<std::string>& stop) {
  const Json* value = fields.Find("stop");
  if (value == nullptr) return;
  for (const Json& text : value->is_array() ? *value : Json::array({*value})) {
    if (!text.is_string()) return fields.Fail("stop", "must be a string or an array of strings", "invalid_type");
    if (text.get_ref<const std::string&>().empty()) return fields.Fail("stop", "must not hold an empty string");
    if (text.get_ref<const std::string&>().size() > kMaxStopBytes) {
      return fields.Fail("stop", absl::StrCat("holds a string of more than ", kMaxStopBytes, " bytes"));
    }
    stop.push_back(text.get<std::string>());
  }
  if (stop.size() > kMaxStops) fields.Fail("stop", absl::StrCat("may hold at most ", kMaxStops, " strings"));
}

void ReadLogitBias(FieldReader& fields, std::map<int32_t, double>& bias) {
  const Json* map = fields.FindObject("logit_bias");
  if (map == nullptr) return;
  if (map->size() > kMaxBiases) return fields.Fail("logit_bias", absl::StrCat("may name at most ", kMaxBiases, " tokens"));
  for (const auto& [key, value] : map->items()) {
    int32_t id;
    if (!absl::SimpleAtoi(key, &id) || id < 0) {
      return fields.Fail("logit_bias", absl::StrCat("has the key '", key, "'; keys are token ids"));
    }
    if (!value.is_number() || !(value >= -100.0 && value <= 100.0)) {
      return fields.Fail("logit_bias", absl::StrCat("of token ", key, " must be a number between -100 and 100"));
    }
    bias[id] = value.get<double>();
  }
}

// What both endpoints take.
void ReadCommon(FieldReader& fields, AnswerRequest& request) {
  SamplingParams& sampling = request.sampling;
  fields.Read("model", request.model);
  fields.Read("temperature", sampling.temperature, 0, 2);
  fields.Read("top_p", sampling.top_p, 0, 1);
  if (sampling.top_p == 0) sampling.top_p = std::numeric_limits<double>::min();  // the likeliest token alone
  int64_t top_k = sampling.top_k;
  fields.Read("top_k", top_k, -1, kAnyInt);
  sampling.top_k = std::max<int64_t>(top_k, 0);  // some clients write -1 for "off"
  fields.Read("min_p", sampling.min_p, 0, 1);
  fields.Read("presence_penalty", sampling.presence_penalty, -2, 2);
  fields.Read("frequency_penalty", sampling.frequency_penalty, -2, 2);
  fields.Read("repetition_penalty", sampling.repetition_penalty, 0.01, 100);
  fields.Read("seed", sampling.seed);
  ReadLogitBias(fields, sampling.logit_bias);
  ReadStop(fields, request.stop);
  fields.Read("n", request.n, 1, kMaxChoices);
  int64_t given = 0;
  fields.Read("max_tokens", given, 1, kAnyInt);
  if (request.chat) fields.Read("max_completion_tokens", given, 1, kAnyInt);
  request.max_tokens_given = given > 0;
  if (given > 0) request.max_tokens = given;
  fields.Read("stream", request.stream);
  if (const Json* options = fields.FindObject("stream_options")) {
    FieldReader stream_options(*options, "stream_options");
    stream_options.Read("include_usage", request.include_usage);
    if (!stream_options.status().ok()) fields.Fail("stream_options", "must have 'include_usage' true or false", "invalid_type");
    if (!request.stream) fields.Fail("stream_options", "is only allowed with 'stream': true");
  }
}

// DeepSeek's "thinking", vLLM's "chat_template_kwargs" and OpenAI's "reasoning_effort", the first of them that is there.
void ReadThinking(FieldReader& fields, bool& thinking) {
  std::string effort;
  fields.Read("reasoning_effort", effort);
  if (!effort.empty()) thinking = effort != "none";
  if (const Json* kwargs = fields.FindObject("chat_template_kwargs")) {
    const auto it = kwargs->find("thinking");
    if (it != kwargs->end()) {
      if (!it->is_boolean()) return fields.Fail("chat_template_kwargs.thinking", "must be true or false", "invalid_type");
      thinking = it->get<bool>();
    }
  }
  if (const Json* object = fields.FindObject("thinking")) {
    const Json type = object->value("type", Json());
    if (type != "enabled" && type != "disabled") {
      return fields.Fail("thinking.type", "must be 'enabled' or 'disabled'");
    }
    thinking = type == "enabled";
  }
}

// {"type": "function", "function": {"name": …}}
void ReadNamedTool(FieldReader& fields, const Json& choice, ToolChoice& forced) {
  const Json function = choice.value("function", Json());
  const Json name = function.is_object() ? function.value("name", Json()) : Json();
  if (choice.value("type", Json()) != "function" || !name.is_string() || name == "") {
    return fields.Fail("tool_choice", "must be {\"type\": \"function\", \"function\": {\"name\": …}} to name a function");
  }
  forced = {true, name.get<std::string>()};
}

// The tools to offer: none with tool_choice "none".
Json ReadTools(FieldReader& fields, const ServingDefaults& defaults, ToolChoice& forced) {
  const Json* tools = fields.FindArray("tools");
  if (tools != nullptr) {
    if (absl::Status status = CheckTools(*tools); !status.ok()) {
      fields.Adopt(std::move(status));
      return nullptr;
    }
  }
  const bool any = tools != nullptr && !tools->empty();
  if (any && !defaults.tools) fields.Fail("tools", "are not supported by this model; ask without them");
  const Json* choice = fields.Find("tool_choice");
  if (choice != nullptr) {
    if (*choice == "none") return nullptr;
    if (choice->is_object()) {
      ReadNamedTool(fields, *choice, forced);
    } else if (*choice == "required") {
      forced.forced = true;
    } else if (*choice != "auto") {
      fields.Fail("tool_choice", "must be 'none', 'auto', 'required' or name a function");
    }
    if (!any) fields.Fail("tool_choice", "is only allowed with 'tools'");
  }
  return any ? *tools : Json();
}

// Null where the answer may be any text.
Json ReadResponseFormat(FieldReader& fields) {
  const Json* format = fields.FindObject("response_format");
  if (format == nullptr) return nullptr;
  const Json type = format->value("type", Json());
  if (type == "text") return nullptr;
  if (type == "json_object") return *format;
  if (type == "json_schema") {
    if (!format->value("json_schema", Json()).is_object()) fields.Fail("response_format.json_schema", "must be an object");
    return *format;
  }
  fields.Fail("response_format.type", "must be 'text', 'json_object' or 'json_schema'");
  return nullptr;
}

bool IsTokenIds(const Json& array) {
  return !array.empty() && std::all_of(array.begin(), array.end(), [](const Json& id) { return id.is_number_integer(); });
}

absl::StatusOr<Prompt> ReadPrompt(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array() && IsTokenIds(value)) {
    std::vector<int32_t> ids;
    for (const Json& id : value) {
      if (id < 0 || id > kAnyInt) return FieldError("prompt", "'prompt' has a token id outside the vocabulary");
      ids.push_back(id.get<int32_t>());
    }
    return ids;
  }
  return FieldError("prompt", "'prompt' must be a string, an array of token ids, or an array of either", "invalid_type");
}

}  // namespace

absl::StatusOr<AnswerRequest> ParseChatRequest(const Json& body, const ServingDefaults& defaults) {
  AnswerRequest request;
  request.chat = true;
  request.sampling = defaults.sampling;
  request.thinking = defaults.thinking;
  request.max_tokens = defaults.max_output_tokens;
  FieldReader fields(body, "");
  const Json* messages = fields.FindArray("messages");
  if (messages == nullptr) fields.Fail("messages", "is missing", "missing_required_parameter");
  ReadCommon(fields, request);
  ReadThinking(fields, request.thinking);
  bool logprobs = false;
  int64_t top_logprobs = 0;
  fields.Read("logprobs", logprobs);
  fields.Read("top_logprobs", top_logprobs, 0, kMaxTopLogprobs);
  if (top_logprobs > 0 && !logprobs) fields.Fail("top_logprobs", "is only allowed with 'logprobs': true");
  if (logprobs) request.sampling.top_logprobs = static_cast<int>(top_logprobs);
  ToolChoice choice;
  const Json tools = ReadTools(fields, defaults, choice);
  const Json format = ReadResponseFormat(fields);
  MODELC_RETURN_IF_ERROR(fields.status());
  request.expects_json = !format.is_null();
  MODELC_ASSIGN_OR_RETURN(request.grammar, AnswerGrammar(tools, choice, format));

  MODELC_ASSIGN_OR_RETURN(Json checked, CheckMessages(*messages));
  // A JSON schema is put before the model by the chat encoding; for json_object the conversation itself asks for JSON.
  const Json shown = format.is_object() && format["type"] == "json_schema" ? format : Json();
  if (!tools.is_null() || !shown.is_null()) checked = WithTools(std::move(checked), tools, shown);
  absl::StatusOr<std::string> prompt = EncodeChat(checked, {.thinking = request.thinking});
  if (!prompt.ok()) return FieldError("messages", Std(prompt.status().message()));
  request.prompts.push_back(*std::move(prompt));
  return request;
}

absl::StatusOr<AnswerRequest> ParseCompletionRequest(const Json& body, const ServingDefaults& defaults) {
  AnswerRequest request;
  request.chat = false;
  request.sampling = defaults.sampling;
  request.max_tokens = 16;  // OpenAI's default for this endpoint
  FieldReader fields(body, "");
  const Json* prompt = fields.Find("prompt");
  if (prompt == nullptr) fields.Fail("prompt", "is missing", "missing_required_parameter");
  ReadCommon(fields, request);
  fields.Read("echo", request.echo);
  int64_t logprobs = -1, best_of = request.n;
  fields.Read("logprobs", logprobs, 0, kMaxTopLogprobs);
  request.sampling.top_logprobs = static_cast<int>(logprobs);
  fields.Read("best_of", best_of, 1, kMaxChoices);
  if (best_of != request.n) fields.Fail("best_of", "other than 'n' is not supported");
  if (fields.Find("suffix") != nullptr) fields.Fail("suffix", "is not supported", "unsupported_parameter");
  if (request.echo && logprobs >= 0) fields.Fail("echo", "is not supported together with 'logprobs'", "unsupported_parameter");
  MODELC_RETURN_IF_ERROR(fields.status());

  const bool several = prompt->is_array() && !IsTokenIds(*prompt);
  for (const Json& one : several ? *prompt : Json::array({*prompt})) {
    MODELC_ASSIGN_OR_RETURN(Prompt read, ReadPrompt(one));
    request.prompts.push_back(std::move(read));
  }
  if (request.prompts.empty()) return FieldError("prompt", "'prompt' is empty");
  if (request.prompts.size() * request.n > kMaxPrompts) {
    return FieldError("prompt", absl::StrCat("'prompt' times 'n' asks for more than ", kMaxPrompts, " answers"));
  }
  return request;
}

}  // namespace modelc
