// Speculation changes how many steps a text takes and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/runtime/harness.h"

namespace modelc {
namespace {

FakeOptions WithDraft(int misses_of_8 = 2) {
  FakeOptions fake;
  fake.draft_entry = true;
  fake.draft_misses_of_8 = misses_of_8;
  return fake;
}

TEST(Speculation, GreedyTextIsTheSameAtEveryPageBorder) {
  for (int misses : {0, 2, 8}) {
    Harness h(WithDraft(misses));
    for (int64_t prompt : {1, 62, 63, 64, 65, 66, 128, 600}) {
      const GenerateRequest request = Greedy(Prompt(prompt, 2), 140);
      EXPECT_EQ(h.engine->Generate(request)->ids, Expected(h.fake, request)) << prompt << ", misses " << misses;
    }
    EXPECT_EQ(h.Settled().pages_used, 0);
  }
}

// What may come depends on what came: each id's remainder by 3 follows the one before it.
struct InTurns : TokenConstraint {
  std::vector<uint8_t> mask;
  explicit InTurns(int64_t vocab) : mask(vocab) { Accept(2); }
  const std::vector<uint8_t>& Mask() override { return mask; }
  void Accept(int32_t id) override {
    for (size_t i = 0; i < mask.size(); ++i) mask[i] = static_cast<int32_t>(i) % 3 == (id + 1) % 3;
  }
};

TEST(Speculation, ConstrainedTextIsTheSame) {
  std::vector<std::vector<int32_t>> texts;
  for (const FakeOptions& fake : {FakeOptions(), WithDraft(0), WithDraft(4)}) {
    Harness h(fake);
    GenerateRequest request = Greedy(Prompt(40), 60);
    request.constraint = std::make_shared<InTurns>(fake.vocab);
    texts.push_back(h.engine->Generate(request)->ids);
  }
  ASSERT_EQ(texts[0].size(), 60u);
  for (size_t i = 0; i < 60; ++i) EXPECT_EQ(texts[0][i] % 3, static_cast<int32_t>(i % 3));
  EXPECT_EQ(texts[1], texts[0]);
  EXPECT_EQ(texts[2], texts[0]);
}

TEST(Speculation, ARightDraftHalvesTheSteps) {
  Harness h(WithDraft(0));
  const auto result = h.engine->Generate(Greedy(Prompt(10), 101));
  ASSERT_EQ(result->ids.size(), 101u);
  const EngineStats stats = h.Settled();
  EXPECT_EQ(stats.steps, 1 + 50) << "the prompt's step gives one, each other two";
  EXPECT_EQ(stats.drafted, 50);
  EXPECT_EQ(stats.accepted, 50);
}

TEST(Speculation, AWrongDraftCostsRowsAlone) {
  Harness h(WithDraft(8));
  h.engine->Generate(Greedy(Prompt(10), 100)).IgnoreError();
  const EngineStats stats = h.Settled();
  EXPECT_LE(stats.accepted, 10) << "by chance, one in fifty";
  EXPECT_EQ(stats.steps, 100 - stats.accepted);
}

TEST(Speculation, GuessingPausesWhereItIsMostlyWrong) {
  Harness h(WithDraft(8));
  h.engine->Generate(Greedy(Prompt(10), 1000)).IgnoreError();
  const EngineStats hopeless = h.Settled();
  EXPECT_GT(hopeless.drafted, 30) << "tried again from time to time";
  EXPECT_LT(hopeless.drafted, 150);
  EXPECT_GE(h.log.draft_rows, 1000) << "the draft's cache is filled all the same";
  Harness good(WithDraft(2));
  good.engine->Generate(Greedy(Prompt(10), 1000)).IgnoreError();
  const EngineStats stats = good.Settled();
  EXPECT_EQ(stats.steps, 1000 - stats.accepted);
  EXPECT_GE(stats.drafted, stats.steps - 3) << "three in four are right: every step verifies a guess";
}

TEST(Speculation, TheLastTokenIsNotGuessed) {
  Harness h(WithDraft(0));
  h.engine->Generate(Greedy(Prompt(10), 1)).IgnoreError();
  h.engine->Generate(Greedy(Prompt(10), 2)).IgnoreError();
  EXPECT_EQ(h.Settled().drafted, 0) << "after the first token one more is wanted: a guess saves nothing";
  h.engine->Generate(Greedy(Prompt(10), 3)).IgnoreError();
  EXPECT_EQ(h.Settled().drafted, 1);
}

TEST(Speculation, ReachesTheContextsEnd) {
  FakeOptions fake = WithDraft(0);
  fake.max_context = 128;
  Harness h(fake);
  for (int64_t prompt : {100, 101, 126, 127}) {
    const GenerateRequest request = Greedy(Prompt(prompt), 0);
    EXPECT_EQ(h.engine->Generate(request)->ids, Expected(fake, request));
  }
}

TEST(Speculation, AStopTokenHidesWhatFollowsIt) {
  Harness h(WithDraft(0));
  GenerateRequest request = Greedy(Prompt(10), 60);
  const std::vector<int32_t> text = Expected(h.fake, request);
  for (size_t at : {1, 2, 3, 4}) {
    request.stop_ids = {text[at]};
    const auto result = h.engine->Generate(request);
    EXPECT_EQ(result->ids, Expected(h.fake, request));
    EXPECT_EQ(result->finish, FinishReason::kStop);
  }
}

TEST(Speculation, SamplingPenaltiesBiasAndSeedHold) {
  int64_t drafted = 0, accepted = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Harness h(WithDraft(0));
    GenerateRequest request = Greedy(Prompt(30), 80);
    request.sampling.temperature = 0.9;
    request.sampling.seed = seed;
    request.sampling.top_p = 0.95;
    request.sampling.presence_penalty = 0.7;
    request.sampling.repetition_penalty = 1.2;
    request.sampling.logit_bias = {{7, 2.0}, {8, -3.0}};
    EXPECT_EQ(h.engine->Generate(request)->ids, Expected(h.fake, request));
    const EngineStats stats = h.Settled();
    drafted += stats.drafted;
    accepted += stats.accepted;
  }
  EXPECT_EQ(accepted, drafted) << "equal logits and equal random numbers: the guess is the choice";
}

TEST(Speculation, OffByOption) {
  EngineOptions options;
  options.speculate = false;
  Harness h(WithDraft(0), options);
  const GenerateRequest request = Greedy(Prompt(10), 30);
  EXPECT_EQ(h.engine->Generate(request)->ids, Expected(h.fake, request));
  EXPECT_EQ(h.Settled().drafted, 0);
  EXPECT_EQ(h.log.draft_rows, 0);
}

TEST(Speculation, SharedPagesBringTheDraftCacheAlong) {
  Harness h(WithDraft(2));
  GenerateRequest request = Greedy(Prompt(200), 1);
  h.engine->Generate(request).IgnoreError();  // one token: ends in its prefill
  request.max_tokens = 50;
  const auto result = h.engine->Generate(request);
  EXPECT_EQ(result->usage.cached_tokens, 192);
  EXPECT_EQ(result->ids, Expected(h.fake, request));  // and the fake finds no hole in the draft cache
}

TEST(Speculation, AFailedDraftCostsNoRequest) {
  Harness h(WithDraft(0));
  {
    absl::MutexLock lock(&h.log.mutex);
    h.log.before = [n = 0](std::string_view entry, const StepBatch&) mutable {
      return entry == "draft" && ++n == 5 ? absl::InternalError("no draft") : absl::OkStatus();
    };
  }
  const GenerateRequest request = Greedy(Prompt(100), 60);
  EXPECT_EQ(h.engine->Generate(request)->ids, Expected(h.fake, request));
  EXPECT_EQ(h.engine->Generate(request)->ids, Expected(h.fake, request));
}

TEST(Speculation, GuessesGiveWayWhenRowsAreFew) {
  FakeOptions fake = WithDraft(0);
  fake.max_rows = 2;
  Harness h(fake);
  Gate gate(h);
  std::vector<std::pair<GenerateRequest, std::shared_ptr<Answer>>> answers;
  for (int i = 0; i < 4; ++i) {
    GenerateRequest request = Greedy(Prompt(5, i), 20);
    answers.emplace_back(request, h.Submit(request));
  }
  gate.Open();
  for (auto& [request, answer] : answers) {
    answer->done.WaitForNotification();
    EXPECT_EQ(answer->ids, Expected(fake, request));
  }
}

}  // namespace
}  // namespace modelc
