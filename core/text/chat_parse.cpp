#include <algorithm>
#include <array>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "core/support/strings.h"
#include "core/text/chat.h"
#include "core/text/dsml.h"
#include "core/text/json.h"

namespace modelc {
namespace {

using Markers = absl::Span<const std::string_view>;

constexpr std::string_view kCalls = "\n\n<｜DSML｜function_calls";
constexpr std::string_view kCallsEnd = "</｜DSML｜function_calls>";
constexpr std::string_view kInvoke = "<｜DSML｜invoke";
constexpr std::string_view kInvokeEnd = "</｜DSML｜invoke";
constexpr std::string_view kParameter = "<｜DSML｜parameter";
constexpr std::string_view kParameterEnd = "/｜DSML｜parameter";  // what precedes it decides whether it is well-formed

// What reasoning and content are searched for: where they end, and what they must not contain.
constexpr std::string_view kInReasoning[] = {dsml::kThinkEnd, kCalls,       dsml::kEnd,
                                             dsml::kBegin,    dsml::kThink, dsml::kDsml};
constexpr std::string_view kInContent[] = {dsml::kEnd,   kCalls,          dsml::kBegin,
                                           dsml::kThink, dsml::kThinkEnd, dsml::kDsml};

struct Found {
  size_t place;             // npos: none
  std::string_view marker;  // empty: the text ends inside what may become one
};

// The first of the markers in `text`; where more text may come, also a start of one at the text's end.
Found Find(std::string_view text, Markers markers, bool more) {
  Found first{std::string_view::npos, {}};
  for (std::string_view marker : markers) {
    size_t place = text.find(marker);
    if (place < first.place) first = {place, marker};
    for (size_t n = more ? std::min(marker.size() - 1, text.size()) : 0; n > 0; --n) {
      if (text.ends_with(marker.substr(0, n))) {
        if (text.size() - n < first.place) first = {text.size() - n, {}};
        break;
      }
    }
  }
  return first;
}

// Whether `text` starts with `wanted`, so far as it goes.
bool MayStartWith(std::string_view text, std::string_view wanted) {
  const size_t n = std::min(text.size(), wanted.size());
  return text.substr(0, n) == wanted.substr(0, n);
}

// Bytes of the white space (Python's \s) that `text` starts with.
size_t WhiteSpace(std::string_view text) {
  static constexpr std::string_view kWide[] = {"\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003",
                                               "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
                                               "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  size_t n = 0;
  while (n < text.size()) {
    const unsigned char c = text[n];
    if (c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F)) {
      ++n;
      continue;
    }
    const auto* wide = std::find_if(std::begin(kWide), std::end(kWide),
                                    [&](std::string_view w) { return text.substr(n).starts_with(w); });
    if (wide == std::end(kWide)) break;
    n += wide->size();
  }
  return n;
}

std::string NewCallId() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return absl::StrFormat("call_%016x%08x", random(), static_cast<uint32_t>(random()));
}

}  // namespace

StreamParser::Delta StreamParser::Push(std::string_view text) {
  Delta delta;
  held_ += text;
  while (Step(delta)) {
  }
  return delta;
}

StreamParser::Delta StreamParser::Finish() {
  finishing_ = true;
  return Push("");
}

bool StreamParser::Step(Delta& delta) {
  switch (state_) {
    case State::kReasoning:
      return StepReasoning(delta);
    case State::kContent:
      return StepContent(delta);
    case State::kNextInvoke:
      return StepNextInvoke();
    case State::kInvoke:
      return StepInvoke(delta);
    case State::kParameter:
      return StepParameter(delta);
    case State::kValue:
      return StepValue(delta);
    case State::kNextParameter:
      return StepNextParameter(delta);
    case State::kAfterCalls:
      return StepAfterCalls();
    case State::kEnded:
      return !Rest().empty() && Fail("text after the end-of-sentence token");
    case State::kMalformed:
      return StepMalformed(delta);
  }
  return false;
}

bool StreamParser::Go(State next, size_t consumed) {
  state_ = next;
  cursor_ += consumed;
  return true;
}

void StreamParser::Commit() {
  held_.erase(0, cursor_);
  cursor_ = 0;
}

bool StreamParser::Fail(std::string_view fault) {
  fault_ = fault;
  cursor_ = 0;
  return Go(State::kMalformed, 0);
}

bool StreamParser::StepReasoning(Delta& delta) {
  const Found found = Find(Rest(), kInReasoning, !finishing_);
  const size_t ready = std::min(found.place, Rest().size());
  delta.reasoning += Rest().substr(0, ready);
  cursor_ += ready;
  Commit();
  if (found.marker.empty()) {
    open_ended_ = finishing_;
    return false;
  }
  if (found.marker != dsml::kThinkEnd) {
    return Fail(found.marker == kCalls || found.marker == dsml::kEnd ? "the reasoning has no end"
                                                                     : "a special token inside the reasoning");
  }
  Go(State::kContent, found.marker.size());
  Commit();
  return true;
}

bool StreamParser::StepContent(Delta& delta) {
  const Found found = Find(Rest(), kInContent, !finishing_);
  const size_t ready = std::min(found.place, Rest().size());
  delta.content += Rest().substr(0, ready);
  cursor_ += ready;
  Commit();
  if (found.marker.empty()) {
    open_ended_ = finishing_;
    return false;
  }
  if (found.marker == kCalls) return Go(State::kNextInvoke, kCalls.size());
  if (found.marker != dsml::kEnd) return Fail("a special token inside the content");
  Go(State::kEnded, dsml::kEnd.size());
  Commit();
  return true;
}

bool StreamParser::StepNextInvoke() {
  static const std::string kAnother = absl::StrCat(">\n", Absl(kInvoke));
  static const std::string kNoMore = absl::StrCat(">\n", Absl(kCallsEnd));
  if (Rest().starts_with(kAnother)) return Go(State::kInvoke, kAnother.size());
  if (Rest().starts_with(kNoMore)) {
    Go(State::kAfterCalls, kNoMore.size());
    Commit();
    return true;
  }
  if (!MayStartWith(Rest(), kAnother) && !MayStartWith(Rest(), kNoMore)) return Fail("tool call format error");
  // The published parser takes calls that end right behind a marker for complete.
  return finishing_ && !Rest().empty() && Fail("the tool calls have no end");
}

bool StreamParser::StepInvoke(Delta& delta) {
  const std::string_view rest = Rest();
  const Found found = Find(rest, {kParameter, kInvokeEnd}, !finishing_);
  if (found.marker.empty() && !finishing_) return false;
  const std::string_view head = rest.substr(0, found.marker.empty() ? rest.size() : found.place);
  if (!OpenCall(head, delta)) return Fail("tool name format error");
  Go(found.marker == kParameter ? State::kParameter : State::kNextInvoke, head.size() + found.marker.size());
  if (found.marker != kParameter) CloseCall(delta);
  return true;
}

// `head` is ` name="NAME">\n`. One more line feed at its end is as good, as it is to a regular expression's $.
bool StreamParser::OpenCall(std::string_view head, Delta& delta) {
  constexpr std::string_view kName = "name=\"", kNameEnd = "\">\n";
  head.remove_prefix(WhiteSpace(head));
  if (!head.starts_with(kName)) return false;
  head.remove_prefix(kName.size());
  if (head.ends_with("\">\n\n")) head.remove_suffix(1);
  if (!head.ends_with(kNameEnd)) return false;
  head.remove_suffix(kNameEnd.size());
  delta.tool_calls.push_back({calls_++, NewCallId(), std::string(head), "{"});
  parameters_.clear();
  return true;
}

void StreamParser::CloseCall(Delta& delta) {
  AppendArguments("}", delta);
  ++whole_calls_;
  Commit();
}

void StreamParser::AppendArguments(std::string_view json, Delta& delta) {
  if (json.empty()) return;
  if (delta.tool_calls.empty() || delta.tool_calls.back().index != calls_ - 1) {
    delta.tool_calls.push_back({calls_ - 1, "", "", ""});
  }
  delta.tool_calls.back().arguments += json;
}

bool StreamParser::StepParameter(Delta& delta) {
  constexpr std::string_view kFault = "parameter format error";
  constexpr std::string_view kName = " name=\"", kTrue = "\" string=\"true\">", kFalse = "\" string=\"false\">";
  const std::string_view rest = Rest();
  if (!MayStartWith(rest, kName)) return Fail(kFault);
  const size_t end = rest.find(kParameterEnd);
  const std::string_view tail = rest.substr(std::min(kName.size(), rest.size()));
  const size_t if_true = tail.find(kTrue), if_false = tail.find(kFalse);
  const size_t length = std::min(if_true, if_false);
  if (length == tail.npos) return (end != rest.npos || finishing_) && Fail(kFault);
  const std::string name(tail.substr(0, length));
  string_value_ = if_true < if_false;
  const size_t head = kName.size() + length + (string_value_ ? kTrue : kFalse).size();
  if (end < head) return Fail(kFault);
  if (std::find(parameters_.begin(), parameters_.end(), name) != parameters_.end()) {
    return Fail("duplicate parameter name");
  }
  AppendArguments(
      absl::StrCat(parameters_.empty() ? "\"" : ", \"", JsonEscape(name), string_value_ ? "\": \"" : "\": "), delta);
  parameters_.push_back(name);
  return Go(State::kValue, head);
}

bool StreamParser::StepValue(Delta& delta) {
  static const std::string kGood = absl::StrCat("<", Absl(kParameterEnd));
  static const std::string kAlsoGood = absl::StrCat("<\n", Absl(kParameterEnd));  // $ again
  const Found found = Find(Rest(), {kGood, kAlsoGood, kParameterEnd}, !finishing_);
  const std::string_view ready = Rest().substr(0, found.place);
  AppendArguments(string_value_ ? JsonEscape(ready) : std::string(ready), delta);
  cursor_ += ready.size();
  if (found.marker.empty()) return finishing_ && Fail("the parameter has no end");
  if (found.marker == kParameterEnd) return Fail("parameter format error");
  if (string_value_) AppendArguments("\"", delta);
  return Go(State::kNextParameter, found.marker.size());
}

bool StreamParser::StepNextParameter(Delta& delta) {
  static const std::string kAnother = absl::StrCat(">\n", Absl(kParameter));
  static const std::string kNoMore = absl::StrCat(">\n", Absl(kInvokeEnd));
  if (Rest().starts_with(kAnother)) return Go(State::kParameter, kAnother.size());
  const bool ends = Rest().starts_with(kNoMore);
  if (ends || (finishing_ && Rest() == ">\n")) {
    Go(State::kNextInvoke, ends ? kNoMore.size() : Rest().size());
    CloseCall(delta);
    return true;
  }
  const bool waiting = !finishing_ && (MayStartWith(Rest(), kAnother) || MayStartWith(Rest(), kNoMore));
  return !waiting && Fail("parameter format error");
}

bool StreamParser::StepAfterCalls() {
  if (Rest().starts_with(dsml::kEnd)) {
    Go(State::kEnded, dsml::kEnd.size());
    Commit();
    return true;
  }
  const bool waiting = MayStartWith(Rest(), dsml::kEnd) && (!finishing_ || Rest().empty());
  return !waiting && Fail("text after the tool calls");
}

bool StreamParser::StepMalformed(Delta& delta) {
  const Found found = Find(Rest(), {dsml::kEnd}, !finishing_);
  const size_t ready = std::min(found.place, Rest().size());
  delta.content += Rest().substr(0, ready);
  Go(State::kMalformed, ready + found.marker.size());
  Commit();
  return !found.marker.empty();
}

absl::StatusOr<Json> ParseCompletion(std::string_view completion, bool thinking) {
  StreamParser parser(thinking);
  StreamParser::Delta message = parser.Push(completion);
  StreamParser::Delta last = parser.Finish();
  if (parser.malformed()) return absl::InvalidArgumentError(absl::StrCat("malformed completion: ", parser.fault()));
  if (parser.open_ended()) return absl::InvalidArgumentError("the completion has no end-of-sentence token");
  std::vector<StreamParser::Delta::ToolCall>& pieces = message.tool_calls;
  pieces.insert(pieces.end(), last.tool_calls.begin(), last.tool_calls.end());
  Json calls = Json::array();
  for (const StreamParser::Delta::ToolCall& piece : pieces) {
    if (!piece.id.empty()) {
      calls.push_back({{"type", "function"}, {"function", {{"name", piece.name}, {"arguments", ""}}}});
    }
    calls.back()["function"]["arguments"].get_ref<std::string&>() += piece.arguments;
  }
  return Json{{"role", "assistant"},
              {"content", message.content},
              {"reasoning_content", message.reasoning},
              {"tool_calls", std::move(calls)}};
}

}  // namespace modelc
