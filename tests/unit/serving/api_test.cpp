#include "core/serving/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/serving/fields.h"
#include "tests/unit/serving/fakes.h"
#include "tests/unit/temp_dir.h"

namespace modelc {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

constexpr char kHello[] = R"({"messages": [{"role": "user", "content": "Hi"}]})";

class ApiTest : public testing::Test {
 protected:
  ApiReply Ask(Api& api, std::string_view method, std::string_view target, std::string_view body = "",
               std::string_view authorization = "") {
    return api.Handle({method, target, authorization, "127.0.0.1", body}, nullptr);
  }
  std::string WriteKeys(const char* text) { return dir_.Write("keys", text).string(); }
  static Json Error(const ApiReply& reply) { return Json::parse(reply.body)["error"]; }

  TempDir dir_;
  ByteTokenizer tokenizer_;
  ScriptedEngine engine_{"x</think>yes"};
  ChatService service_{"scripted", &engine_, &tokenizer_, EndingDefaults()};
  Api api_{&service_, ApiKeys(), 0};
};

TEST_F(ApiTest, Routes) {
  EXPECT_EQ(Ask(api_, "GET", "/health").status, 200);
  EXPECT_EQ(Json::parse(Ask(api_, "GET", "/v1/models?x=y").body)["data"][0]["id"], "scripted");
  EXPECT_EQ(Json::parse(Ask(api_, "GET", "/v1/models/scripted").body)["id"], "scripted");
  EXPECT_EQ(Ask(api_, "GET", "/v1/models/other").status, 404);
  EXPECT_EQ(Ask(api_, "GET", "/nowhere").status, 404);
  const ApiReply wrong = Ask(api_, "GET", "/v1/chat/completions");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers[0], (std::pair<std::string, std::string>("Allow", "POST")));
  EXPECT_THAT(Ask(api_, "GET", "/").body, HasSubstr("<!doctype html>"));
  EXPECT_NE(Ask(api_, "POST", "/v1/chat/completions", kHello).answer, nullptr);
}

TEST_F(ApiTest, BadBodiesAreErrorObjects) {
  for (const char* body : {"", "{", "[]", "\"x\"", "{\"messages\": \"\xff\"}"}) {
    const ApiReply reply = Ask(api_, "POST", "/v1/chat/completions", body);
    EXPECT_EQ(reply.status, 400) << body;
    const Json error = Error(reply);
    EXPECT_EQ(error["code"], "invalid_json");
    EXPECT_TRUE(error.contains("param"));
    EXPECT_EQ(error["type"], "invalid_request_error");
  }
}

TEST_F(ApiTest, KeysAreAskedForAndTellCallersApart) {
  absl::StatusOr<ApiKeys> keys = ApiKeys::Load(WriteKeys("# ours\nsecret-one alice\n\nsecret-two\n"));
  ASSERT_TRUE(keys.ok()) << keys.status();
  Api api(&service_, *std::move(keys), 0);
  EXPECT_EQ(Ask(api, "GET", "/health").status, 200);
  for (const char* authorization : {"", "Bearer", "Bearer secret-on", "Basic secret-one", "secret-one", "Bearer alice"}) {
    const ApiReply reply = Ask(api, "POST", "/v1/chat/completions", kHello, authorization);
    EXPECT_EQ(reply.status, 401) << authorization;
    EXPECT_EQ(Error(reply)["type"], "authentication_error");
  }
  EXPECT_EQ(Ask(api, "GET", "/v1/models").status, 401);
  for (const char* authorization : {"Bearer secret-one", "bearer  secret-one", "Bearer secret-two"}) {
    EXPECT_NE(Ask(api, "POST", "/v1/chat/completions", kHello, authorization).answer, nullptr) << authorization;
  }
  const std::vector<GenerateRequest> requests = engine_.requests();
  EXPECT_EQ(requests[0].cache_salt, requests[1].cache_salt);
  EXPECT_NE(requests[0].cache_salt, requests[2].cache_salt);
  EXPECT_EQ(requests[0].cache_salt.find("secret"), std::string::npos);
}

TEST_F(ApiTest, KeyFilesAreChecked) {
  EXPECT_FALSE(ApiKeys::Load("/nowhere").ok());
  EXPECT_THAT(std::string(ApiKeys::Load(WriteKeys("long-enough\nshort\n")).status().message()), HasSubstr(":2:"));
  EXPECT_FALSE(ApiKeys::Load(WriteKeys("# none\n")).ok());
  EXPECT_FALSE(ApiKeys::Load(WriteKeys("long-enough\nlong-enough\n")).ok());
}

TEST_F(ApiTest, RateLimitsSayWhenToComeBack) {
  Api api(&service_, ApiKeys(), 2);
  EXPECT_EQ(Ask(api, "POST", "/v1/chat/completions", kHello).status, 200);
  EXPECT_EQ(Ask(api, "POST", "/v1/completions", "{}").status, 400);
  const ApiReply reply = Ask(api, "POST", "/v1/chat/completions", kHello);
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(Error(reply)["code"], "rate_limit_exceeded");
  EXPECT_EQ(reply.headers[0].first, "Retry-After");
  EXPECT_EQ(Ask(api, "GET", "/v1/models").status, 200);
}

TEST(RateLimiter, RefillsEvenly) {
  RateLimiter limiter(6);
  RateLimiter::Clock::time_point now;
  for (int i = 0; i < 6; ++i) EXPECT_EQ(limiter.Take("a", now), seconds(0));
  EXPECT_EQ(limiter.Take("a", now), seconds(10));
  EXPECT_EQ(limiter.Take("b", now), seconds(0));
  EXPECT_EQ(limiter.Take("a", now + seconds(9)), seconds(1));
  EXPECT_EQ(limiter.Take("a", now + seconds(10)), seconds(0));
  EXPECT_EQ(limiter.Take("a", now + seconds(10)), seconds(10));
  for (int i = 0; i < 6; ++i) EXPECT_EQ(limiter.Take("a", now + seconds(1000)), seconds(0));
  EXPECT_NE(limiter.Take("a", now + seconds(1000)), seconds(0));
}

TEST_F(ApiTest, MetricsCountWithoutQuotingAnything) {
  ASSERT_TRUE(service_.Respond(Json::parse(kHello)).ok());
  Ask(api_, "GET", "/private-path");
  const std::string text = Ask(api_, "GET", "/metrics").body;
  EXPECT_THAT(text, HasSubstr("modelc_completion_tokens_total 6"));
  EXPECT_THAT(text, HasSubstr("modelc_cached_tokens_total 3"));
  EXPECT_THAT(text, HasSubstr("modelc_time_to_first_token_seconds_count 1"));
  EXPECT_THAT(text, HasSubstr("modelc_time_per_output_token_seconds_count 5"));
  EXPECT_THAT(text, HasSubstr("modelc_requests_total{route=\"other\",status=\"404\"} 1"));
  EXPECT_THAT(text, HasSubstr("modelc_engine_pages_total 77"));
  EXPECT_THAT(text, HasSubstr("modelc_engine_drafted_tokens_total 20"));
  EXPECT_THAT(text, HasSubstr("modelc_engine_accepted_tokens_total 11"));
  EXPECT_THAT(text, HasSubstr("modelc_engine_weight_read_bytes_total 5000000000"));
  EXPECT_EQ(text.find("private-path"), std::string::npos);
}

}  // namespace
}  // namespace modelc
