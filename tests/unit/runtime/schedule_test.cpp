// Many requests at once: whatever the others do, each gets the text it gets alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/unit/runtime/harness.h"

namespace modelc {
namespace {

GenerateRequest Random(std::mt19937& rng, int64_t context) {
  GenerateRequest request;
  // Few kinds of beginnings, so that prefixes are shared, and some short ones.
  const int64_t prompt = 1 + rng() % (context / 2);
  request.prompt = Prompt(prompt, rng() % 3);
  if (rng() % 2) request.prompt.back() = rng() % 50;
  request.max_tokens = 1 + rng() % (context - prompt < 60 ? context - prompt : 60);
  request.sampling.seed = rng() % 5;
  if (rng() % 2) request.sampling.temperature = 0;
  if (rng() % 3 == 0) request.sampling.top_k = 1 + rng() % 10;
  if (rng() % 3 == 0) request.sampling.top_p = 0.7;
  if (rng() % 4 == 0) request.sampling.repetition_penalty = 1.3;
  if (rng() % 4 == 0) request.sampling.frequency_penalty = 0.5;
  if (rng() % 4 == 0) request.sampling.logit_bias = {{3, 1.5}};
  if (rng() % 2) request.stop_ids = {static_cast<int32_t>(rng() % 50)};
  request.cache_salt = rng() % 4 ? "" : "other";
  return request;
}

void RunRandomSchedule(uint32_t seed, bool draft_entry) {
  SCOPED_TRACE(seed);
  std::mt19937 rng(seed);
  FakeOptions fake;
  fake.draft_entry = draft_entry;
  fake.max_context = 300;
  fake.pages = 5 + rng() % 20;
  fake.max_rows = 1 + rng() % 100;
  fake.max_sequences = 1 + rng() % 8;
  EngineOptions options;
  options.max_sequences = 1 + rng() % 8;
  options.prefix_cache = rng() % 4 != 0;
  Harness h(fake, options);
  std::vector<std::pair<GenerateRequest, std::shared_ptr<Answer>>> answers;
  for (int i = 0; i < 25; ++i) {
    GenerateRequest request = Random(rng, h.engine->max_context());
    answers.emplace_back(request, h.Submit(request));
    if (rng() % 4 == 0) h.engine->Cancel(answers[rng() % answers.size()].second->request);
    if (rng() % 3 == 0) answers[rng() % answers.size()].second->done.WaitForNotification();
  }
  for (auto& [request, answer] : answers) {
    answer->done.WaitForNotification();
    const std::vector<int32_t> expected = Expected(fake, request);
    if (answer->finish == FinishReason::kCancelled) {
      ASSERT_LE(answer->ids.size(), expected.size());
      EXPECT_TRUE(std::equal(answer->ids.begin(), answer->ids.end(), expected.begin()));
    } else {
      EXPECT_EQ(answer->ids, expected);
      EXPECT_EQ(answer->finish, answer->ids.size() < static_cast<size_t>(request.max_tokens) ||
                                        std::count(request.stop_ids.begin(), request.stop_ids.end(), answer->ids.back())
                                    ? FinishReason::kStop
                                    : FinishReason::kLength);
    }
  }
  const EngineStats stats = h.Settled();
  EXPECT_EQ(stats.pages_used, 0);
  EXPECT_EQ(stats.pages_total, fake.pages);
  EXPECT_EQ(stats.requests, 25);
  if (!options.prefix_cache) EXPECT_EQ(stats.pages_cached + stats.cached_tokens, 0);
}

TEST(Schedule, RandomSchedulesGiveTheTextOfEachAlone) {
  for (uint32_t seed = 0; seed < 60; ++seed) RunRandomSchedule(seed, false);
}

TEST(Schedule, RandomSchedulesWithSpeculationToo) {
  for (uint32_t seed = 100; seed < 160; ++seed) RunRandomSchedule(seed, true);
}

TEST(Schedule, PreemptionResumesWithoutChangingTheText) {
  for (bool prefix_cache : {false, true}) {
    FakeOptions fake;
    fake.pages = 8;
    EngineOptions options;
    options.prefix_cache = prefix_cache;
    Harness h(fake, options);
    Gate gate(h);
    std::vector<std::pair<GenerateRequest, std::shared_ptr<Answer>>> answers;
    for (int i = 0; i < 4; ++i) {
      GenerateRequest request = Greedy(Prompt(60, i + 1), 200);
      if (i % 2) {
        request.sampling.temperature = 1;
        request.sampling.seed = i;
        request.sampling.presence_penalty = 0.5;
      }
      answers.emplace_back(request, h.Submit(request));
    }
    gate.Open();
    for (auto& [request, answer] : answers) {
      answer->done.WaitForNotification();
      EXPECT_EQ(answer->ids, Expected(fake, request));
      EXPECT_EQ(h.engine->UsageOf(answer->request).completion_tokens, 200);
      EXPECT_EQ(h.engine->UsageOf(answer->request).cached_tokens, 0) << "found again is not found before";
    }
    const EngineStats stats = h.Settled();
    EXPECT_GT(stats.preemptions, 0);
    EXPECT_EQ(stats.pages_used, 0);
  }
}

TEST(Schedule, TheOldestIsNeverPreempted) {
  FakeOptions fake;
  fake.pages = 6;
  Harness h(fake);
  Gate gate(h);
  std::vector<int> finished;
  std::vector<std::shared_ptr<Answer>> answers;
  for (int i = 0; i < 3; ++i) {
    GenerateRequest request = Greedy(Prompt(60, i + 1), 300);
    request.on_token = [&finished, i](const TokenEvent& event) {
      if (event.finish) finished.push_back(i);
      return true;
    };
    answers.push_back(h.Submit(request));
  }
  gate.Open();
  for (auto& answer : answers) answer->done.WaitForNotification();
  EXPECT_EQ(finished, (std::vector<int>{0, 1, 2}));
}

TEST(Schedule, EqualPromptsSubmittedTogetherAreComputedOnce) {
  Harness h;
  Gate gate(h);
  std::vector<std::shared_ptr<Answer>> answers;
  for (int i = 0; i < 5; ++i) {
    GenerateRequest request = Greedy(Prompt(320), 5);
    request.prompt.push_back(i);
    answers.push_back(h.Submit(request));
  }
  const int64_t rows = h.log.step_rows;
  gate.Open();
  for (auto& answer : answers) answer->done.WaitForNotification();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(h.engine->UsageOf(answers[i]->request).cached_tokens, i == 0 ? 0 : 320);
  EXPECT_EQ(h.Settled().cached_tokens, 4 * 320);
  EXPECT_LE(h.log.step_rows - rows, 1 + 321 + 4 * 1 + 5 * 5);
}

// Submits prompts of these lengths at once and gives their numbers, from 1, in the order in which they end.
std::vector<int> OrderOfEnding(const FakeOptions& fake, const std::vector<int64_t>& prompts, int64_t max_tokens) {
  Harness h(fake);
  Gate gate(h);
  std::vector<int> ended;
  std::vector<std::shared_ptr<Answer>> answers;
  for (int number = 1; int64_t prompt : prompts) {
    GenerateRequest request = Greedy(Prompt(prompt, number), max_tokens);
    request.on_token = [&ended, number](const TokenEvent& event) {
      if (event.finish) ended.push_back(number);
      return true;
    };
    answers.push_back(h.Submit(request));
    ++number;
  }
  gate.Open();
  for (const auto& answer : answers) answer->done.WaitForNotification();
  return ended;
}

TEST(Schedule, ALongPromptDoesNotHoldUpShortOnes) {
  FakeOptions fake;
  fake.max_rows = 32;
  EXPECT_EQ(OrderOfEnding(fake, {2000, 40, 40}, 3), (std::vector<int>{2, 3, 1}));
}

// Many long prompts before it leave a short one its share.
TEST(Schedule, LongPromptsShareTheRows) {
  FakeOptions fake;
  fake.max_rows = 64;
  fake.max_sequences = 8;
  const std::vector<int> ended = OrderOfEnding(fake, {200, 200, 200, 200, 200, 200, 200, 40}, 1);
  EXPECT_TRUE(ended[0] == 8 || ended[1] == 8) << "the short one came after " << ended[0] << " and " << ended[1];
}

TEST(Schedule, MoreSequencesThanRowsTakeTurns) {
  FakeOptions fake;
  fake.max_rows = 3;
  Harness h(fake);
  Gate gate(h);
  std::vector<size_t> length(8);
  size_t spread = 0;
  std::vector<std::shared_ptr<Answer>> answers;
  for (int i = 0; i < 8; ++i) {
    GenerateRequest request = Greedy(Prompt(1, i), 50);
    request.on_token = [&, i](const TokenEvent& event) {
      ++length[i];
      const auto [low, high] = std::minmax_element(length.begin(), length.end());
      spread = std::max(spread, *high - *low);
      return true;
    };
    answers.push_back(h.Submit(request));
  }
  gate.Open();
  for (auto& answer : answers) answer->done.WaitForNotification();
  EXPECT_LE(spread, 2u);
}

// Newcomers do not go before those who were served long ago.
TEST(Schedule, NewcomersDoNotStarveTheOld) {
  FakeOptions fake;
  fake.max_rows = 1;
  fake.max_sequences = 2;
  Harness h(fake);
  Gate gate(h);
  int before = 0;  // short ones that ended while the long one ran
  bool ended = false;
  GenerateRequest request = Greedy(Prompt(1, 1), 20);
  request.on_token = [&](const TokenEvent& event) {
    ended |= event.finish.has_value();
    return true;
  };
  const auto old = h.Submit(request);
  std::vector<std::shared_ptr<Answer>> answers;
  for (int i = 0; i < 100; ++i) {
    GenerateRequest quick = Greedy(Prompt(1, 2 + i), 1);
    quick.on_token = [&](const TokenEvent&) {
      before += !ended;
      return true;
    };
    answers.push_back(h.Submit(quick));
  }
  gate.Open();
  for (const auto& answer : answers) answer->done.WaitForNotification();
  old->done.WaitForNotification();
  EXPECT_LE(before, 25);
}

TEST(Schedule, RowsAreFilledWhileThereIsWork) {
  FakeOptions fake;
  fake.max_rows = 100;
  Harness h(fake);
  Gate gate(h);
  const auto a = h.Submit(Greedy(Prompt(250, 1), 1)), b = h.Submit(Greedy(Prompt(250, 2), 1));
  const int64_t steps = h.log.steps;
  gate.Open();
  a->done.WaitForNotification();
  b->done.WaitForNotification();
  EXPECT_EQ(h.log.steps - steps, 1 + 5);
}

TEST(Schedule, NaNLogitsFailOneRequestAlone) {
  // The fake has no NaN; this runner puts it into the rows of one sequence.
  class Poisoned final : public StepRunner {
   public:
    explicit Poisoned(std::unique_ptr<StepRunner> inner) : inner_(std::move(inner)) {}
    const Program& program() const override { return inner_->program(); }
    int64_t pages() const override { return inner_->pages(); }
    absl::StatusOr<Device::Counters> ReadCounters() override { return inner_->ReadCounters(); }
    absl::StatusOr<StepOutput> Run(std::string_view entry, const StepBatch& batch) override {
      auto output = inner_->Run(entry, batch);
      if (!output.ok()) return output;
      logits_.assign(output->logits.begin(), output->logits.end());
      const size_t vocab = logits_.size() / std::max<size_t>(batch.wanted.size(), 1);
      for (size_t n = 0; n < batch.wanted.size(); ++n)
        if (batch.pos[batch.wanted[n]] == 9) logits_[n * vocab + 4] = std::numeric_limits<float>::quiet_NaN();
      output->logits = logits_;
      return output;
    }

   private:
    std::unique_ptr<StepRunner> inner_;
    std::vector<float> logits_;
  };
  FakeOptions fake;
  FakeLog log;
  auto engine = MakeEngine(std::make_unique<Poisoned>(NewFake(fake, &log)), {}).value();
  std::shared_ptr<Answer> poisoned = std::make_shared<Answer>();
  GenerateRequest request = Greedy(Prompt(5), 20);
  request.on_token = [poisoned](const TokenEvent& event) {
    if (event.id) poisoned->ids.push_back(*event.id);
    if (event.finish) {
      poisoned->finish = event.finish;
      poisoned->status = event.status;
      poisoned->done.Notify();
    }
    return true;
  };
  ASSERT_TRUE(engine->Submit(request).ok());
  const GenerateRequest beside = Greedy(Prompt(11), 30);
  EXPECT_EQ(engine->Generate(beside)->ids, Expected(fake, beside));
  poisoned->done.WaitForNotification();
  EXPECT_EQ(poisoned->finish, FinishReason::kError);
  EXPECT_EQ(poisoned->status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(poisoned->ids.size(), 5u);
}

}  // namespace
}  // namespace modelc
