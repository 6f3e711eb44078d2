#include "tools/modelc/measure/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace modelc {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const Tolerance kReference{.logits_max = 1e-3, .logits_rms = {}, .values_max = 1e-3, .choice_margin = 1e-4};

struct Builder {
  Trace trace;
  Builder& Floats(const char* name, int64_t layer, int64_t columns, std::vector<float> values) {
    TracedRows& rows = trace.values[{name, layer}];
    rows.Append(values.size() / columns, columns, values);
    trace.order.push_back({name, layer});
    return *this;
  }
  Builder& Ints(const char* name, int64_t layer, int64_t columns, std::vector<int32_t> values) {
    TracedRows& rows = trace.values[{name, layer}];
    rows.dtype = DType::kI32;
    rows.Append(values.size() / columns, columns, values);
    trace.order.push_back({name, layer});
    return *this;
  }
};

TEST(CompareTest, ErrorsAreRelativeToTheLargestAndTheMean) {
  const auto want = Builder().Floats("logits", kNoLayer, 2, {1, -4, 0, 0});
  const auto got = Builder().Floats("logits", kNoLayer, 2, {1, -4, 0, 0.002f});
  const std::vector<Comparison> result = Compare(want.trace, got.trace, kReference);
  ASSERT_EQ(result.size(), 1u);
  EXPECT_NEAR(result[0].max_error, 0.002 / 4, 1e-9);
  EXPECT_NEAR(result[0].rms_error, 0.002 / std::sqrt(17), 1e-9);
  EXPECT_TRUE(result[0].ok);
  const Tolerance strict{.logits_max = 4e-4, .logits_rms = {}, .values_max = {}, .choice_margin = {}};
  EXPECT_FALSE(Compare(want.trace, got.trace, strict)[0].ok);
  const Tolerance rms{.logits_max = {}, .logits_rms = 4e-4, .values_max = {}, .choice_margin = {}};
  EXPECT_FALSE(Compare(want.trace, got.trace, rms)[0].ok);
}

TEST(CompareTest, NaNAndInfinityNeverPass) {
  const auto want = Builder().Floats("hidden", 0, 1, {1, 2});
  for (float bad : {NAN, kInfinity, -kInfinity}) {
    const auto got = Builder().Floats("hidden", 0, 1, {1, bad});
    const std::vector<Comparison> result = Compare(want.trace, got.trace, Tolerance{});
    EXPECT_FALSE(result[0].ok) << bad;
    EXPECT_EQ(result[0].max_error, kInfinity);
  }
}

TEST(CompareTest, AllZeroExpectedAcceptsOnlyZero) {
  const auto want = Builder().Floats("hidden", 0, 1, {0, 0});
  EXPECT_TRUE(Compare(want.trace, Builder().Floats("hidden", 0, 1, {0, 0}).trace, kReference)[0].ok);
  EXPECT_FALSE(Compare(want.trace, Builder().Floats("hidden", 0, 1, {0, 1e-9f}).trace, kReference)[0].ok);
}

TEST(CompareTest, ChoicesMustBeEqualAboveTheirMargin) {
  auto want = Builder().Ints("experts", 1, 2, {0, 1, 2, 3, 4, 5});
  want.Floats("expert_margin", 1, 1, {0.5f, 1e-5f, 0.5f});
  const auto near = Builder().Ints("experts", 1, 2, {0, 1, 2, 4, 4, 5});
  std::vector<Comparison> result = Compare(want.trace, near.trace, kReference);
  ASSERT_EQ(result.size(), 1u);  // the margins are no value of their own
  EXPECT_TRUE(result[0].ok);
  EXPECT_EQ(result[0].near_ties, 1);
  const auto far = Builder().Ints("experts", 1, 2, {0, 2, 2, 3, 4, 5});
  result = Compare(want.trace, far.trace, kReference);
  EXPECT_FALSE(result[0].ok);
  EXPECT_EQ(result[0].differing, 1);
  result = Compare(want.trace, far.trace, Tolerance{});  // counted, not judged
  EXPECT_TRUE(result[0].ok);
  EXPECT_EQ(result[0].differing, 1);
}

TEST(CompareTest, SelectionsIgnoreHowRowsAreFilledUp) {
  const auto want = Builder().Ints("topk_indices", 0, 2, {0, -1, 0, 1});
  const auto got = Builder().Ints("topk_indices", 0, 4, {0, -1, -1, -1, 0, 1, -1, -1});
  EXPECT_TRUE(Compare(want.trace, got.trace, kReference)[0].ok);
}

TEST(CompareTest, WhatTheModelLacksIsNamed) {
  auto want = Builder().Floats("hidden", 0, 1, {1}).Ints("topk_indices", 0, 2, {0, -1, 0, 1});
  want.Floats("index_scores", 0, 2, {1, -kInfinity, 1, 1});
  std::vector<Comparison> result = Compare(want.trace, Trace{}, kReference);
  ASSERT_EQ(result.size(), 3u);
  for (const Comparison& value : result) EXPECT_EQ(value.ok, value.name != "hidden") << value.name;
  // A selection that leaves something out may not be skipped.
  const auto sparse = Builder().Ints("topk_indices", 0, 1, {0, 1});
  EXPECT_FALSE(Compare(sparse.trace, Trace{}, kReference)[0].ok);
}

TEST(CompareTest, ValuesWithoutRowsAreNotMissed) {
  Trace want;
  want.values[{"mtp_logits", kNoLayer}].columns = 5;
  EXPECT_TRUE(Compare(want, Trace{}, kReference).empty());
}

TEST(CompareTest, OtherShapesAndTypesFail) {
  const auto want = Builder().Floats("hidden", 0, 2, {1, 2, 3, 4});
  EXPECT_FALSE(Compare(want.trace, Builder().Floats("hidden", 0, 2, {1, 2}).trace, kReference)[0].ok);
  EXPECT_FALSE(Compare(want.trace, Builder().Floats("hidden", 0, 1, {1, 2}).trace, kReference)[0].ok);
  EXPECT_FALSE(Compare(want.trace, Builder().Ints("hidden", 0, 2, {1, 2, 3, 4}).trace, kReference)[0].ok);
}

TEST(CompareTest, ResultsComeInTheOrderOfComputation) {
  const auto want = Builder().Floats("hidden", 0, 1, {1}).Floats("hidden", 1, 1, {1}).Floats("logits", kNoLayer, 1, {1});
  const auto got = Builder().Floats("hidden", 0, 1, {1}).Floats("hidden", 1, 1, {2}).Floats("logits", kNoLayer, 1, {3});
  const std::vector<Comparison> result = Compare(want.trace, got.trace, kReference);
  ASSERT_EQ(result.size(), 3u);
  EXPECT_TRUE(result[0].ok);
  EXPECT_EQ(result[1].name, "hidden");
  EXPECT_FALSE(result[1].ok);
}

TEST(CompareTest, MarginsOfASelection) {
  TracedRows scores;
  scores.Append(3, 3, std::vector<float>{5, -kInfinity, -kInfinity, 1, 4, -kInfinity, 8, 2, 4});
  const TracedRows margins = SelectionMargins(scores, 2);
  EXPECT_THAT(margins.floats, ::testing::ElementsAre(kInfinity, kInfinity, 2.f / 8));
}

}  // namespace
}  // namespace modelc
