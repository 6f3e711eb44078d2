#include "tools/modelc/measure/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/checkpoint/safetensors_file.h"

namespace modelc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::MakeTensor;
using testing::Safetensors;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(TraceTest, RowsGrowWider) {
  TracedRows rows;
  rows.Append(1, 1, std::vector<float>{1});
  rows.Append(2, 2, std::vector<float>{2, 3, 4, 5});
  EXPECT_EQ(rows.rows, 3);
  EXPECT_THAT(rows.floats, ElementsAre(1, -kInfinity, 2, 3, 4, 5));
  TracedRows ints;
  ints.Append(1, 2, std::vector<int32_t>{1, 2});
  ints.Append(1, 1, std::vector<int32_t>{3});
  EXPECT_THAT(ints.ints, ElementsAre(1, 2, 3, -1));
}

TEST(TraceTest, GoldenNamesBecomeValuesAndLayers) {
  TempDir dir;
  dir.Write("inputs.safetensors", Safetensors({MakeTensor<int64_t>("input_ids", "I64", {2}, {5, 7})}));
  dir.Write("golden.safetensors", Safetensors({MakeTensor<float>("logits", "F32", {2, 2}, {1, 2, 3, 4}),
                                               MakeTensor<float>("topk_margin.3", "F32", {2}, {kInfinity, 0.5f}),
                                               MakeTensor<int32_t>("experts.12", "I32", {2, 1}, {4, 6})}));
  auto golden = LoadGolden(dir.path(), "golden.safetensors");
  ASSERT_TRUE(golden.ok()) << golden.status();
  EXPECT_THAT(golden->ids, ElementsAre(5, 7));
  EXPECT_THAT(golden->trace.Find("logits", kNoLayer)->FloatRow(1), ElementsAre(3, 4));
  EXPECT_THAT(golden->trace.Find("topk_margin", 3)->floats, ElementsAre(kInfinity, 0.5f));
  EXPECT_THAT(golden->trace.Find("experts", 12)->ints, ElementsAre(4, 6));
  EXPECT_EQ(golden->trace.Find("experts", 3), nullptr);
}

TEST(TraceTest, DamagedGoldens) {
  TempDir dir;
  const auto message = [&] { return std::string(LoadGolden(dir.path(), "golden.safetensors").status().message()); };
  EXPECT_THAT(message(), HasSubstr("inputs.safetensors"));
  dir.Write("inputs.safetensors", Safetensors({MakeTensor<int64_t>("input_ids", "I64", {0}, {})}));
  EXPECT_THAT(message(), HasSubstr("holds no tokens"));
  dir.Write("inputs.safetensors", Safetensors({MakeTensor<int64_t>("input_ids", "I64", {1}, {-4})}));
  EXPECT_THAT(message(), HasSubstr("id -4 is no token"));
  dir.Write("inputs.safetensors", Safetensors({MakeTensor<int64_t>("input_ids", "I64", {1}, {4})}));
  EXPECT_THAT(message(), HasSubstr("golden.safetensors"));
  dir.Write("golden.safetensors", Safetensors({}));
  EXPECT_THAT(message(), HasSubstr("holds no logits"));
  dir.Write("golden.safetensors", Safetensors({MakeTensor<float>("hidden.x", "F32", {1}, {1})}));
  EXPECT_THAT(message(), HasSubstr("'hidden.x' names no layer"));
  dir.Write("golden.safetensors", Safetensors({MakeTensor<float>("logits", "F32", {1, 1, 1}, {1})}));
  EXPECT_THAT(message(), HasSubstr("not one row a token"));
}

}  // namespace
}  // namespace modelc
