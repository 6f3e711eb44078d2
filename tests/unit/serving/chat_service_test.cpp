#include "core/serving/chat_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/serving/error.h"
#include "tests/unit/serving/fakes.h"

namespace modelc {
namespace {

using testing::ElementsAre;

constexpr char kCall[] =
    "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"calculator\">\n"
    "<｜DSML｜parameter name=\"expression\" string=\"true\">2 + 2</｜DSML｜parameter>\n"
    "</｜DSML｜invoke>\n</｜DSML｜function_calls>";

// A service whose model always gives the same answer.
struct Scripted {
  explicit Scripted(std::string_view answer, bool hold = false)
      : engine(answer, hold), service("scripted", &engine, &tokenizer, EndingDefaults()) {}

  Json Respond(const char* body) {
    absl::StatusOr<Json> response = service.Respond(Json::parse(body));
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : Json();
  }
  std::vector<Json> Stream(const char* body) {
    std::vector<Json> chunks;
    const absl::Status status = service.Stream(Json::parse(body), [&](const Json& chunk) {
      chunks.push_back(chunk);
      return true;
    });
    EXPECT_TRUE(status.ok()) << status;
    return chunks;
  }
  Json Error(const char* body) {
    const absl::StatusOr<Json> response = service.Respond(Json::parse(body));
    EXPECT_FALSE(response.ok()) << *response;
    return response.ok() ? Json() : ToApiError(response.status()).body["error"];
  }

  ByteTokenizer tokenizer;
  ScriptedEngine engine;
  ChatService service;
};

constexpr char kHello[] = R"({"messages": [{"role": "user", "content": "Hi"}]})";

TEST(ChatService, SplitsReasoningFromContent) {
  Scripted model("thought</think>said");
  const Json response = model.Respond(kHello);
  EXPECT_EQ(response["object"], "chat.completion");
  EXPECT_EQ(response["model"], "scripted");
  const Json& choice = response["choices"][0];
  EXPECT_EQ(choice["message"], (Json{{"role", "assistant"}, {"content", "said"}, {"reasoning_content", "thought"}}));
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_FALSE(choice.contains("warning"));
  const Json& usage = response["usage"];
  const int64_t prompt = model.engine.requests()[0].prompt.size();
  EXPECT_EQ(usage["prompt_tokens"], prompt);
  EXPECT_EQ(usage["completion_tokens"], 7 + 1 + 4 + 1);  // the end token counts
  EXPECT_EQ(usage["total_tokens"], prompt + 13);
  EXPECT_EQ(usage["completion_tokens_details"]["reasoning_tokens"], 8);
  EXPECT_EQ(usage["prompt_tokens_details"]["cached_tokens"], 3);
  EXPECT_EQ(usage["prompt_cache_hit_tokens"], 3);
  EXPECT_EQ(usage["prompt_cache_miss_tokens"], prompt - 3);
}

TEST(ChatService, AStreamAddsUpToTheResponse) {
  Scripted model("thought</think>said");
  const std::vector<Json> chunks =
      model.Stream(R"({"messages": [{"role": "user", "content": "Hi"}], "stream_options": {"include_usage": true}})");
  std::string reasoning, content, finish;
  for (const Json& chunk : chunks) {
    EXPECT_EQ(chunk["object"], "chat.completion.chunk");
    EXPECT_EQ(chunk["id"], chunks[0]["id"]);
    for (const Json& choice : chunk["choices"]) {
      reasoning += choice["delta"].value("reasoning_content", "");
      content += choice["delta"].value("content", "");
      if (!choice["finish_reason"].is_null()) finish = choice["finish_reason"];
    }
  }
  EXPECT_EQ(chunks[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(reasoning, "thought");
  EXPECT_EQ(content, "said");
  EXPECT_EQ(finish, "stop");
  EXPECT_TRUE(chunks.back()["choices"].empty());
  EXPECT_EQ(chunks.back()["usage"]["completion_tokens"], 13);
  EXPECT_TRUE(chunks[1]["usage"].is_null());
}

TEST(ChatService, ToolCallsComeApart) {
  Scripted model(std::string("so</think>") + kCall);
  const char* body = R"({"messages": [{"role": "user", "content": "2 + 2"}],
      "tools": [{"type": "function", "function": {"name": "calculator", "parameters": {"type": "object"}}}]})";
  const Json choice = model.Respond(body)["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_TRUE(choice["message"]["content"].is_null());
  const Json& call = choice["message"]["tool_calls"][0];
  EXPECT_EQ(call["function"]["name"], "calculator");
  EXPECT_EQ(Json::parse(call["function"]["arguments"].get<std::string>()), (Json{{"expression", "2 + 2"}}));
  EXPECT_FALSE(call["id"].get<std::string>().empty());

  std::string arguments;
  int openings = 0;
  for (const Json& chunk : model.Stream(body)) {
    const Json delta = chunk["choices"][0]["delta"];
    for (const Json& piece : delta.value("tool_calls", Json::array())) {
      EXPECT_EQ(piece["index"], 0);
      openings += piece.contains("id");
      arguments += piece["function"]["arguments"].get<std::string>();
    }
    EXPECT_EQ(delta.value("content", "").find("DSML"), std::string::npos);
  }
  EXPECT_EQ(openings, 1);
  EXPECT_EQ(Json::parse(arguments), (Json{{"expression", "2 + 2"}}));
}

TEST(ChatService, MalformedAnswersLoseNothingAndSaySo) {
  Scripted model("so</think>\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke nonsense");
  const Json choice = model.Respond(kHello)["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_NE(choice["message"]["content"].get<std::string>().find("nonsense"), std::string::npos);
  EXPECT_NE(choice["warning"].get<std::string>().find("malformed"), std::string::npos);
}

// A call that is not whole is no call; the one before it stays.
TEST(ChatService, BrokenCallsAreTextAlone) {
  constexpr char kBroken[] = "<｜DSML｜invoke name=\"rm\">\n<｜DSML｜parameter name=\"path\" string=\"true\">/tmp</｜DSML｜parameter>junk";
  Scripted alone(std::string("so</think>\n\n<｜DSML｜function_calls>\n") + kBroken);
  Json choice = alone.Respond(kHello)["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_FALSE(choice["message"].contains("tool_calls"));
  EXPECT_NE(choice["message"]["content"].get<std::string>().find("/tmp"), std::string::npos);
  EXPECT_TRUE(choice.contains("warning"));

  std::string second = std::string("so</think>") + kCall;
  second.replace(second.find("\n</｜DSML｜function_calls>"), std::string::npos, std::string("\n") + kBroken);
  choice = Scripted(second).Respond(kHello)["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  ASSERT_EQ(choice["message"]["tool_calls"].size(), 1u);
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["name"], "calculator");
  EXPECT_NE(choice["message"]["content"].get<std::string>().find("/tmp"), std::string::npos);
}

TEST(ChatService, ACallOfNoNameIsStillOne) {
  std::string answer = std::string("so</think>") + kCall;
  answer.replace(answer.find("calculator"), 10, "");
  const Json choice = Scripted(answer).Respond(kHello)["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["name"], "");
  EXPECT_FALSE(choice["message"]["tool_calls"][0]["id"].get<std::string>().empty());
}

TEST(ChatService, StopStringsCutTheContentAlone) {
  Scripted model("a STOP here</think>one STOP two");
  const Json response = model.Respond(R"({"messages": [{"role": "user", "content": "Hi"}], "stop": ["STOP"]})");
  EXPECT_EQ(response["choices"][0]["message"]["content"], "one ");
  EXPECT_EQ(response["choices"][0]["message"]["reasoning_content"], "a STOP here");
  EXPECT_EQ(response["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(model.engine.WaitForCancelled(1));
}

TEST(ChatService, MaxTokensEndWithLength) {
  Scripted model("abcdef");
  const Json response = model.Respond(
      R"({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3, "thinking": {"type": "disabled"}})");
  EXPECT_EQ(response["choices"][0]["message"]["content"], "abc");
  EXPECT_EQ(response["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(response["usage"]["completion_tokens"], 3);
}

TEST(ChatService, SeveralChoicesShareAPrompt) {
  Scripted model("x</think>yes");
  const Json response = model.Respond(R"({"messages": [{"role": "user", "content": "Hi"}], "n": 3, "seed": 5})");
  ASSERT_EQ(response["choices"].size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(response["choices"][i]["index"], i);
    EXPECT_EQ(response["choices"][i]["message"]["content"], "yes");
  }
  std::vector<uint64_t> seeds;
  for (const GenerateRequest& request : model.engine.requests()) seeds.push_back(*request.sampling.seed);
  EXPECT_THAT(seeds, ElementsAre(5, 6, 7));
  EXPECT_EQ(response["usage"]["prompt_tokens"], model.engine.requests()[0].prompt.size());
  EXPECT_EQ(response["usage"]["completion_tokens"], 3 * 6);
}

TEST(ChatService, LogprobsFollowTheTokens) {
  Scripted model("x</think>yes");
  const char* body = R"({"messages": [{"role": "user", "content": "Hi"}], "logprobs": true, "top_logprobs": 2})";
  const Json logprobs = model.Respond(body)["choices"][0]["logprobs"];
  ASSERT_EQ(logprobs["reasoning_content"].size(), 2u);
  ASSERT_EQ(logprobs["content"].size(), 4u);
  EXPECT_EQ(logprobs["content"][0]["token"], "y");
  EXPECT_EQ(logprobs["content"][0]["logprob"], -0.5);
  EXPECT_EQ(logprobs["content"][0]["bytes"], Json::array({121}));
  EXPECT_EQ(logprobs["content"][0]["top_logprobs"].size(), 2u);
  size_t streamed = 0;
  for (const Json& chunk : model.Stream(body)) {
    const Json& part = chunk["choices"][0]["logprobs"];
    if (!part.is_null()) streamed += part.value("content", Json::array()).size();
  }
  EXPECT_EQ(streamed, 4u);
}

TEST(ChatService, JsonThatIsNoneIsPointedOut) {
  const char* body = R"({"messages": [{"role": "user", "content": "As JSON"}], "response_format": {"type": "json_object"}})";
  EXPECT_FALSE(Scripted("x</think>{\"a\": 1}").Respond(body)["choices"][0].contains("warning"));
  EXPECT_TRUE(Scripted("x</think>sorry").Respond(body)["choices"][0].contains("warning"));
  EXPECT_FALSE(Scripted(std::string("x</think>") + kCall).Respond(body)["choices"][0].contains("warning"));
}

TEST(ChatService, CharactersAreNeverSplit) {
  Scripted model("x</think>naïve 😀 …");
  std::string content;
  for (const Json& chunk : model.Stream(kHello)) {
    const std::string piece = chunk["choices"][0]["delta"].value("content", "");
    EXPECT_EQ(piece.find("\uFFFD"), std::string::npos);
    content += piece;
  }
  EXPECT_EQ(content, "naïve 😀 …");
}

TEST(ChatService, CompletionsEchoTakeIdsAndSeveralPrompts) {
  Scripted model("abc");
  const auto complete = [&](const char* body) {
    absl::StatusOr<std::unique_ptr<RunningAnswer>> answer = model.service.Complete(Json::parse(body), "", nullptr);
    EXPECT_TRUE(answer.ok()) << answer.status();
    Json response;
    while (!(*answer)->done()) {
      for (const Json& object : (*answer)->Take()) response = object;
      std::this_thread::yield();
    }
    return response;
  };
  const Json response = complete(R"({"prompt": ["Hi ", [72, 111]], "echo": true, "n": 2})");
  ASSERT_EQ(response["choices"].size(), 4u);
  EXPECT_EQ(response["object"], "text_completion");
  EXPECT_EQ(response["choices"][1]["text"], "Hi abc");
  EXPECT_EQ(response["choices"][3]["text"], "Hoabc");
  EXPECT_EQ(response["choices"][3]["index"], 3);
  const Json logprobs = complete(R"({"prompt": "Hi", "logprobs": 1})")["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json::array({"a", "b", "c", "<｜end▁of▁sentence｜>"}));
  EXPECT_EQ(logprobs["text_offset"], Json::array({0, 1, 2, 3}));
}

TEST(ChatService, RefusalsNameTheField) {
  Scripted model("x");
  EXPECT_EQ(model.Error(R"({"model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}]})")["code"], "model_not_found");
  const std::string longer = R"({"messages": [{"role": "user", "content": ")" + std::string(5000, 'a') + "\"}]}";
  EXPECT_EQ(model.Error(longer.c_str())["code"], "context_length_exceeded");
  EXPECT_EQ(model.Error(longer.c_str())["param"], "messages");
  const Json too_many = model.Error(R"({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4095})");
  EXPECT_EQ(too_many["code"], "context_length_exceeded");
  EXPECT_EQ(model.Error(R"({"messages": [{"role": "user", "content": "Hi"}], "logit_bias": {"262": 1}})")["param"], "logit_bias");
}

TEST(ChatService, EngineFailuresReachTheClient) {
  Scripted model("x</think>yes");
  model.engine.FailWith(absl::InternalError("the device is lost"));
  EXPECT_EQ(model.Error(kHello)["message"], "the device is lost");
  model.engine.FailWith(absl::ResourceExhaustedError("no memory"));
  EXPECT_EQ(ToApiError(model.service.Respond(Json::parse(kHello)).status()).http_status, 503) << "no fault of the caller's";
  model.engine.RefuseWith(absl::ResourceExhaustedError("the queue is full"));
  const auto refused = model.service.Respond(Json::parse(kHello));
  EXPECT_EQ(ToApiError(refused.status()).http_status, 503);
}

TEST(ChatService, EndingAStreamCancelsIt) {
  Scripted model("x</think>a long answer", /*hold=*/true);
  const absl::Status status = model.service.Stream(Json::parse(kHello), [](const Json&) { return false; });
  EXPECT_TRUE(absl::IsCancelled(status));
  EXPECT_TRUE(model.engine.WaitForCancelled(1));
}

}  // namespace
}  // namespace modelc
