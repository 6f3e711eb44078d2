#include "core/text/chat.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/text/cases.h"

namespace modelc {
namespace {

using ::testing::HasSubstr;

TEST(EncodeChat, EqualsEveryRecordedCase) {
  for (const Json& c : ChatCases("encode")) {
    SCOPED_TRACE(c["id"]);
    absl::StatusOr<std::string> prompt =
        EncodeChat(c["messages"], {.thinking = c["thinking_mode"] == "thinking",
                                   .drop_thinking = c["drop_thinking"],
                                   .add_default_bos_token = c["add_default_bos_token"]});
    if (c.contains("error")) {
      EXPECT_EQ(prompt.status().code(), absl::StatusCode::kInvalidArgument);
    } else {
      ASSERT_TRUE(prompt.ok()) << prompt.status();
      EXPECT_EQ(*prompt, c["prompt"].get<std::string>());
    }
  }
}

TEST(ParseCompletion, EqualsEveryRecordedCase) {
  for (const Json& c : ChatCases("parse")) {
    SCOPED_TRACE(c["id"]);
    absl::StatusOr<Json> message =
        ParseCompletion(c["completion"].get<std::string>(), c["thinking_mode"] == "thinking");
    if (c.contains("error")) {
      EXPECT_EQ(message.status().code(), absl::StatusCode::kInvalidArgument);
    } else {
      ASSERT_TRUE(message.ok()) << message.status();
      EXPECT_EQ(*message, c["message"]);
    }
  }
}

std::string Error(const char* messages, ChatOptions options = {}) {
  absl::StatusOr<std::string> prompt = EncodeChat(ParseJson(messages).value(), options);
  return prompt.ok() ? "no error: " + *prompt : std::string(prompt.status().message());
}

TEST(EncodeChat, ErrorsNameTheMessage) {
  EXPECT_THAT(Error(R"({"role": "user"})"), HasSubstr("must be an array"));
  EXPECT_THAT(Error(R"([{"role": "user", "content": "a"}, 3])"), HasSubstr("messages[1] is not an object"));
  EXPECT_THAT(Error(R"([{"content": "a"}])"), HasSubstr("messages[0] has the unknown role None"));
  EXPECT_THAT(Error(R"([{"role": "critic"}])"), HasSubstr("messages[0] has the unknown role critic"));
  EXPECT_THAT(Error(R"([{"role": "developer", "content": "a"}, {"role": "user", "content": "b"}])"),
              HasSubstr("messages[0] has the role developer"));
  EXPECT_THAT(Error(R"([{"role": "system", "tools": [{"type": "function"}]}])"),
              HasSubstr("tools[0] without function"));
  EXPECT_THAT(Error(R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}])"),
              HasSubstr("tool_calls[0] with arguments that are not a string"));
  EXPECT_THAT(Error(R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}]}])"),
              HasSubstr("not a JSON object"));
  EXPECT_THAT(Error(R"([{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}])"),
              HasSubstr("messages[1] has the role tool"));
}

TEST(EncodeChat, WritesMissingContentAsPythonFormatsIt) {
  EXPECT_EQ(EncodeChat(ParseJson(R"([{"role": "system"}, {"role": "user"}])").value(), {}).value(),
            "<｜begin▁of▁sentence｜><｜User｜>None<｜Assistant｜><think>");
}

TEST(EncodeChat, KeepsLargeIntegersOfArguments) {
  const Json messages = ParseJson(
                            R"([{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls":
          [{"function": {"name": "f", "arguments": "{\"id\": 12345678901234567890123, \"x\": 1e3}"}}]}])")
                            .value();
  const std::string prompt = EncodeChat(messages, {.thinking = false}).value();
  EXPECT_THAT(prompt, HasSubstr("string=\"false\">12345678901234567890123<"));
  EXPECT_THAT(prompt, HasSubstr("string=\"false\">1000.0<"));
}

TEST(WithTools, PutsThemOnTheFirstSystemMessage) {
  const Json tools = ParseJson(R"([{"type": "function", "function": {"name": "f"}}])").value();
  const Json user = ParseJson(R"([{"role": "user", "content": "a"}])").value();
  EXPECT_EQ(WithTools(user, nullptr), user);
  EXPECT_EQ(WithTools(user, Json::array()), user);
  Json made = WithTools(user, tools);
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(made[0]["role"], "system");
  EXPECT_EQ(made[0]["tools"], tools);
  EXPECT_EQ(made[1], user[0]);
  const Json both = ParseJson(R"([{"role": "user", "content": "a"}, {"role": "system", "content": "s"}])").value();
  Json put = WithTools(both, nullptr, {{"type", "json_object"}});
  ASSERT_EQ(put.size(), 2u);
  EXPECT_FALSE(put[1].contains("tools"));
  EXPECT_EQ(put[1]["response_format"]["type"], "json_object");
}

}  // namespace
}  // namespace modelc
