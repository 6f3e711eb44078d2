// Generated code against the references of the conformance suite, for each instruction set this processor has.
#include <cmath>
#include <cstdlib>
#include <set>

#include "core/compiler/generate.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "plugins/conformance/case.h"
#include "plugins/conformance/conformance.h"
#include "plugins/conformance/placed.h"

namespace modelc {
namespace {

absl::StatusOr<conformance::CodeFor> Generate(const std::string& manifest, const std::string& op,
                                              const std::string& attributes,
                                              const std::vector<conformance::CodeTensor>& tensors) {
  std::vector<TensorForm> forms;
  for (const auto& tensor : tensors) forms.push_back({tensor.dtype, tensor.dims});
  absl::StatusOr<Code> code = GenerateCode(manifest, op, attributes, forms);
  if (!code.ok()) return code.status();
  return conformance::CodeFor{code->image, code->description};
}

// A chain of ops in one function, and what its parts do one after another.
struct ChainStep {
  const char* op;
  nlohmann::json attributes;
  std::vector<int> tensors;  // as kernel-fuse numbers them
};
struct Chain {
  const char* name;
  std::vector<conformance::HostTensor> tensors;  // of the fused launch; outputs last
  std::vector<std::vector<std::string>> dims;
  std::vector<ChainStep> steps;
};

class CodegenChainTest : public ::testing::Test {
 protected:
  void SetUp() override {
    unsetenv("MODELC_CPU_ISA");
    absl::StatusOr<const Plugin*> plugin = Plugin::Load(MODELC_CPU_PLUGIN);
    ASSERT_TRUE(plugin.ok()) << plugin.status();
    device_ = *Device::Open(*plugin, 0, 2);
  }

  void Run(const std::string& op, const nlohmann::json& attributes, const std::vector<std::vector<std::string>>& dims,
           conformance::Tensors& tensors) {
    std::vector<TensorForm> forms;
    for (size_t i = 0; i < tensors.size(); ++i) forms.push_back({conformance::Name(tensors[i].dtype), dims[i]});
    absl::StatusOr<Code> code = GenerateCode(device_->manifest(), op, attributes.dump(), forms);
    ASSERT_TRUE(code.ok()) << code.status();
    absl::StatusOr<DeviceKernel> kernel = device_->Load(code->image, code->description);
    ASSERT_TRUE(kernel.ok()) << kernel.status();
    ASSERT_TRUE(conformance::RunOnce(*device_, *kernel, tensors).ok());
  }

  // The chain at once and step by step give the same bits.
  void Check(const Chain& chain) {
    nlohmann::json steps = nlohmann::json::array();
    for (const ChainStep& step : chain.steps) {
      steps.push_back({{"op", step.op}, {"attributes", step.attributes}, {"tensors", step.tensors}});
    }
    conformance::Tensors fused = chain.tensors, apart = chain.tensors;
    Run("fused", {{"steps", steps}}, chain.dims, fused);
    std::vector<conformance::HostTensor> between;
    for (const ChainStep& step : chain.steps) {
      conformance::Tensors tensors;
      std::vector<std::vector<std::string>> dims;
      for (int t : step.tensors) {
        const bool left = t < 0 && -1 - t < static_cast<int>(between.size());
        tensors.push_back(left    ? between[-1 - t]
                          : t < 0 ? conformance::Output(MODELC_F32, chain.tensors[0].shape)
                                  : apart[t]);
        tensors.back().role = left ? conformance::HostTensor::Role::kInput : tensors.back().role;
        dims.push_back(t < 0 ? chain.dims[0] : chain.dims[t]);
      }
      Run(step.op, step.attributes, dims, tensors);
      for (size_t i = 0; i < tensors.size(); ++i) {
        if (step.tensors[i] >= 0) apart[step.tensors[i]] = tensors[i];
      }
      between.push_back(tensors.back());
    }
    for (size_t i = 0; i < fused.size(); ++i)
      EXPECT_EQ(fused[i].bytes, apart[i].bytes) << chain.name << " tensor " << i;
  }

  std::unique_ptr<Device> device_;
};

TEST_F(CodegenChainTest, IndexerQueriesAtOddSizes) {
  for (const auto& [heads, width] : {std::pair<int64_t, int64_t>{3, 128}, {1, 64}, {5, 16}}) {
    conformance::Random r("chain");
    const int64_t half = width / 4;
    conformance::Values frequencies(half);
    for (double& f : frequencies) f = std::exp(-std::abs(r.Normal()));
    Check({"rope, hadamard, fake_quantize",
           {conformance::NormalF32(r, {5, heads, width}), conformance::I32({5}, {0, 1, 77, 4095, 163839}),
            conformance::F32({half}, frequencies), conformance::Output(MODELC_F32, {5, heads, width})},
           {{"T", std::to_string(heads), std::to_string(width)},
            {"T"},
            {std::to_string(half)},
            {"T", std::to_string(heads), std::to_string(width)}},
           {{"rope", {{"first", 0}, {"dim", 2 * half}, {"pairs", "half"}, {"keep", true}}, {0, 1, 2, -1}},
            {"hadamard", nlohmann::json::object(), {-1, -2}},
            {"fake_quantize", nlohmann::json::object(), {-2, 3}}}});
  }
}

TEST_F(CodegenChainTest, AResultInTheMiddleIsKept) {
  conformance::Random r("norm");
  const conformance::Shape rows = {3, 149};
  const std::vector<std::string> dims = {"T", "149"};
  Check({"add_rms_norm, fake_quantize",
         {conformance::NormalF32(r, rows), conformance::NormalF32(r, rows), conformance::Weight(r, MODELC_BF16, {149}),
          conformance::Output(MODELC_F32, rows), conformance::Output(MODELC_F32, rows)},
         {dims, dims, {"149"}, dims, dims},
         {{"add_rms_norm", {{"eps", 1e-6}}, {0, 1, 2, 3, -1}}, {"fake_quantize", nlohmann::json::object(), {-1, 4}}}});
}

TEST(Codegen, SaysWhatItCannot) {
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(MODELC_CPU_PLUGIN);
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  auto device = *Device::Open(*plugin, 0, 1);
  EXPECT_EQ(GenerateCode(device->manifest(), "think", "{}", {}).status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(GenerateCode(R"({"schema": 1, "kernels": []})", "add", "{}", {}).status().code(),
            absl::StatusCode::kUnimplemented);
  const absl::Status odd =
      GenerateCode(device->manifest(), "hadamard", "{}", {{"f32", {"T", "12"}}, {"f32", {"T", "12"}}}).status();
  EXPECT_EQ(odd.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(odd.message()), ::testing::HasSubstr("want a power of two"));
}

// All of the table but the one that is generated as two, and the one that only libraries have.
std::vector<std::string> Ops() {
  std::set<std::string> ops;
  for (const conformance::Case& c : conformance::AllCases()) ops.insert(c.op);
  ops.erase("dsa.logits_select");
  ops.erase("mla.attend_expanded");
  return {ops.begin(), ops.end()};
}

class CodegenTest : public ::testing::TestWithParam<std::string> {};

TEST_P(CodegenTest, ComputesWhatTheReferenceDoes) {
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(MODELC_CPU_PLUGIN);
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  for (const char* isa : {"portable", "avx2", ""}) {
    *isa ? setenv("MODELC_CPU_ISA", isa, 1) : unsetenv("MODELC_CPU_ISA");
    conformance::Options options;
    options.threads = 3;
    options.op = GetParam();
    options.generate = Generate;
    auto results = conformance::Run(**plugin, options, [](const conformance::Result&) {});
    ASSERT_TRUE(results.ok()) << results.status();
    EXPECT_FALSE(results->empty());
    for (const conformance::Result& r : *results) {
      const bool grouped = r.name.find("W=int") != std::string::npos;  // not generated
      EXPECT_EQ(r.outcome, grouped ? conformance::Outcome::kUnsupported : conformance::Outcome::kPassed)
          << r.op << " " << r.name << " (" << isa << "): " << r.detail;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, CodegenTest,
                         ::testing::ValuesIn(Ops()),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '.' ? '_' : c;
                           return name;
                         });

// What a schedule may say of generated code changes no result.
struct Schedule {
  const char *name, *op, *parameters;
};

class ScheduleTest : public ::testing::TestWithParam<Schedule> {};

TEST_P(ScheduleTest, ComputesWhatTheReferenceDoes) {
  unsetenv("MODELC_CPU_ISA");
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(MODELC_CPU_PLUGIN);
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  conformance::Options options;
  options.threads = 2;
  options.op = GetParam().op;
  options.generate = [](const std::string& manifest, const std::string& op, const std::string& attributes,
                        const std::vector<conformance::CodeTensor>& tensors) {
    nlohmann::json all = nlohmann::json::parse(attributes);
    all.update(nlohmann::json::parse(GetParam().parameters));
    return Generate(manifest, op, all.dump(), tensors);
  };
  auto results = conformance::Run(**plugin, options, [](const conformance::Result&) {});
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_FALSE(results->empty());
  for (const conformance::Result& r : *results) {
    EXPECT_EQ(r.outcome, conformance::Outcome::kPassed) << r.op << " " << r.name << ": " << r.detail;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ScheduleTest,
    ::testing::Values(Schedule{"SmallTilesOfScores", "dsa.logits", R"({"rows": 1, "pages": 1})"},
                      Schedule{"LargeTilesOfScores", "dsa.logits", R"({"rows": 64, "pages": 64})"},
                      Schedule{"SelectionByLargeBlocks", "dsa.select", R"({"block": 1024})"},
                      Schedule{"SelectionByThreshold", "dsa.select", R"({"select": "threshold"})"},
                      Schedule{"OftenRaised", "dsa.select", R"({"select": "threshold", "block": 64})"},
                      Schedule{"SeldomRaised", "dsa.select", R"({"select": "threshold", "block": 65536})"},
                      Schedule{"SelectionByBits", "dsa.select", R"({"select": "bits"})"},
                      Schedule{"SelectionByHeap", "dsa.select", R"({"select": "heap"})"},
                      Schedule{"OneRecordATile", "mla.attend_latent", R"({"keys": 1, "heads": 1})"},
                      Schedule{"OddTiles", "mla.attend_latent", R"({"keys": 37, "heads": 20})"},
                      Schedule{"LargeTiles", "mla.attend_latent", R"({"keys": 1024, "heads": 256})"},
                      Schedule{"KeysOutside", "dsa.logits", R"({"rows": 2, "pages": 1, "order": "keys"})"},
                      Schedule{"Together", "mla.attend_latent", R"({"gather": "page"})"},
                      Schedule{"TogetherInOddTiles", "mla.attend_latent",
                               R"({"gather": "page", "rows": 3, "keys": 37, "heads": 3})"},
                      Schedule{"AllTogether", "mla.attend_latent", R"({"gather": "page", "rows": 64, "keys": 1024})"},
                      Schedule{"PartsTogether", "mla.attend_parts", R"({"gather": "page", "rows": 3, "keys": 20})"},
                      Schedule{"PartsOutside", "mla.attend_parts", R"({"order": "keys", "keys": 8})"},
                      Schedule{"PartsTogetherOutside", "mla.attend_parts",
                               R"({"gather": "page", "order": "keys", "rows": 5})"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace modelc
