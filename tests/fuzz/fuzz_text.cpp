#include <cstdlib>
#include <string>
#include <vector>

#include "core/text/chat.h"
#include "core/text/tokenizer.h"
#include "core/text/utf8.h"
#include "tests/fuzz/fuzz.h"

namespace modelc::fuzz {
namespace {

std::string_view Text(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

void Require(bool promise) {
  if (!promise) std::abort();
}

// Every id decodes, the whole gives the text back, and so does the stream.
void RoundTrip(const Tokenizer& tokenizer, std::string_view text) {
  auto ids = tokenizer.Encode(text);
  Require(ids.ok() == (utf8::FindInvalid(text) == text.npos));
  if (!ids.ok()) return;
  auto decoded = tokenizer.Decode(*ids);
  Require(decoded.ok() && *decoded == text);
  StreamDecoder stream(&tokenizer);
  std::string streamed;
  for (int32_t id : *ids) streamed += stream.Push(id);
  Require(streamed + stream.Finish() == text);
}

struct Outcome {
  std::string reasoning, content;
  std::vector<std::pair<std::string, std::string>> calls;
  bool malformed, open_ended;
  bool operator==(const Outcome&) const = default;
};

// The text parsed in pieces of `step` bytes.
Outcome Parse(std::string_view text, bool thinking, size_t step) {
  StreamParser parser(thinking);
  Outcome outcome;
  const auto add = [&](const StreamParser::Delta& delta) {
    outcome.reasoning += delta.reasoning;
    outcome.content += delta.content;
    for (const auto& piece : delta.tool_calls) {
      if (!piece.id.empty()) outcome.calls.emplace_back(piece.name, "");
      outcome.calls.at(piece.index).second += piece.arguments;
    }
  };
  for (size_t at = 0; at < text.size(); at += step) add(parser.Push(text.substr(at, step)));
  add(parser.Finish());
  outcome.malformed = parser.malformed();
  outcome.open_ended = parser.open_ended();
  return outcome;
}

}  // namespace

void TokenizerJson(const uint8_t* data, size_t size) {
  auto tokenizer = Tokenizer::FromJson(Text(data, size));
  if (tokenizer.ok()) RoundTrip(**tokenizer, "The 3 cats, 中文 <a>\xF0\x9F\x99\x82\r\n  end");
}

void TokenizerText(const uint8_t* data, size_t size) {
  static const auto tokenizer = Tokenizer::Load("models/nano/checkpoint/tokenizer.json").value();
  RoundTrip(*tokenizer, Text(data, size));
  std::vector<int32_t> ids;
  for (size_t i = 0; i + 1 < size; i += 2) ids.push_back(data[i] << 4 | data[i + 1]);
  auto decoded = tokenizer->Decode(ids);
  Require(!decoded.ok() || utf8::FindInvalid(*decoded) == std::string::npos);
}

void ChatMessages(const uint8_t* data, size_t size) {
  auto messages = ParseJson(Text(data, size));
  if (!messages.ok()) return;
  for (bool thinking : {true, false}) {
    auto prompt = EncodeChat(*messages, {.thinking = thinking});
    Require(!prompt.ok() ||
            (prompt->starts_with("<｜begin▁of▁sentence｜>") && utf8::FindInvalid(*prompt) == prompt->npos));
  }
}

void ChatCompletion(const uint8_t* data, size_t size) {
  const std::string_view text = Text(data, size);
  for (bool thinking : {true, false}) {
    const Outcome whole = Parse(text, thinking, size + 1);
    Require(whole == Parse(text, thinking, 1));
    Require(whole == Parse(text, thinking, 1 + size % 7));
    auto message = ParseCompletion(text, thinking);
    Require(message.ok() == (!whole.malformed && !whole.open_ended));
    Require(!message.ok() || (*message)["content"] == whole.content);
  }
}

}  // namespace modelc::fuzz
