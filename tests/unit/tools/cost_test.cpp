#include "tools/modelc/measure/cost.h"

#include <gtest/gtest.h>

#include <cmath>

namespace modelc {
namespace {

using Kind = Operand::Kind;

Dim Rows(Size size, int64_t factor = 1) { return {.factor = factor, .dynamic = true, .size = size}; }
Dim Fixed(int64_t n) { return {.factor = n}; }

class CostTest : public ::testing::Test {
 protected:
  Operand Buffer(std::vector<Dim> dims, DType dtype = DType::kF32) {
    program_.buffers.push_back({"b", {dtype, std::move(dims)}, 0, 0});
    return {Kind::kBuffer, static_cast<uint32_t>(program_.buffers.size() - 1)};
  }
  Operand Weight(DType dtype, std::vector<int64_t> shape, bool scaled = false) {
    program_.weights.push_back({"w", scaled ? "s" : "", dtype, std::move(shape), 0});
    return {Kind::kWeight, static_cast<uint32_t>(program_.weights.size() - 1)};
  }
  Operand Cache(int64_t page_bytes) {
    program_.caches.push_back({CacheKind::kLatent, 1, page_bytes, "f8"});
    return {Kind::kCache, static_cast<uint32_t>(program_.caches.size() - 1)};
  }
  Cost Of(const char* op, std::vector<Operand> operands, const Sizes& sizes, const char* attributes = "{}") {
    Launch launch;
    launch.op = op;
    launch.attributes = attributes;
    launch.operands = std::move(operands);
    auto cost = CostOf(program_, launch, sizes);
    EXPECT_TRUE(cost.ok()) << cost.status();
    return *cost;
  }

  Program program_;
  const Operand none_{};
  const Operand step_{Kind::kInput, 0};
};

TEST_F(CostTest, LinearCountsProductsWeightsAndScales) {
  const Cost cost = Of("linear", {Buffer({Rows(Size::kT), Fixed(200)}), Weight(DType::kF8E4M3, {300, 200}, true),
                                  Buffer({Rows(Size::kT), Fixed(300)})},
                       {5, 1, 1, 1, 10, 0});
  EXPECT_EQ(cost.flops, 2.0 * 5 * 300 * 200);
  EXPECT_EQ(cost.weight_bytes, 300 * 200 + 3 * 2 * 4);
  EXPECT_EQ(cost.activation_bytes, 5 * (200 + 300) * 4);
  EXPECT_EQ(cost.cache_bytes, 0);
}

TEST_F(CostTest, RowsRoundedToInt8AreMultipliedAsIntegers) {
  program_.weights.push_back({"w", "s", DType::kF8E4M3, {300, 200}, 0, DType::kInt8});
  const Cost cost = Of("linear", {Buffer({Rows(Size::kT), Fixed(200)}), {Kind::kWeight, 0}, Buffer({Rows(Size::kT), Fixed(300)})},
                       {5, 1, 1, 1, 10, 0}, R"({"act": "int8_1x128"})");
  EXPECT_EQ(cost.flops, 0);
  EXPECT_EQ(cost.int_ops, 2.0 * 5 * 300 * 200);
  EXPECT_EQ(cost.operations(), cost.int_ops);
  EXPECT_EQ(cost.weight_bytes, 300 * 2 * 132);
  EXPECT_EQ(cost.ArithmeticSeconds({10e9, 1e9, 3e9}), cost.int_ops / 3e9);
}

TEST_F(CostTest, HeadLinearReadsItsRowsOfEachHead) {
  // 4 heads of 24 rows, of which 16 are used.
  const Cost cost = Of("head_linear", {Buffer({Rows(Size::kT), Fixed(4), Fixed(16)}), Weight(DType::kBF16, {96, 64}),
                                       Buffer({Rows(Size::kT), Fixed(4), Fixed(64)})},
                       {3, 1, 1, 1, 10, 0}, R"({"first": 0, "count": 16, "transposed": true})");
  EXPECT_EQ(cost.flops, 2.0 * 3 * 4 * 16 * 64);
  EXPECT_EQ(cost.weight_bytes, 4 * 16 * 64 * 2);
}

TEST_F(CostTest, ExpertsAreReadWhenARowReachesThem) {
  const std::vector<Operand> operands = {Buffer({Rows(Size::kM), Fixed(8)}), none_, Weight(DType::kF32, {4, 6, 8}),
                                         Buffer({Rows(Size::kM), Fixed(6)})};
  const double expert = 6 * 8 * 4;
  const Cost one = Of("grouped_linear", operands, {1, 1, 1, 1, 10, 1});
  EXPECT_NEAR(one.weight_bytes, expert, 1e-9);
  EXPECT_EQ(one.flops, 2.0 * 6 * 8);
  EXPECT_NEAR(Of("grouped_linear", operands, {1000, 1, 1, 1, 10, 1000}).weight_bytes, 4 * expert, 1e-6);
}

TEST_F(CostTest, SelectionBoundsWhatAttentionReads) {
  const Operand q = Buffer({Rows(Size::kT), Fixed(2), Fixed(32)}), r = Buffer({Rows(Size::kT), Fixed(2), Fixed(8)});
  const Operand sel = Buffer({Rows(Size::kT), Fixed(16)}, DType::kI32), cache = Cache(64 * 50);
  const Operand out = Buffer({Rows(Size::kT), Fixed(2), Fixed(32)});
  const auto attend = [&](const Operand& selection, int64_t context) {
    return Of("mla.attend_latent", {q, r, selection, step_, step_, step_, cache, out}, {3, 1, 1, 9, context, 0});
  };
  EXPECT_EQ(attend(sel, 1000).cache_bytes, 3 * 16 * 50);
  EXPECT_EQ(attend(sel, 10).cache_bytes, 3 * 10 * 50);
  EXPECT_EQ(attend(none_, 1000).cache_bytes, 3 * 1000 * 50);
  EXPECT_EQ(attend(sel, 1000).flops, attend(sel, 100000).flops);
}

TEST_F(CostTest, ExpandingServesUpTo256Rows) {
  const Operand q = Buffer({Rows(Size::kT), Fixed(2), Fixed(24)}), r = Buffer({Rows(Size::kT), Fixed(2), Fixed(8)});
  const Operand cache = Cache(64 * 50), weight = Weight(DType::kF8E4M3, {2 * (16 + 20), 32}, true);
  const Operand out = Buffer({Rows(Size::kT), Fixed(2), Fixed(20)});
  const auto attend = [&](int64_t rows) {
    return Of("mla.attend_expanded", {q, r, none_, step_, step_, step_, cache, weight, out}, {rows, 1, 1, 9, 500, 0},
              R"({"nope": 16, "scale": 1, "format": "f8"})");
  };
  const double row = attend(256).flops - attend(255).flops;
  EXPECT_EQ(attend(257).flops - attend(256).flops - row, 2.0 * 500 * 2 * (16 + 20) * 32);
  EXPECT_EQ(attend(256).cache_bytes, 500 * 50);
  EXPECT_EQ(attend(257).cache_bytes, 2 * 500 * 50);
  EXPECT_GT(row, 2.0 * 500 * 2 * (16 + 8 + 20));
}

TEST_F(CostTest, IndexKeysAreReadOncePerSequence) {
  const Operand q = Buffer({Rows(Size::kT), Fixed(4), Fixed(128)}), w = Buffer({Rows(Size::kT), Fixed(4)});
  const Operand cache = Cache(64 * 132), score = Buffer({Rows(Size::kT), Rows(Size::kC)});
  const Cost cost = Of("dsa.logits", {q, w, step_, step_, step_, cache, score}, {6, 2, 2, 9, 500, 0});
  EXPECT_EQ(cost.cache_bytes, 2 * 500 * 132);
  EXPECT_EQ(cost.flops, 6.0 * 500 * 4 * (2 * 128 + 3));
  EXPECT_EQ(cost.activation_bytes, 4.0 * 6 * (4 * 128 + 4 + 500));
}

TEST_F(CostTest, UnknownOpsCostTheirActivations) {
  const Cost cost = Of("vendor.op", {Buffer({Rows(Size::kT), Fixed(7)})}, {2, 1, 1, 1, 1, 0});
  EXPECT_EQ(cost.flops, 0);
  EXPECT_EQ(cost.activation_bytes, 2 * 7 * 4);
}

TEST_F(CostTest, AStepCountsLayersAndConditions) {
  Launch launch;
  launch.op = "linear";
  launch.attributes = "{}";
  launch.operands = {Buffer({Rows(Size::kT), Fixed(2)}), Weight(DType::kF32, {2, 2}), Buffer({Rows(Size::kT), Fixed(2)})};
  Launch rare = launch;
  rare.condition = {Condition::When::kContextAbove, 100};
  const Entry entry{"step", {{0, 3, {launch, rare}}}, {}};
  EXPECT_EQ(CostOfStep(program_, entry, {1, 1, 1, 1, 100, 0})->flops, 3 * 8);
  EXPECT_EQ(CostOfStep(program_, entry, {1, 1, 1, 1, 101, 0})->flops, 6 * 8);
  program_.buffers.clear();
  launch.operands.clear();
  launch.attributes = "[";
  EXPECT_EQ(CostOf(program_, launch, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Prediction, GrowsWithEveryCostAndShrinksWithTheLimits) {
  const MachineLimits limits{10e9, 100e9, 300e9};
  const Cost cost{.flops = 1e9, .int_ops = 3e8, .weight_bytes = 1e8, .cache_bytes = 1e6, .activation_bytes = 1e6};
  for (const char* op : {"linear", "dsa.logits_select", "an op nobody measured"}) {
    const double seconds = PredictSeconds(op, cost, limits);
    EXPECT_GE(seconds, cost.ArithmeticSeconds(limits)) << op;  // faster than the limit cannot be
    EXPECT_LE(seconds, 10 * (cost.ArithmeticSeconds(limits) + 1e8 / limits.read_bytes_per_second)) << op;
    EXPECT_GT(PredictSeconds(op, cost * 2, limits), seconds) << op;
    EXPECT_LT(PredictSeconds(op, cost, {20e9, 200e9, 600e9}), seconds) << op;
  }
  EXPECT_EQ(PredictSeconds("linear", cost, {}), 0);
}

}  // namespace
}  // namespace modelc
