#include "core/runtime/engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace modelc {
namespace {

using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

int32_t Pick(const SamplingParams& params, std::vector<float> logits, int64_t position = 0, uint64_t seed = 1,
             std::vector<int32_t> prompt = {}, std::vector<int32_t> generated = {}) {
  Sampler sampler(params, seed, prompt);
  for (int32_t id : generated) sampler.Accept(id);
  return sampler.Choose(logits, position).value().id;
}

SamplingParams Greedy() {
  SamplingParams p;
  p.temperature = 0;
  return p;
}

// Shares of n draws at positions 0…n-1.
std::map<int32_t, double> Shares(const SamplingParams& params, const std::vector<float>& logits, int n = 40000) {
  Sampler sampler(params, 42, {});
  std::map<int32_t, double> shares;
  for (int i = 0; i < n; ++i) shares[sampler.Choose(logits, i).value().id] += 1.0 / n;
  return shares;
}

// Allows what the mask says, and remembers what came.
struct Masked : TokenConstraint {
  std::vector<uint8_t> mask;
  std::vector<int32_t> came;
  explicit Masked(std::vector<uint8_t> m) : mask(std::move(m)) {}
  const std::vector<uint8_t>& Mask() override { return mask; }
  void Accept(int32_t id) override { came.push_back(id); }
};

TEST(Sampler, AConstraintLeavesWhatItAllows) {
  const auto constraint = std::make_shared<Masked>(std::vector<uint8_t>{1, 0, 1});  // ids beyond it are not allowed either
  const std::vector<float> logits = {1, 9, 2, 8};
  EXPECT_EQ(Sampler(Greedy(), 1, {}, constraint).Choose(logits, 0)->id, 2);
  SamplingParams hot;
  hot.top_p = 0.9;  // of what is allowed: both are needed to reach it
  Sampler sampler(hot, 42, {}, constraint);
  std::map<int32_t, int> times;
  for (int i = 0; i < 1000; ++i) ++times[sampler.Choose(logits, i)->id];
  EXPECT_EQ(times.size(), 2u);
  EXPECT_NEAR(times[2] / 1000.0, std::exp(2) / (std::exp(1) + std::exp(2)), 0.05);
  sampler.Accept(2);
  EXPECT_EQ(constraint->came, std::vector<int32_t>{2});
  constraint->mask = {0, 0, 0};
  EXPECT_EQ(sampler.Choose(logits, 0).status().code(), absl::StatusCode::kInternal);
  constraint->mask = {1, 0, 0};
  EXPECT_EQ(sampler.Guess(logits, 0), 0) << "guesses are held to it too";
}

TEST(Sampler, GreedyTakesTheLowestIdOfEquals) {
  EXPECT_EQ(Pick(Greedy(), {0, 3, 3, 1}), 1);
  EXPECT_EQ(Pick(Greedy(), {-kInf, -kInf, -2}), 2);
  EXPECT_EQ(Pick(Greedy(), {-0.0f, 0.0f}), 0);
}

TEST(Sampler, DrawsFromTheDistribution) {
  const auto shares = Shares({}, {std::log(0.5f), std::log(0.3f), std::log(0.2f), -kInf});
  EXPECT_NEAR(shares.at(0), 0.5, 0.01);
  EXPECT_NEAR(shares.at(1), 0.3, 0.01);
  EXPECT_NEAR(shares.at(2), 0.2, 0.01);
  EXPECT_EQ(shares.count(3), 0u);
}

TEST(Sampler, TemperatureScalesLogits) {
  SamplingParams p;
  p.temperature = 2;
  const auto shares = Shares(p, {2 * std::log(0.8f), 2 * std::log(0.2f)});
  EXPECT_NEAR(shares.at(0), 0.8, 0.01);
  p.temperature = 1e-9;
  EXPECT_EQ(Pick(p, {1.0f, 1.0001f, -1000}), 1);
}

TEST(Sampler, TopKKeepsTheBestAndTheLowerIdAtATie) {
  SamplingParams p;
  p.top_k = 2;
  const auto shares = Shares(p, {1, 2, 1, 1});
  EXPECT_EQ(shares.size(), 2u);
  EXPECT_NEAR(shares.at(1), std::exp(1.0) / (1 + std::exp(1.0)), 0.01);
  EXPECT_EQ(shares.count(0), 1u);
  p.top_k = 9;
  EXPECT_EQ(Shares(p, {1, 2, 1, 1}).size(), 4u);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  SamplingParams p;
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.3f), std::log(0.1f)};
  p.top_p = 0.75;
  auto shares = Shares(p, logits);
  EXPECT_EQ(shares.size(), 2u);
  EXPECT_NEAR(shares.at(1), 0.5 / 0.8, 0.01);
  p.top_p = 0.85;
  shares = Shares(p, logits);
  EXPECT_EQ(shares.size(), 3u);
  EXPECT_EQ(shares.count(3), 0u) << "a tie goes to the lower id";
  p.top_p = 1e-12;
  EXPECT_EQ(Shares(p, logits).size(), 1u);
}

TEST(Sampler, TopPCountsWhatTopKLeft) {
  SamplingParams p;
  p.top_k = 2;
  p.top_p = 0.6;  // of 0.5 + 0.3: the first alone has 0.625
  EXPECT_EQ(Shares(p, {std::log(0.5f), std::log(0.3f), std::log(0.2f)}).size(), 1u);
}

TEST(Sampler, MinPIsRelativeToTheMostLikely) {
  SamplingParams p;
  p.min_p = 0.5;
  const auto shares = Shares(p, {std::log(0.5f), std::log(0.26f), std::log(0.24f)});
  EXPECT_EQ(shares.size(), 2u);
  p.min_p = 1;
  EXPECT_EQ(Shares(p, {1, 3, 2}).size(), 1u);
}

TEST(Sampler, RepetitionPenaltyCountsPromptAndGenerated) {
  SamplingParams p = Greedy();
  p.repetition_penalty = 2;
  EXPECT_EQ(Pick(p, {3, 2, 0}), 0);
  EXPECT_EQ(Pick(p, {3, 2, 0}, 0, 1, {0}), 1) << "3 / 2 < 2";
  EXPECT_EQ(Pick(p, {3, 2, 0}, 0, 1, {}, {0}), 1);
  EXPECT_EQ(Pick(p, {5, 2, 0}, 0, 1, {0, 0, 0}, {0}), 0) << "once, however often: 5 / 2 > 2";
  EXPECT_EQ(Pick(p, {-1, -1.5f}, 0, 1, {0}), 1) << "a negative logit is multiplied";
}

TEST(Sampler, PresenceAndFrequencyCountGeneratedAlone) {
  SamplingParams p = Greedy();
  p.presence_penalty = 1;
  EXPECT_EQ(Pick(p, {1.5f, 1, 0}, 0, 1, {0}), 0) << "the prompt does not count";
  EXPECT_EQ(Pick(p, {1.5f, 1, 0}, 0, 1, {}, {0}), 1);
  EXPECT_EQ(Pick(p, {2.5f, 1, 0}, 0, 1, {}, {0, 0}), 0) << "once, however often";
  p = Greedy();
  p.frequency_penalty = 1;
  EXPECT_EQ(Pick(p, {2.5f, 1, 0}, 0, 1, {}, {0}), 0);
  EXPECT_EQ(Pick(p, {2.5f, 1, 0}, 0, 1, {}, {0, 0}), 1);
}

TEST(Sampler, PresenceWithRepetitionLeavesPromptTokensToTheLatter) {
  SamplingParams p = Greedy();
  p.repetition_penalty = 1.0001;
  p.presence_penalty = 5;
  EXPECT_EQ(Pick(p, {3, 2}, 0, 1, {0}), 0);
}

TEST(Sampler, LogitBias) {
  SamplingParams p = Greedy();
  p.logit_bias = {{2, 10.0}, {0, -100.0}};
  EXPECT_EQ(Pick(p, {5, 1, 0}), 2);
}

TEST(Sampler, ASeedAndPositionFixTheDraw) {
  const std::vector<float> logits(100, 0.0f);
  std::map<int32_t, int> by_position, by_seed;
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(Pick({}, logits, i, 7), Pick({}, logits, i, 7));
    ++by_position[Pick({}, logits, i, 7)];
    ++by_seed[Pick({}, logits, 0, i)];
  }
  EXPECT_GT(by_position.size(), 60u);
  EXPECT_GT(by_seed.size(), 60u);
}

TEST(Sampler, NeighbouringSeedsAndPositionsAreIndependent) {
  const std::vector<float> logits(2, 0.0f);
  int same_next_position = 0, same_next_seed = 0, swapped = 0;
  constexpr int kN = 20000;
  for (int i = 0; i < kN; ++i) {
    const int32_t here = Pick({}, logits, i, 1000);
    same_next_position += here == Pick({}, logits, i + 1, 1000);
    same_next_seed += here == Pick({}, logits, i, 1001);
    swapped += Pick({}, logits, i, 5000) == Pick({}, logits, 5000, i);
  }
  for (int n : {same_next_position, same_next_seed, swapped}) EXPECT_NEAR(n / double{kN}, 0.5, 0.02);
}

TEST(Sampler, LogprobsAreTheModelsOwn) {
  SamplingParams p = Greedy();
  p.logit_bias = {{0, 100.0}};
  p.top_logprobs = 2;
  Sampler sampler(p, 1, {});
  const auto choice = sampler.Choose(std::vector<float>{0, std::log(2.0f), 0, -kInf}, 0).value();
  EXPECT_EQ(choice.id, 0);
  EXPECT_NEAR(*choice.logprob, std::log(0.25), 1e-6);
  ASSERT_EQ(choice.top_logprobs.size(), 2u);
  EXPECT_EQ(choice.top_logprobs[0].id, 1);
  EXPECT_NEAR(choice.top_logprobs[0].logprob, std::log(0.5), 1e-6);
  EXPECT_EQ(choice.top_logprobs[1].id, 0) << "the lower id of equals";

  p.top_logprobs = 0;
  const auto alone = Sampler(p, 1, {}).Choose(std::vector<float>{0, 0}, 0).value();
  EXPECT_TRUE(alone.logprob.has_value());
  EXPECT_TRUE(alone.top_logprobs.empty());
  p.top_logprobs = -1;
  EXPECT_FALSE(Sampler(p, 1, {}).Choose(std::vector<float>{0, 0}, 0).value().logprob.has_value());
}

TEST(Sampler, UnusableLogitsAreAnError) {
  for (const std::vector<float>& logits : {std::vector<float>{0, kNan, 1}, {0, kInf}, {-kInf, -kInf}}) {
    for (const SamplingParams& p : {Greedy(), SamplingParams()}) {
      Sampler sampler(p, 1, {});
      EXPECT_EQ(sampler.Choose(logits, 0).status().code(), absl::StatusCode::kInternal);
      EXPECT_FALSE(sampler.Guess(logits, 0).has_value());
    }
  }
}

TEST(Sampler, ValidatesParameters) {
  EXPECT_TRUE(Validate({}, 10).ok());
  const auto message = [](auto set) {
    SamplingParams p;
    set(p);
    return std::string(Validate(p, 10).message());
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(message([&](auto& p) { p.temperature = -0.1; }), HasSubstr("temperature is -0.1"));
  EXPECT_THAT(message([&](auto& p) { p.temperature = nan; }), HasSubstr("temperature"));
  EXPECT_THAT(message([&](auto& p) { p.top_p = 0; }), HasSubstr("top_p"));
  EXPECT_THAT(message([&](auto& p) { p.top_p = 1.1; }), HasSubstr("top_p"));
  EXPECT_THAT(message([&](auto& p) { p.top_k = -1; }), HasSubstr("top_k"));
  EXPECT_THAT(message([&](auto& p) { p.min_p = 2; }), HasSubstr("min_p"));
  EXPECT_THAT(message([&](auto& p) { p.presence_penalty = nan; }), HasSubstr("presence_penalty"));
  EXPECT_THAT(message([&](auto& p) { p.frequency_penalty = -nan; }), HasSubstr("frequency_penalty"));
  EXPECT_THAT(message([&](auto& p) { p.repetition_penalty = 0; }), HasSubstr("repetition_penalty"));
  EXPECT_THAT(message([&](auto& p) { p.top_logprobs = 11; }), HasSubstr("top_logprobs"));
  EXPECT_THAT(message([&](auto& p) { p.logit_bias[10] = 0; }), HasSubstr("token 10"));
  EXPECT_THAT(message([&](auto& p) { p.logit_bias[-1] = 0; }), HasSubstr("token -1"));
  EXPECT_THAT(message([&](auto& p) { p.logit_bias[1] = nan; }), HasSubstr("logit_bias"));
}

}  // namespace
}  // namespace modelc
