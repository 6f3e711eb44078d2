#include "core/serving/answer_format.h"

#include <chrono>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"

namespace modelc {
namespace {

std::string NewId(const char* prefix) {
  thread_local absl::BitGen random;
  return absl::StrCat(prefix, absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16),
                      absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16));
}

Json ToJson(const AnswerUsage& usage) {
  const Usage& t = usage.tokens;
  return {{"prompt_tokens", t.prompt_tokens},
          {"completion_tokens", t.completion_tokens},
          {"total_tokens", t.prompt_tokens + t.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", t.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          // DeepSeek's names for the same.
          {"prompt_cache_hit_tokens", t.cached_tokens},
          {"prompt_cache_miss_tokens", t.prompt_tokens - t.cached_tokens}};
}

Json FinishReasonJson(const Choice::Piece& piece) {
  return piece.finish_reason.empty() ? Json(nullptr) : Json(piece.finish_reason);
}

// Appends a piece's log-probabilities, all of whose lists run over the tokens.
void AppendLogprobs(const Json& from, Json& to) {
  if (from.is_null()) return;
  for (const auto& [name, list] : from.items()) {
    Json& target = to[name];
    for (const Json& entry : list) target.push_back(entry);
  }
}

void GatherMessage(const StreamParser::Delta& delta, Json& message) {
  if (!delta.content.empty()) {
    Json& content = message["content"];
    content = content.is_null() ? delta.content : content.get<std::string>() + delta.content;
  }
  if (!delta.reasoning.empty()) {
    message["reasoning_content"] = message.value("reasoning_content", "") + delta.reasoning;
  }
  for (const StreamParser::Delta::ToolCall& call : delta.tool_calls) {
    Json& calls = message["tool_calls"];
    if (!call.id.empty()) {
      calls.push_back({{"id", call.id}, {"type", "function"}, {"function", {{"name", call.name}, {"arguments", ""}}}});
    }
    Json& arguments = calls.at(call.index)["function"]["arguments"];
    arguments = arguments.get<std::string>() + call.arguments;
  }
}

Json DeltaJson(const StreamParser::Delta& delta) {
  Json json = Json::object();
  if (!delta.reasoning.empty()) json["reasoning_content"] = delta.reasoning;
  if (!delta.content.empty()) json["content"] = delta.content;
  for (const StreamParser::Delta::ToolCall& call : delta.tool_calls) {
    Json entry = {{"index", call.index}};
    if (!call.id.empty()) {
      entry["id"] = call.id;
      entry["type"] = "function";
      entry["function"]["name"] = call.name;
    }
    entry["function"]["arguments"] = call.arguments;
    json["tool_calls"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace

AnswerFormat::AnswerFormat(const AnswerRequest& request, std::string model) : request_(request) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  head_ = {{"id", NewId(request.chat ? "chatcmpl-" : "cmpl-")},
           {"created", std::chrono::duration_cast<std::chrono::seconds>(now).count()},
           {"model", std::move(model)}};
  if (request.stream) return;
  for (size_t i = 0; i < request.prompts.size() * request.n; ++i) {
    Json choice = {{"index", i}};
    if (request.chat) {
      choice["message"] = {{"role", "assistant"}, {"content", nullptr}};
    } else {
      choice["text"] = "";
    }
    choice["logprobs"] = nullptr;
    choice["finish_reason"] = nullptr;
    gathered_.push_back(std::move(choice));
  }
}

Json AnswerFormat::Envelope(bool chunk, Json choices) const {
  Json json = {{"id", head_["id"]},
               {"object", !request_.chat ? "text_completion" : chunk ? "chat.completion.chunk" : "chat.completion"},
               {"created", head_["created"]},
               {"model", head_["model"]},
               {"choices", std::move(choices)}};
  if (chunk && request_.include_usage) json["usage"] = nullptr;
  return json;
}

Json AnswerFormat::OpeningChunk(int index) const {
  return Envelope(true, Json::array({{{"index", index},
                                      {"delta", {{"role", "assistant"}, {"content", ""}}},
                                      {"logprobs", nullptr},
                                      {"finish_reason", nullptr}}}));
}

Json AnswerFormat::Chunk(int index, const Choice::Piece& piece) const {
  Json choice = {{"index", index}};
  if (request_.chat) {
    choice["delta"] = DeltaJson(piece.delta);
  } else {
    choice["text"] = piece.delta.content;
  }
  choice["logprobs"] = piece.logprobs;
  choice["finish_reason"] = FinishReasonJson(piece);
  if (!piece.warning.empty()) choice["warning"] = piece.warning;
  return Envelope(true, Json::array({std::move(choice)}));
}

Json AnswerFormat::UsageChunk(const AnswerUsage& usage) const {
  Json json = Envelope(true, Json::array());
  json["usage"] = ToJson(usage);
  return json;
}

void AnswerFormat::Gather(int index, const Choice::Piece& piece) {
  Json& choice = gathered_[index];
  if (request_.chat) {
    GatherMessage(piece.delta, choice["message"]);
  } else {
    choice["text"] = choice["text"].get<std::string>() + piece.delta.content;
  }
  AppendLogprobs(piece.logprobs, choice["logprobs"]);
  if (!piece.finish_reason.empty()) {
    choice["finish_reason"] = piece.finish_reason;
    if (!piece.warning.empty()) choice["warning"] = piece.warning;
    if (request_.chat) {
      Json& message = choice["message"];
      if (const auto calls = message.find("tool_calls"); calls != message.end()) {
        while (calls->size() > static_cast<size_t>(piece.whole_calls)) calls->erase(calls->size() - 1);  // its text is in content
        if (calls->empty()) message.erase("tool_calls");
      }
      // An answer without a word is "", one of tool calls alone is null.
      if (message["content"].is_null() && !message.contains("tool_calls")) message["content"] = "";
    }
  }
}

Json AnswerFormat::Response(const AnswerUsage& usage) {
  Json choices = Json::array();
  for (Json& choice : gathered_) choices.push_back(std::move(choice));
  Json json = Envelope(false, std::move(choices));
  json["usage"] = ToJson(usage);
  return json;
}

}  // namespace modelc
