#include <random>

#include "core/text/chat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/text/cases.h"

namespace modelc {
namespace {

// What a client has when the stream is over.
struct Received {
  std::string reasoning, content;
  std::vector<StreamParser::Delta::ToolCall> calls;
  bool malformed = false, open_ended = false;

  void Add(const StreamParser::Delta& delta) {
    reasoning += delta.reasoning;
    content += delta.content;
    for (const auto& piece : delta.tool_calls) {
      if (!piece.id.empty()) {
        EXPECT_EQ(piece.index, static_cast<int>(calls.size()));
        calls.push_back(piece);
      } else {
        ASSERT_EQ(piece.index, static_cast<int>(calls.size()) - 1);
        EXPECT_EQ(piece.name, "");
        calls.back().arguments += piece.arguments;
      }
    }
  }

  Json Message() const {
    Json tool_calls = Json::array();
    for (const auto& call : calls) {
      tool_calls.push_back({{"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
    return {{"role", "assistant"}, {"content", content}, {"reasoning_content", reasoning}, {"tool_calls", tool_calls}};
  }
};

Received Stream(const std::vector<std::string_view>& pieces, bool thinking) {
  StreamParser parser(thinking);
  Received received;
  for (std::string_view piece : pieces) received.Add(parser.Push(piece));
  received.Add(parser.Finish());
  received.malformed = parser.malformed();
  received.open_ended = parser.open_ended();
  EXPECT_LE(parser.whole_calls(), static_cast<int>(received.calls.size()));
  if (!parser.malformed()) EXPECT_EQ(parser.whole_calls(), static_cast<int>(received.calls.size()));
  return received;
}

std::vector<std::string_view> Cut(std::string_view text, std::mt19937& random, size_t longest) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    const size_t n = std::min(text.size(), random() % longest + 1);
    pieces.push_back(text.substr(0, n));
    text.remove_prefix(n);
  }
  return pieces;
}

const std::string kBlock = "\n\n<｜DSML｜function_calls>\n";
const std::string kBlockEnd = "</｜DSML｜function_calls>";
const std::string kEos = "<｜end▁of▁sentence｜>";

std::string Invoke(const std::string& name, const std::string& parameters) {
  return "<｜DSML｜invoke name=\"" + name + "\">\n" + parameters + "</｜DSML｜invoke>\n";
}
std::string Parameter(const std::string& name, const std::string& value, const char* string = "true") {
  return "<｜DSML｜parameter name=\"" + name + "\" string=\"" + string + "\">" + value + "</｜DSML｜parameter>\n";
}

// The recorded completions and more of them; both modes apply to each.
std::vector<std::string> Completions() {
  std::vector<std::string> texts;
  for (const Json& c : ChatCases("parse")) texts.push_back(c["completion"]);
  const std::string calls =
      "think</think>Hello 中🙂" + kBlock +
      Invoke("f", Parameter("a", "x \"quoted\" \\ <b> </｜DSML \n\x01 é") + Parameter("b", "[1, {}]", "false")) +
      Invoke("noargs", "") + Invoke("g", Parameter("c", "")) + kBlockEnd + kEos;
  texts.push_back(calls);
  for (size_t n = 0; n < calls.size(); n += 3) texts.push_back(calls.substr(0, n));  // cut anywhere
  for (const char* tail : {"", "\n", "tail", "\n\n"})
    texts.push_back("c" + kBlock + Invoke("f", "") + kBlockEnd + tail + kEos);
  texts.push_back("c" + kBlock + Invoke("f", Parameter("a", "1") + Parameter("a", "2")) + kBlockEnd + kEos);
  texts.push_back("c" + kBlock + Invoke("f", Parameter("a", "1<\n")) + kBlockEnd + kEos);
  texts.push_back("c" + kBlock +
                  Invoke("f", "<｜DSML｜parameter name=\"a\" string=\"true\">v<\n/｜DSML｜parameter>\n") + kBlockEnd +
                  kEos);
  texts.push_back("c" + kBlock + Invoke("f", "<｜DSML｜parameter name=\"a\" string=\"true\">v/｜DSML｜parameter>\n") +
                  kBlockEnd + kEos);
  texts.push_back("c" + kBlock + "<｜DSML｜invoke \u3000name=\"f\">\n\n</｜DSML｜invoke>\n" + kBlockEnd + kEos);
  texts.push_back("c\n\n<｜DSML｜function_call" + kEos);
  texts.push_back("c\n\n<｜DSML｜");
  texts.push_back("c\n\n\n<｜DSML｜function_calls");
  texts.push_back("a<think>b" + kBlock + Invoke("f", "") + kBlockEnd + kEos);
  texts.push_back(kEos + kEos);
  return texts;
}

TEST(StreamParser, EqualsTheWholeParsedAtOnceHoweverTheTextIsCut) {
  std::mt19937 random(7);
  for (const std::string& text : Completions()) {
    for (bool thinking : {true, false}) {
      SCOPED_TRACE(testing::Message() << (thinking ? "thinking: " : "chat: ") << text);
      const Received whole = Stream({text}, thinking);
      absl::StatusOr<Json> message = ParseCompletion(text, thinking);
      EXPECT_EQ(message.ok(), !whole.malformed && !whole.open_ended) << message.status();
      if (message.ok()) EXPECT_EQ(whole.Message(), *message);
      const auto check = [&](const std::vector<std::string_view>& pieces) {
        const Received cut = Stream(pieces, thinking);
        EXPECT_EQ(cut.Message(), whole.Message());
        EXPECT_EQ(cut.malformed, whole.malformed);
        EXPECT_EQ(cut.open_ended, whole.open_ended);
      };
      for (size_t longest : {1, 2, 5, 17, 60}) check(Cut(text, random, longest));
      for (size_t at = 0; at <= text.size(); at += 1 + random() % 7) {
        check({std::string_view(text).substr(0, at), std::string_view(text).substr(at)});
      }
    }
  }
}

TEST(StreamParser, NeverShowsPartOfAMarker) {
  const std::string text = "why</think>so" + kBlock + Invoke("f", Parameter("a", "v")) + kBlockEnd + kEos;
  StreamParser parser(true);
  std::string shown;
  for (char c : text) {
    StreamParser::Delta delta = parser.Push({&c, 1});
    shown += delta.reasoning + delta.content;
    for (const auto& call : delta.tool_calls) shown += call.name + call.arguments;
  }
  EXPECT_EQ(shown, "whysof{\"a\": \"v\"}");
  EXPECT_TRUE(parser.Finish().empty());
}

TEST(StreamParser, StreamsLongArgumentsAsTheyCome) {
  StreamParser parser(false);
  parser.Push(kBlock + "<｜DSML｜invoke name=\"write\">\n<｜DSML｜parameter name=\"text\" string=\"true\">");
  StreamParser::Delta delta = parser.Push("line \"one\"\n");
  ASSERT_EQ(delta.tool_calls.size(), 1u);
  EXPECT_EQ(delta.tool_calls[0].arguments, "line \\\"one\\\"\\n");
  EXPECT_EQ(delta.tool_calls[0].index, 0);
}

TEST(StreamParser, CallsHaveDifferentIds) {
  StreamParser parser(false);
  StreamParser::Delta delta = parser.Push(kBlock + Invoke("f", "") + Invoke("f", "") + kBlockEnd + kEos);
  ASSERT_EQ(delta.tool_calls.size(), 2u);
  EXPECT_THAT(delta.tool_calls[0].id, testing::StartsWith("call_"));
  EXPECT_NE(delta.tool_calls[0].id, delta.tool_calls[1].id);
}

TEST(StreamParser, MalformedCallsComeAsContent) {
  const std::string good = Invoke("f", Parameter("a", "1", "false"));
  const std::string bad = Invoke("g", Parameter("b", "2", "maybe"));
  Received received = Stream({"hi" + kBlock + good + bad + kBlockEnd + kEos}, false);
  EXPECT_TRUE(received.malformed);
  EXPECT_EQ(received.calls[0].arguments, "{\"a\": 1}");
  // `good` up to its end marker was a call; the rest is there, without the end-of-sentence token.
  EXPECT_EQ(received.content, "hi>\n" + bad + kBlockEnd);

  received = Stream({"x" + kBlock + "junk" + kBlockEnd + kEos}, false);
  EXPECT_TRUE(received.malformed);
  EXPECT_EQ(received.content, "x" + kBlock + "junk" + kBlockEnd);

  received = Stream({"thought" + kBlock + good + kBlockEnd + kEos}, true);
  EXPECT_TRUE(received.malformed);
  EXPECT_EQ(received.reasoning, "thought");
  EXPECT_EQ(received.content, kBlock + good + kBlockEnd);
}

TEST(StreamParser, TextWithoutItsEndTokenIsNotMalformed) {
  Received received = Stream({"why</think>", "so"}, true);
  EXPECT_FALSE(received.malformed);
  EXPECT_TRUE(received.open_ended);
  EXPECT_EQ(received.reasoning, "why");
  EXPECT_EQ(received.content, "so");
}

}  // namespace
}  // namespace modelc
