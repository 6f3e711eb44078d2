#include "core/serving/logprobs.h"

#include <cmath>

namespace modelc {
namespace {

// JSON has no infinities; OpenAI writes -9999 for "never".
double Finite(float logprob) { return std::isfinite(logprob) ? logprob : -9999.0; }

std::string TokenText(const Tokenizer& tokenizer, int32_t id) {
  absl::StatusOr<std::string> text = tokenizer.Decode({id});
  return text.ok() ? *std::move(text) : "";
}

Json LogprobEntry(const Tokenizer& tokenizer, int32_t id, float logprob) {
  Json bytes = Json::array();
  for (const char byte : tokenizer.TokenBytes(id)) bytes.push_back(static_cast<unsigned char>(byte));
  return {{"token", TokenText(tokenizer, id)}, {"logprob", Finite(logprob)}, {"bytes", std::move(bytes)}};
}

}  // namespace

Json ChatLogprob(const Tokenizer& tokenizer, const TokenEvent& event) {
  Json entry = LogprobEntry(tokenizer, *event.id, event.logprob.value_or(0));
  Json& top = entry["top_logprobs"] = Json::array();
  for (const TokenLogprob& other : event.top_logprobs) top.push_back(LogprobEntry(tokenizer, other.id, other.logprob));
  return entry;
}

void AppendCompletionLogprob(const Tokenizer& tokenizer, const TokenEvent& event, int64_t offset, Json& out) {
  if (out.is_null()) {
    out = {{"tokens", Json::array()}, {"token_logprobs", Json::array()}, {"top_logprobs", Json::array()},
           {"text_offset", Json::array()}};
  }
  out["tokens"].push_back(TokenText(tokenizer, *event.id));
  out["token_logprobs"].push_back(Finite(event.logprob.value_or(0)));
  Json top = Json::object();
  for (const TokenLogprob& other : event.top_logprobs) top[TokenText(tokenizer, other.id)] = Finite(other.logprob);
  out["top_logprobs"].push_back(std::move(top));
  out["text_offset"].push_back(offset);
}

}  // namespace modelc
