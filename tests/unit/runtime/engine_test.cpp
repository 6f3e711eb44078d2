// One request at a time: events, limits, errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/time/clock.h"
#include "tests/unit/runtime/harness.h"

namespace modelc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Engine, GeneratesTheModelsTextAtEveryPageBorder) {
  Harness h;
  for (int64_t prompt : {1, 2, 63, 64, 65, 127, 128, 129, 600}) {
    const GenerateRequest request = Greedy(Prompt(prompt, 3), 70);
    const auto result = h.engine->Generate(request);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->ids, Expected(h.fake, request)) << prompt;
    EXPECT_EQ(result->finish, FinishReason::kLength);
    EXPECT_EQ(result->usage.prompt_tokens, prompt);
    EXPECT_EQ(result->usage.completion_tokens, 70);
  }
  EXPECT_EQ(h.Settled().pages_used, 0);
}

TEST(Engine, SampledTextDependsOnTheSeedAlone) {
  Harness h;
  GenerateRequest request = Greedy(Prompt(20), 40);
  request.sampling.temperature = 1;
  request.sampling.top_p = 0.9;
  request.sampling.frequency_penalty = 0.3;
  request.sampling.seed = 5;
  const std::vector<int32_t> text = h.engine->Generate(request)->ids;
  EXPECT_EQ(text, Expected(h.fake, request));
  EXPECT_EQ(h.engine->Generate(request)->ids, text);
  request.sampling.seed = 6;
  EXPECT_NE(h.engine->Generate(request)->ids, text);
  request.sampling.seed.reset();
  EXPECT_NE(h.engine->Generate(request)->ids, h.engine->Generate(request)->ids) << "a drawn seed differs each time";
}

TEST(Engine, StopsAtAStopIdAndReportsIt) {
  Harness h;
  GenerateRequest request = Greedy(Prompt(10), 40);
  const std::vector<int32_t> text = Expected(h.fake, request);
  request.stop_ids = {-1, text[7]};
  const auto result = h.engine->Generate(request);
  EXPECT_EQ(result->finish, FinishReason::kStop);
  EXPECT_EQ(result->ids, Expected(h.fake, request));
  EXPECT_EQ(result->ids.back(), text[7]);
  EXPECT_LE(result->ids.size(), 8u);
  EXPECT_EQ(result->usage.completion_tokens, static_cast<int64_t>(result->ids.size()));
}

TEST(Engine, WithoutMaxTokensRunsToTheContextsEnd) {
  FakeOptions fake;
  fake.max_context = 100;
  Harness h(fake);
  const auto result = h.engine->Generate(Greedy(Prompt(90), 0));
  EXPECT_EQ(result->ids.size(), 10u);
  EXPECT_EQ(result->finish, FinishReason::kLength);
}

TEST(Engine, TheContextIsTheSmallestOfProgramCacheAndOptions) {
  FakeOptions fake;
  fake.max_context = 1000;
  EXPECT_EQ(Harness(fake).engine->max_context(), 1000);
  EngineOptions options;
  options.max_context = 300;
  EXPECT_EQ(Harness(fake, options).engine->max_context(), 300);
  fake.pages = 3;
  EXPECT_EQ(Harness(fake, options).engine->max_context(), 192);
}

TEST(Engine, RefusesWhatCanNeverRun) {
  FakeOptions fake;
  fake.max_context = 100;
  Harness h(fake);
  const auto refused = [&](GenerateRequest request) {
    request.on_token = [](const TokenEvent&) { return true; };
    const auto id = h.engine->Submit(std::move(request));
    EXPECT_EQ(id.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(id.status().message());
  };
  EXPECT_THAT(refused(Greedy({}, 1)), HasSubstr("prompt is empty"));
  EXPECT_THAT(refused(Greedy({1, 50}, 1)), HasSubstr("prompt token 1 is 50"));
  EXPECT_THAT(refused(Greedy({-1}, 1)), HasSubstr("prompt token 0 is -1"));
  EXPECT_THAT(refused(Greedy(Prompt(100), 0)), HasSubstr("context of 100"));
  EXPECT_THAT(refused(Greedy(Prompt(60), 41)), HasSubstr("context of 100"));
  EXPECT_THAT(refused(Greedy(Prompt(1), std::numeric_limits<int64_t>::max())), HasSubstr("context of 100"));
  EXPECT_THAT(refused(Greedy(Prompt(60), -1)), HasSubstr("max_tokens is -1"));
  GenerateRequest request = Greedy({1}, 1);
  request.sampling.top_p = 2;
  EXPECT_THAT(refused(request), HasSubstr("top_p is 2"));
  EXPECT_EQ(h.engine->Submit(Greedy({1}, 1)).status().code(), absl::StatusCode::kInvalidArgument) << "no on_token";
  EXPECT_EQ(h.engine->Generate(Greedy(Prompt(60), 40))->ids.size(), 40u);
}

TEST(Engine, RefusesOptionsAndProgramsItCannotServe) {
  FakeLog log;
  EngineOptions options;
  options.max_rows = 0;
  EXPECT_THAT(std::string(MakeEngine(NewFake({}, &log), options).status().message()), HasSubstr("max_rows is 0"));
  FakeOptions fake;
  fake.pages = 0;
  EXPECT_EQ(MakeEngine(NewFake(fake, &log), {}).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(Engine, RefusesWhenTheQueueIsFull) {
  EngineOptions options;
  options.max_waiting = 2;
  options.max_sequences = 1;
  Harness h({}, options);
  Gate gate(h);
  const auto a = h.Submit(Greedy({2}, 3)), b = h.Submit(Greedy({3}, 3));
  GenerateRequest third = Greedy({4}, 3);
  third.on_token = [](const TokenEvent&) { return true; };
  EXPECT_EQ(h.engine->Submit(third).status().code(), absl::StatusCode::kResourceExhausted);
  gate.Open();
  a->done.WaitForNotification();
  b->done.WaitForNotification();
  h.Settled();
  EXPECT_TRUE(h.engine->Submit(third).ok()) << "there is room again";
}

TEST(Engine, CancelsWaitingAndRunningRequests) {
  EngineOptions options;
  options.max_sequences = 1;
  Harness h({}, options);
  absl::Notification begun;
  GenerateRequest running = Greedy(Prompt(100), 3000);
  running.on_token = [&](const TokenEvent&) {
    if (!begun.HasBeenNotified()) begun.Notify();
    return true;
  };
  const auto first = h.Submit(running), second = h.Submit(Greedy({5}, 3000)), third = h.Submit(Greedy({5}, 3));
  begun.WaitForNotification();
  h.engine->Cancel(second->request);
  second->done.WaitForNotification();
  EXPECT_EQ(second->finish, FinishReason::kCancelled);
  EXPECT_THAT(second->ids, IsEmpty());
  h.engine->Cancel(first->request);
  first->done.WaitForNotification();
  EXPECT_EQ(first->finish, FinishReason::kCancelled);
  EXPECT_FALSE(first->events.back().id.has_value());
  third->done.WaitForNotification();
  EXPECT_EQ(third->ids, Expected(h.fake, Greedy({5}, 3)));
  h.engine->Cancel(first->request);  // no effect, as for an id that never was
  h.engine->Cancel(123456);
  EXPECT_EQ(h.Settled().pages_used, 0);
  EXPECT_EQ(h.engine->UsageOf(first->request).completion_tokens, static_cast<int64_t>(first->ids.size()));
}

TEST(Engine, ACallbackThatReturnsFalseGetsNoMore) {
  Harness h;
  int calls = 0;
  GenerateRequest request = Greedy(Prompt(5), 100);
  request.on_token = [&](const TokenEvent& event) {
    ++calls;
    EXPECT_FALSE(event.finish.has_value());
    return calls < 4;
  };
  const auto result = h.engine->Generate(request);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(result->ids.size(), 4u);
  EXPECT_EQ(result->finish, FinishReason::kCancelled);
  EXPECT_EQ(h.Settled().pages_used, 0);
}

TEST(Engine, DestructionCancelsWhatRunsAndWaits) {
  std::shared_ptr<Answer> running, waiting;
  {
    EngineOptions options;
    options.max_sequences = 1;
    Harness h({}, options);
    running = h.Submit(Greedy(Prompt(5), 4000));
    waiting = h.Submit(Greedy(Prompt(6), 4000));
  }
  EXPECT_EQ(running->finish, FinishReason::kCancelled);
  EXPECT_EQ(waiting->finish, FinishReason::kCancelled);
}

TEST(Engine, AFailedStepFailsItsRequestsAndTheEngineGoesOn) {
  Harness h;
  const GenerateRequest request = Greedy(Prompt(100), 5);
  {
    absl::MutexLock lock(&h.log.mutex);
    h.log.before = [n = 0](std::string_view, const StepBatch&) mutable {
      return ++n == 3 ? absl::UnavailableError("the device is lost") : absl::OkStatus();
    };
  }
  const auto failed = h.Submit(request);
  failed->done.WaitForNotification();
  EXPECT_EQ(failed->finish, FinishReason::kError);
  EXPECT_EQ(failed->status, absl::UnavailableError("the device is lost"));
  EXPECT_EQ(failed->ids.size(), 2u);
  EXPECT_EQ(h.engine->Generate(request)->ids, Expected(h.fake, request));
  EXPECT_EQ(h.Settled().pages_used, 0);
}

TEST(Engine, WithoutMemoryForATurnItsRequestsEndAndTheEngineGoesOn) {
  Harness h;
  {
    absl::MutexLock lock(&h.log.mutex);
    h.log.before = [n = 0](std::string_view, const StepBatch&) mutable {
      if (++n == 3) throw std::bad_alloc();
      return absl::OkStatus();
    };
  }
  const auto failed = h.Submit(Greedy(Prompt(100), 20));
  failed->done.WaitForNotification();
  EXPECT_EQ(failed->finish, FinishReason::kError);
  EXPECT_EQ(failed->status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(h.Settled().pages_used, 0);
  const GenerateRequest request = Greedy(Prompt(100), 20);
  EXPECT_EQ(h.engine->Generate(request)->ids, Expected(h.fake, request));
}

TEST(Engine, UsageCountsCachedPromptTokens) {
  Harness h;
  const GenerateRequest request = Greedy(Prompt(200), 4);
  EXPECT_EQ(h.engine->Generate(request)->usage.cached_tokens, 0);
  const int64_t rows = h.log.step_rows;
  const auto again = h.engine->Generate(request);
  EXPECT_EQ(again->usage.cached_tokens, 192);
  EXPECT_EQ(again->ids, Expected(h.fake, request));
  EXPECT_EQ(h.log.step_rows - rows, 200 - 192 + 3) << "cached rows are not computed again";
  const EngineStats stats = h.Settled();
  EXPECT_EQ(stats.cached_tokens, 192);
  EXPECT_EQ(stats.prompt_tokens, 400);
  EXPECT_EQ(stats.completion_tokens, 8);
  EXPECT_EQ(stats.requests, 2);
  EXPECT_EQ(stats.pages_cached, 3);
  EXPECT_EQ(stats.weight_bytes, 7u * stats.steps);
  EXPECT_EQ(stats.cache_bytes, 3u * stats.steps);
}

TEST(Engine, APromptOfFullPagesStillComputesItsLastToken) {
  Harness h;
  const GenerateRequest request = Greedy(Prompt(128), 4);
  h.engine->Generate(request).IgnoreError();
  const auto again = h.engine->Generate(request);
  EXPECT_EQ(again->usage.cached_tokens, 64);
  EXPECT_EQ(again->ids, Expected(h.fake, request));
}

TEST(Engine, AFollowUpFindsTheAnswersPagesToo) {
  Harness h;
  GenerateRequest request = Greedy(Prompt(100), 60);
  const auto first = h.engine->Generate(request);
  request.prompt.insert(request.prompt.end(), first->ids.begin(), first->ids.end());
  request.prompt.push_back(1);
  const auto second = h.engine->Generate(request);
  EXPECT_EQ(second->usage.cached_tokens, 128);
  EXPECT_EQ(second->ids, Expected(h.fake, request));
}

TEST(Engine, TenantsWithDifferentSaltsShareNothing) {
  Harness h;
  GenerateRequest request = Greedy(Prompt(200), 4);
  request.cache_salt = "a";
  h.engine->Generate(request).IgnoreError();
  request.cache_salt = "b";
  EXPECT_EQ(h.engine->Generate(request)->usage.cached_tokens, 0);
  request.cache_salt = "a";
  EXPECT_EQ(h.engine->Generate(request)->usage.cached_tokens, 192);
}

TEST(Engine, WithoutPrefixCacheNothingIsKept) {
  EngineOptions options;
  options.prefix_cache = false;
  Harness h({}, options);
  const GenerateRequest request = Greedy(Prompt(200), 4);
  h.engine->Generate(request).IgnoreError();
  EXPECT_EQ(h.engine->Generate(request)->usage.cached_tokens, 0);
  EXPECT_EQ(h.Settled().pages_cached, 0);
}

TEST(Engine, LogprobsComeWithTheTokens) {
  Harness h;
  GenerateRequest request = Greedy(Prompt(8), 3);
  request.sampling.top_logprobs = 2;
  const auto answer = h.Submit(request);
  answer->done.WaitForNotification();
  ASSERT_EQ(answer->events.size(), 3u);
  std::vector<int32_t> ids = request.prompt;
  for (const TokenEvent& event : answer->events) {
    const std::vector<float> logits = FakeLogits(h.fake, ids);
    double sum = 0;
    for (float l : logits) sum += std::exp(double{l});
    EXPECT_NEAR(event.logprob.value(), logits[*event.id] - std::log(sum), 1e-5);
    ASSERT_EQ(event.top_logprobs.size(), 2u);
    EXPECT_EQ(event.top_logprobs[0].id, *event.id);
    ids.push_back(*event.id);
  }
}

TEST(Engine, SleepsWhenIdle) {
  Harness h;
  h.engine->Generate(Greedy(Prompt(8), 3)).IgnoreError();
  h.Settled();
  const clock_t before = std::clock();
  absl::SleepFor(absl::Milliseconds(200));
  EXPECT_LT(double(std::clock() - before) / CLOCKS_PER_SEC, 0.1);
}

TEST(Engine, CallbacksMayCallTheEngine) {
  Harness h;
  absl::Notification done;
  GenerateRequest inner = Greedy({3}, 2);
  inner.on_token = [&](const TokenEvent& event) {
    if (event.finish) done.Notify();
    return true;
  };
  GenerateRequest outer = Greedy({2}, 1);
  outer.on_token = [&](const TokenEvent& event) {
    EXPECT_EQ(h.engine->Stats().completion_tokens, 1);
    EXPECT_TRUE(h.engine->Submit(inner).ok());
    h.engine->Cancel(999);
    return true;
  };
  h.Submit(outer)->done.WaitForNotification();
  done.WaitForNotification();
}

TEST(Engine, UsagesOfTheLast1024Stay) {
  Harness h;
  std::vector<uint64_t> requests;
  for (int i = 0; i < 1030; ++i) {
    const auto answer = h.Submit(Greedy({1}, 1));
    answer->done.WaitForNotification();
    requests.push_back(answer->request);
  }
  h.Settled();
  EXPECT_EQ(h.engine->UsageOf(requests.front()).completion_tokens, 0);
  EXPECT_EQ(h.engine->UsageOf(requests.back()).completion_tokens, 1);
  EXPECT_EQ(h.engine->UsageOf(requests[10]).completion_tokens, 1);
}

}  // namespace
}  // namespace modelc
