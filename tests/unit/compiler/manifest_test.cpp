#include "plugins/manifest/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace modelc {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<bool> Evaluate(std::string_view where) {
  return EvaluateWhere(where, [](std::string_view name) -> std::optional<WhereValue> {
    if (name == "K") return 256;
    if (name == "N") return 96;
    if (name == "W.dtype") return "f8e4m3";
    return std::nullopt;
  });
}

TEST(Where, ComparesSizesAndWords) {
  for (auto [where, expected] : std::initializer_list<std::pair<std::string_view, bool>>{
           {"", true},
           {"K == 256", true},
           {"K % 128 == 0 and N % 128 == 0", false},
           {"N % 128 != 0 or K < 1", true},
           {"W.dtype == f8e4m3", true},
           {"W.dtype != bf16 and not (N >= K)", true},
           {"K - N * 2 == 64", true},
           {"K / 3 == 85", true},
           {"not not K <= 256", true},
           {"K == f8e4m3", false},         // a size is no word
           {"unknown == 1", false},        // as manifest.md says
           {"not unknown == 1", true},
           {"K % 0 == 0", false},
           {"9223372036854775807 * K > 0", false},  // overflow has no value
       }) {
    absl::StatusOr<bool> holds = Evaluate(where);
    ASSERT_TRUE(holds.ok()) << where << ": " << holds.status();
    EXPECT_EQ(*holds, expected) << where;
  }
}

TEST(Where, UnreadableConditionsPointAtTheWord) {
  EXPECT_THAT(Evaluate("K ==").status().message(), HasSubstr("expected a name or a number"));
  EXPECT_THAT(Evaluate("K").status().message(), HasSubstr("expected a comparison"));
  EXPECT_THAT(Evaluate("(K == 1").status().message(), HasSubstr("expected ')'"));
  EXPECT_THAT(Evaluate("K == 1 K").status().message(), HasSubstr("expected the end at 'K'"));
  EXPECT_THAT(Evaluate("K => 1").status().message(), HasSubstr("expected a comparison at '=>'"));
  EXPECT_FALSE(Evaluate(std::string(100000, '(')).ok());
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "not ";
  EXPECT_THAT(Evaluate(deep).status().message(), HasSubstr("nested too deeply"));
}

TEST(Manifest, ReadsKernels) {
  absl::StatusOr<Manifest> manifest = ParseManifest(
      R"({"schema": 1, "kernels": [{"name": "a", "op": "linear", "rank": 3, "where": "K > 1"}, {"name": "b", "op": "add"}]})");
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  ASSERT_EQ(manifest->kernels.size(), 2u);
  EXPECT_EQ(manifest->kernels[0].rank, 3);
  EXPECT_EQ(manifest->kernels[1].rank, 0);
  EXPECT_TRUE(manifest->HasOp("add"));
  EXPECT_FALSE(manifest->HasOp("copy"));
}

TEST(Manifest, KernelsTakeIntegerWeightsOnlyByName) {
  absl::StatusOr<Manifest> manifest = ParseManifest(R"({"schema": 1, "kernels": [
      {"name": "old", "op": "linear"}, {"name": "new", "op": "linear", "weights": ["bf16", "int8"]},
      {"name": "narrow", "op": "linear", "weights": ["int8"], "where": "K % 128 == 0"}]})");
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  const auto takes = [&](int kernel, std::string dtype, int64_t k) {
    return Takes(manifest->kernels[kernel], [&](std::string_view name) -> std::optional<WhereValue> {
      if (name == "K") return k;
      return name == "W.dtype" ? std::optional<WhereValue>(dtype) : std::nullopt;
    });
  };
  for (const char* dtype : {"f8e4m3", "bf16", "f32"}) EXPECT_TRUE(takes(0, dtype, 1)) << dtype;
  for (const char* dtype : {"int8", "int4"}) EXPECT_FALSE(takes(0, dtype, 1)) << dtype;
  EXPECT_TRUE(takes(1, "int8", 1));
  EXPECT_FALSE(takes(1, "int4", 1));
  EXPECT_FALSE(takes(1, "f32", 1));
  EXPECT_TRUE(takes(2, "int8", 256));
  EXPECT_FALSE(takes(2, "int8", 100));
  // An op without a weight.
  EXPECT_TRUE(Takes(manifest->kernels[0], [](std::string_view) { return std::nullopt; }));
}

TEST(Manifest, RefusesWhatThePageDoesNotAllow) {
  for (auto [text, message] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
           {"", "not a JSON object"},
           {"[]", "not a JSON object"},
           {R"({"kernels": []})", "'schema' must be 1"},
           {R"({"schema": 2, "kernels": []})", "'schema' must be 1"},
           {R"({"schema": 1})", "'kernels' must be a list"},
           {R"({"schema": 1, "kernels": [1]})", "each kernel needs a 'name' and an 'op'"},
           {R"({"schema": 1, "kernels": [{"name": 1, "op": "add"}]})", "each kernel needs a 'name' and an 'op'"},
           {R"({"schema": 1, "kernels": [{"name": "a", "op": "add"}, {"name": "a", "op": "copy"}]})", "listed twice"},
           {R"({"schema": 1, "kernels": [{"name": "a", "op": "add", "rank": 1.5}]})", "'rank' must be a whole number"},
           {R"({"schema": 1, "kernels": [{"name": "a", "op": "add", "where": 1}]})", "'where' must be a string"},
           {R"({"schema": 1, "kernels": [{"name": "a", "op": "add", "where": "K >"}]})", "kernel 'a': condition 'K >'"},
           {R"({"schema": 1, "kernels": [{"name": "a", "op": "add", "weights": []}]})", "'weights' must be a list of dtypes"},
           {R"({"schema": 1, "kernels": [{"name": "a", "op": "add", "weights": [1]}]})", "'weights' must be a list of dtypes"},
           {R"({"schema": 1, "kernels": [], "device": {"codegen": "llvm-cpu", "triple": "x", "cpu": "y", "vector_bytes": 32}})",
            "wants 'target' in 'device'"},
           {R"({"schema": 1, "kernels": [], "device": {"codegen": "llvm-cpu", "target": 5}})", "wants 'target' in 'device'"},
       }) {
    EXPECT_THAT(ParseManifest(text).status().message(), HasSubstr(std::string(message))) << text;
  }
}

}  // namespace
}  // namespace modelc
