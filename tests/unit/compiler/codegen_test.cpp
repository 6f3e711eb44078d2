// Generated code against the references of the conformance suite, for each instruction set this processor has.
#include <cstdlib>
#include <set>

#include "core/compiler/generate.h"
#include "gtest/gtest.h"
#include "plugins/conformance/case.h"
#include "plugins/conformance/conformance.h"

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

class CodegenTest : public ::testing::TestWithParam<std::string> {};

TEST_P(CodegenTest, ComputesWhatTheReferenceDoes) {
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(MODELC_CPU_PLUGIN);
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  for (const char* isa : {"portable", ""}) {
    *isa ? setenv("MODELC_CPU_ISA", isa, 1) : unsetenv("MODELC_CPU_ISA");
    conformance::Options options;
    options.threads = 3;
    options.op = GetParam();
    options.generate = Generate;
    auto results = conformance::Run(**plugin, options, [](const conformance::Result&) {});
    ASSERT_TRUE(results.ok()) << results.status();
    EXPECT_FALSE(results->empty());
    for (const conformance::Result& r : *results) {
      EXPECT_EQ(r.outcome, conformance::Outcome::kPassed) << r.op << " " << r.name << " (" << isa << "): " << r.detail;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Ops, CodegenTest,
                         ::testing::Values("add", "rms_norm", "add_rms_norm", "layer_norm", "rope", "hadamard",
                                           "fake_quantize", "moe.route", "dsa.logits", "dsa.select",
                                           "mla.attend_latent"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name) c = c == '.' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace modelc
