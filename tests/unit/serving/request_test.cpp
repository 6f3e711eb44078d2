#include "core/serving/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/serving/error.h"

namespace modelc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json Hello() { return {{"messages", Json::array({{{"role", "user"}, {"content", "Hi"}}})}}; }
Json Hello(const char* field, Json value) {
  Json body = Hello();
  body[field] = std::move(value);
  return body;
}
Json Tool(const char* name) {
  return {{"type", "function"}, {"function", {{"name", name}, {"parameters", {{"type", "object"}}}}}};
}

// The field that a chat request is refused for, or "" where it is taken.
std::string Refused(const Json& body) {
  const auto request = ParseChatRequest(body, {});
  if (request.ok()) return "";
  const ApiError error = ToApiError(request.status());
  EXPECT_EQ(error.http_status, 400);
  EXPECT_FALSE(error.body["error"]["message"].get<std::string>().empty());
  const Json& param = error.body["error"]["param"];
  return param.is_null() ? "null" : param.get<std::string>();
}

TEST(ChatRequest, DefaultsComeFromTheModel) {
  ServingDefaults defaults;
  defaults.sampling.temperature = 0;
  defaults.thinking = false;
  defaults.max_output_tokens = 9;
  const auto request = ParseChatRequest(Hello(), defaults);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->sampling.temperature, 0);
  EXPECT_FALSE(request->thinking);
  EXPECT_EQ(request->max_tokens, 9);
  EXPECT_FALSE(request->max_tokens_given);
  EXPECT_THAT(std::get<std::string>(request->prompts[0]), testing::EndsWith("</think>"));
}

TEST(ChatRequest, ThinkingHasThreeSpellings) {
  const struct {
    const char* field;
    Json value;
    bool thinking;
  } cases[] = {
      {"thinking", {{"type", "disabled"}}, false},
      {"thinking", {{"type", "enabled"}}, true},
      {"chat_template_kwargs", {{"thinking", false}}, false},
      {"chat_template_kwargs", {{"other", 1}}, true},
      {"reasoning_effort", "none", false},
      {"reasoning_effort", "high", true},
  };
  for (const auto& c : cases) {
    const auto request = ParseChatRequest(Hello(c.field, c.value), {});
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_EQ(request->thinking, c.thinking) << c.field << c.value;
  }
  EXPECT_EQ(Refused(Hello("thinking", {{"type", "maybe"}})), "thinking.type");
  EXPECT_EQ(Refused(Hello("thinking", true)), "thinking");
  EXPECT_EQ(Refused(Hello("chat_template_kwargs", {{"thinking", "no"}})), "chat_template_kwargs.thinking");
}

TEST(ChatRequest, WrongTypesAndValuesNameTheField) {
  const struct {
    const char* field;
    Json value;
  } cases[] = {
      {"model", 5},
      {"messages", "Hi"},
      {"messages", nullptr},
      {"messages", Json::array()},
      {"temperature", "hot"},
      {"temperature", 2.5},
      {"temperature", -1},
      {"top_p", 1.5},
      {"top_k", 1.5},
      {"top_k", -2},
      {"min_p", 2},
      {"presence_penalty", 3},
      {"frequency_penalty", "x"},
      {"n", 0},
      {"n", 1000},
      {"n", 1.0},
      {"seed", "x"},
      {"seed", 1.5},
      {"max_tokens", 0},
      {"max_tokens", -5},
      {"max_tokens", true},
      {"max_completion_tokens", "many"},
      {"stream", "yes"},
      {"stop", 5},
      {"stop", Json::array({""})},
      {"stop", Json::array({"a", 1})},
      {"stop", std::string(2000, 'x')},
      {"logprobs", 2},
      {"top_logprobs", 3},  // without logprobs
      {"logit_bias", Json::array()},
      {"logit_bias", {{"x", 1}}},
      {"logit_bias", {{"5", 101}}},
      {"tools", "calculator"},
      {"tool_choice", "sometimes"},
      {"response_format", "json"},
      {"stream_options", {{"include_usage", true}}},  // without stream
  };
  for (const auto& c : cases) EXPECT_EQ(Refused(Hello(c.field, c.value)), c.field) << c.value;
  EXPECT_EQ(Refused(Hello("response_format", {{"type", "xml"}})), "response_format.type");
}

TEST(ChatRequest, UnknownFieldsAndNullsAreIgnored) {
  EXPECT_EQ(Refused(Hello("frobnicate", {{"a", 1}})), "");
  for (const char* field : {"temperature", "stop", "tools", "tool_choice", "stream", "logit_bias", "seed"}) {
    EXPECT_EQ(Refused(Hello(field, nullptr)), "") << field;
  }
}

TEST(ChatRequest, MessagesAreCheckedOneByOne) {
  const auto with = [](Json message) { return Json{{"messages", Json::array({{{"role", "user"}, {"content", "a"}}, message})}}; };
  EXPECT_EQ(Refused(with("Hi")), "messages[1]");
  EXPECT_EQ(Refused(with({{"content", "x"}})), "messages[1].role");
  EXPECT_EQ(Refused(with({{"role", "critic"}, {"content", "x"}})), "messages[1].role");
  EXPECT_EQ(Refused(with({{"role", 5}, {"content", "x"}})), "messages[1].role");
  EXPECT_EQ(Refused(with({{"role", "user"}})), "messages[1].content");
  EXPECT_EQ(Refused(with({{"role", "user"}, {"content", 5}})), "messages[1].content");
  EXPECT_EQ(Refused(with({{"role", "user"}, {"content", Json::array({{{"type", "image_url"}}})}})),
            "messages[1].content[0].type");
  EXPECT_EQ(Refused(with({{"role", "assistant"}, {"content", "b"}})), "messages[1].role");
  EXPECT_EQ(Refused(with({{"role", "assistant"}, {"tool_calls", Json::array({{{"id", "c"}}})}})),
            "messages[1].tool_calls[0].function");
  EXPECT_EQ(Refused(with({{"role", "tool"}, {"content", "nothing was called"}})), "messages");
}

// Of an assistant's calls "a" and "b", and of what is said to come after them.
Json AfterTwoCalls(std::initializer_list<Json> after) {
  const auto call = [](const char* id) {
    return Json{{"id", id}, {"type", "function"}, {"function", {{"name", id}, {"arguments", "{}"}}}};
  };
  Json messages = Json::array({{{"role", "user"}, {"content", "q"}}, {{"role", "assistant"}, {"tool_calls", {call("a"), call("b")}}}});
  for (const Json& message : after) messages.push_back(message);
  return {{"messages", messages}};
}
Json Result(const char* id, const char* content) { return {{"role", "tool"}, {"tool_call_id", id}, {"content", content}}; }

TEST(ChatRequest, ResultsGoToTheirCalls) {
  const auto request = ParseChatRequest(AfterTwoCalls({Result("b", "of b"), Result("a", "of a")}), {});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(std::get<std::string>(request->prompts[0]), HasSubstr("<result>of a</result>\n<result>of b</result>"));
  EXPECT_EQ(Refused(AfterTwoCalls({Result("a", "x")})), "messages[1].tool_calls");
  EXPECT_EQ(Refused(AfterTwoCalls({Result("a", "x"), Result("b", "y"), Result("a", "z")})), "messages[1].tool_calls");
  EXPECT_EQ(Refused(AfterTwoCalls({Result("a", "x"), Result("a", "y")})), "messages[3].tool_call_id");
  EXPECT_EQ(Refused(AfterTwoCalls({Result("a", "x"), Result("c", "y")})), "messages[3].tool_call_id");
  // Without ids the order says it.
  EXPECT_EQ(Refused(AfterTwoCalls({{{"role", "tool"}, {"content", "x"}}, {{"role", "tool"}, {"content", "y"}}})), "");
}

TEST(ChatRequest, ADeveloperSpeaksLikeASystemMessage) {
  Json body = Hello();
  body["messages"].insert(body["messages"].begin(), Json{{"role", "developer"}, {"content", "Be brief."}});
  for (const char* effort : {"high", "none"}) {
    body["reasoning_effort"] = effort;
    const auto request = ParseChatRequest(body, {});
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_THAT(std::get<std::string>(request->prompts[0]), HasSubstr("<｜begin▁of▁sentence｜>Be brief.<｜User｜>Hi"));
  }
}

TEST(ChatRequest, BiasesAreFew) {
  Json bias;
  for (int i = 0; i < 2000; ++i) bias[std::to_string(i)] = 1;
  EXPECT_EQ(Refused(Hello("logit_bias", bias)), "logit_bias");
}

TEST(ChatRequest, TextPartsAreJoined) {
  Json body;
  body["messages"] = Json::array({{{"role", "user"},
                                   {"content", Json::array({{{"type", "text"}, {"text", "one "}},
                                                            {{"type", "text"}, {"text", "two"}}})}}});
  const auto request = ParseChatRequest(body, {});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(std::get<std::string>(request->prompts[0]), HasSubstr("<｜User｜>one two<｜Assistant｜>"));
}

TEST(ChatRequest, ToolsReachThePromptUnlessSwitchedOff) {
  Json body = Hello("tools", Json::array({Tool("calculator")}));
  auto request = ParseChatRequest(body, {});
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(std::get<std::string>(request->prompts[0]), HasSubstr(R"({"name": "calculator")"));
  body["tool_choice"] = "none";
  request = ParseChatRequest(body, {});
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(std::get<std::string>(request->prompts[0]).find("calculator"), std::string::npos);
  EXPECT_EQ(request->grammar, nullptr);
  EXPECT_EQ(Refused(Hello("tools", Json::array({Json{{"type", "function"}}}))), "tools[0].function");
  EXPECT_EQ(Refused(Hello("tools", Json::array({Tool("")}))), "tools[0].function.name");
  ServingDefaults no_tools;
  no_tools.tools = false;
  EXPECT_FALSE(ParseChatRequest(Hello("tools", Json::array({Tool("calculator")})), no_tools).ok());
}

TEST(ChatRequest, WhatIsDemandedOfTheAnswerBecomesAGrammar) {
  const Json named = {{"type", "function"}, {"function", {{"name", "calculator"}}}};
  for (const Json& choice : {Json("required"), named}) {
    Json body = Hello("tools", Json::array({Tool("calculator")}));
    body["tool_choice"] = choice;
    const auto request = ParseChatRequest(body, {});
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_NE(request->grammar, nullptr);
    EXPECT_EQ(Refused(Hello("tool_choice", choice)), "tool_choice") << "there are no tools";
  }
  Json body = Hello("tools", Json::array({Tool("clock")}));
  body["tool_choice"] = named;
  EXPECT_EQ(Refused(body), "tool_choice") << "there is no calculator";
  body["tool_choice"] = {{"type", "function"}};
  EXPECT_EQ(Refused(body), "tool_choice");

  EXPECT_NE(ParseChatRequest(Hello("response_format", {{"type", "json_object"}}), {})->grammar, nullptr);
  Json format = {{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"strict", true}, {"schema", {{"type", "string"}}}}}};
  EXPECT_NE(ParseChatRequest(Hello("response_format", format), {})->grammar, nullptr);
  format["json_schema"]["schema"]["pattern"] = "a+";
  EXPECT_EQ(Refused(Hello("response_format", format)), "response_format.json_schema.schema");
  format["json_schema"]["schema"] = {{"$ref", "#"}};
  EXPECT_EQ(Refused(Hello("response_format", format)), "response_format");
}

TEST(ChatRequest, AMessageCannotBringItsOwnTools) {
  Json body = Hello();
  body["messages"][0]["tools"] = Json::array({Tool("smuggled")});
  const auto request = ParseChatRequest(body, {});
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(std::get<std::string>(request->prompts[0]).find("smuggled"), std::string::npos);
}

TEST(CompletionRequest, PromptsComeInFourForms) {
  const auto prompts = [](Json prompt) { return ParseCompletionRequest({{"prompt", std::move(prompt)}}, {}); };
  EXPECT_EQ(prompts("a")->prompts.size(), 1u);
  EXPECT_EQ(prompts(Json::array({"a", "b"}))->prompts.size(), 2u);
  EXPECT_THAT(std::get<std::vector<int32_t>>(prompts(Json::array({1, 2}))->prompts[0]), ElementsAre(1, 2));
  EXPECT_EQ(prompts(Json::array({Json::array({1}), Json::array({2})}))->prompts.size(), 2u);
  for (const Json& bad : {Json(5), Json::array(), Json::array({Json()}), Json::array({-1}), Json::object()}) {
    EXPECT_FALSE(prompts(bad).ok()) << bad;
  }
  EXPECT_FALSE(ParseCompletionRequest(Json::object(), {}).ok());
  EXPECT_FALSE(ParseCompletionRequest({{"prompt", "a"}, {"suffix", "b"}}, {}).ok());
}

}  // namespace
}  // namespace modelc
