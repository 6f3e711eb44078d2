// The CPU plugin passes the whole suite, and lacks nothing.
#include <cstdlib>
#include <set>

#include "gtest/gtest.h"
#include "plugins/conformance/case.h"
#include "plugins/conformance/conformance.h"

namespace modelc::conformance {
namespace {

class CpuConformanceTest : public ::testing::TestWithParam<std::string> {};

TEST_P(CpuConformanceTest, Passes) {
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(MODELC_CPU_PLUGIN);
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  for (const char* isa : {"portable", ""}) {  // the slowest kernels, and this machine's best
    *isa ? setenv("MODELC_CPU_ISA", isa, 1) : unsetenv("MODELC_CPU_ISA");
    Options options;
    options.threads = 3;
    options.op = GetParam();
    absl::StatusOr<std::vector<Result>> results = conformance::Run(**plugin, options, [](const Result&) {});
    ASSERT_TRUE(results.ok()) << results.status();
    EXPECT_FALSE(results->empty());
    for (const Result& r : *results) {
      EXPECT_EQ(r.outcome, Outcome::kPassed) << r.op << " " << r.name << " (" << isa << "): " << r.detail;
    }
  }
}

// All but what only generated code computes, as its schedule has split the keys (codegen_test runs it).
std::vector<std::string> Ops() {
  std::set<std::string> ops = {"device", "manifest"};
  for (const Case& c : AllCases()) ops.insert(c.op);
  ops.erase("mla.attend_parts");
  ops.erase("mla.merge_parts");
  return {ops.begin(), ops.end()};
}

INSTANTIATE_TEST_SUITE_P(Ops, CpuConformanceTest, ::testing::ValuesIn(Ops()), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name) c = c == '.' ? '_' : c;
  return name;
});

}  // namespace
}  // namespace modelc::conformance
