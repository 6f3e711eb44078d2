// modelc render [--weights DIR]
#include <filesystem>
#include <iostream>

#include "core/support/status.h"
#include "core/text/chat.h"
#include "tools/modelc/commands.h"
#include "tools/modelc/json_lines.h"

namespace modelc {
namespace {

void Declare(po::options_description& options, po::positional_options_description&) {
  options.add_options()("weights", po::value<std::string>()->default_value(""),
                        "checkpoint folder; every one that is supported has DeepSeek-V3.2's chat format");
}

const Json* Find(const Json& line, const char* name) {
  auto field = line.find(name);
  return field == line.end() ? nullptr : &*field;
}

std::string Error(absl::string_view message) { return DumpLine({{"error", std::string(message)}}); }

std::string Encode(const Json& line, ChatOptions options) {
  const Json* messages = Find(line, "messages");
  if (messages == nullptr) return Error("messages is missing");
  if (const Json* drop = Find(line, "drop_thinking")) options.drop_thinking = PythonTruth(*drop);
  if (const Json* bos = Find(line, "add_default_bos_token")) options.add_default_bos_token = PythonTruth(*bos);
  absl::StatusOr<std::string> prompt = EncodeChat(*messages, options);
  return prompt.ok() ? DumpLine({{"prompt", *prompt}}) : Error(prompt.status().message());
}

std::string Parse(const Json& line, bool thinking) {
  const Json* completion = Find(line, "completion");
  if (completion == nullptr || !completion->is_string()) return Error("completion must be a string");
  absl::StatusOr<Json> message = ParseCompletion(completion->get_ref<const std::string&>(), thinking);
  return message.ok() ? DumpLine({{"message", *message}}) : Error(message.status().message());
}

absl::StatusOr<std::string> Answer(const Json& line) {
  const Json* kind = line.is_object() ? Find(line, "kind") : nullptr;
  if (kind == nullptr || (*kind != "encode" && *kind != "parse")) {
    return absl::InvalidArgumentError("wanted a JSON object whose kind is encode or parse");
  }
  const Json* mode = Find(line, "thinking_mode");
  if (mode != nullptr && *mode != "thinking" && *mode != "chat") return Error("thinking_mode must be thinking or chat");
  const bool thinking = mode == nullptr || *mode == "thinking";
  return *kind == "encode" ? Encode(line, {.thinking = thinking}) : Parse(line, thinking);
}

absl::StatusOr<int> Run(const po::variables_map& flags) {
  const std::string weights = flags["weights"].as<std::string>();
  if (!weights.empty() && !std::filesystem::is_directory(weights)) {
    return absl::NotFoundError(absl::StrCat("'", weights, "' is not a folder; --weights names a checkpoint's"));
  }
  std::ios::sync_with_stdio(false);
  MODELC_RETURN_IF_ERROR(AnswerJsonLines(std::cin, std::cout, Answer));
  return 0;
}

}  // namespace

const Command kRenderCommand = {
    "render", "chat messages to prompts, completions to messages, line by line",
    "usage: modelc render [--weights DIR] < LINES\n\n"
    "Each line of stdin is a JSON object; one line answers it:\n"
    "  {\"kind\": \"encode\", \"messages\": […], \"thinking_mode\": \"thinking\" or \"chat\", \"drop_thinking\": "
    "true,\n"
    "   \"add_default_bos_token\": true}                      {\"prompt\": …} or {\"error\": …}\n"
    "  {\"kind\": \"parse\", \"completion\": …, \"thinking_mode\": …}  {\"message\": …} or {\"error\": …}\n",
    Declare, Run};

}  // namespace modelc
