#include "plugins/conformance/conformance.h"

#include <fstream>
#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plugins/conformance/case.h"

namespace modelc::conformance {
namespace {

using ::testing::HasSubstr;

std::string Library(const std::string& folder, const std::string& name) {
  return std::string(MODELC_TEST_PLUGINS) + "/" + folder + "/libmodelc_" + name + ".so";
}

absl::StatusOr<std::vector<Result>> RunOn(const std::string& path, const std::string& op) {
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(path);
  if (!plugin.ok()) return plugin.status();
  Options options;
  options.op = op;
  return Run(**plugin, options, [](const Result&) {});
}

// Details of the failures by case name.
std::map<std::string, std::string> Failures(const std::vector<Result>& results) {
  std::map<std::string, std::string> failures;
  for (const Result& r : results) {
    if (r.outcome == Outcome::kFailed) failures[r.name] = r.detail;
  }
  return failures;
}

TEST(ConformanceTest, TheTemplatePasses) {
  absl::StatusOr<std::vector<Result>> results = RunOn(Library("template", "test_template"), "");
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_THAT(Failures(*results), ::testing::IsEmpty());
  std::map<std::string, int> passed;
  for (const Result& r : *results) passed[r.op] += r.outcome == Outcome::kPassed;
  EXPECT_GT(passed["add"], 2);
  EXPECT_GT(passed["rms_norm"], 4);
  EXPECT_GT(passed["linear"], 8);
  EXPECT_GT(passed["device"], 15);
}

TEST(ConformanceTest, UnsupportedIsNotFailed) {
  absl::StatusOr<std::vector<Result>> results = RunOn(Library("template", "test_template"), "linear");
  ASSERT_TRUE(results.ok()) << results.status();
  for (const Result& r : *results) {
    if (r.name.find("f8e4m3") == std::string::npos) continue;
    EXPECT_EQ(r.outcome, Outcome::kUnsupported) << r.name;
    EXPECT_THAT(r.detail, HasSubstr("'linear' wants W.dtype != f8e4m3"));
  }
  results = RunOn(Library("template", "test_template"), "moe.route");
  ASSERT_TRUE(results.ok()) << results.status();
  for (const Result& r : *results) EXPECT_EQ(r.detail, "no kernel for the op");
}

TEST(ConformanceTest, WritingOutsideATensorIsSeen) {
  absl::StatusOr<std::vector<Result>> results = RunOn(Library("wrong", "test_wrong"), "add");
  ASSERT_TRUE(results.ok()) << results.status();
  for (const Result& r : *results) EXPECT_THAT(r.detail, HasSubstr("wrote outside tensor 2")) << r.name;
}

TEST(ConformanceTest, ARowThatDependsOnTheBatchIsSeen) {
  absl::StatusOr<std::vector<Result>> results = RunOn(Library("wrong", "test_wrong"), "layer_norm");
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_THAT(Failures(*results)["T=4 D=128 W=f32"], HasSubstr("alone differs from itself in the batch of 4"));
}

TEST(ConformanceTest, TiesBrokenTheWrongWayAreSeen) {
  absl::StatusOr<std::vector<Result>> results = RunOn(Library("wrong", "test_wrong"), "dsa.select");
  ASSERT_TRUE(results.ok()) << results.status();
  const std::map<std::string, std::string> failures = Failures(*results);
  int ties = 0;
  for (const auto& [name, detail] : failures) ties += name.ends_with("ties at zero") || name.ends_with("all equal");
  EXPECT_GE(ties, 4);
  EXPECT_FALSE(failures.contains("k=64 C=64 rows=1@63"));  // nothing to choose
}

TEST(ConformanceTest, TheManifestIsChecked) {
  absl::StatusOr<std::vector<Result>> results = RunOn(Library("wrong", "test_wrong"), "manifest");
  ASSERT_TRUE(results.ok()) << results.status();
  std::map<std::string, std::string> failures = Failures(*results);
  EXPECT_EQ(failures.size(), 2u);
  EXPECT_THAT(failures["kernel 'layer_norm'"], HasSubstr("'where' uses Q, which op 'layer_norm' has not"));
  EXPECT_THAT(failures["kernel 'nothing'"], HasSubstr("op 'no.such.op' is not in ops.md"));
  EXPECT_THAT(std::string(RunOn(Library("bad_manifest", "fake_bad_manifest"), "").status().message()),
              HasSubstr("manifest: each kernel needs"));
}

TEST(ConformanceTest, AnUnknownOpIsRefused) {
  EXPECT_THAT(std::string(RunOn(Library("template", "test_template"), "no.such.op").status().message()),
              HasSubstr("no op 'no.such.op'; there are"));
}

TEST(ConformanceTest, PerfTimesWhatThePluginHas) {
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(Library("template", "test_template"));
  ASSERT_TRUE(plugin.ok());
  Options options;
  options.op = "mla.append";  // none of them timed
  options.perf = true;
  absl::StatusOr<std::vector<Result>> results = conformance::Run(**plugin, options, [](const Result&) {});
  ASSERT_TRUE(results.ok());
  EXPECT_TRUE(results->empty());
}

// Every op of ops.md has cases, and no case an op that is not there.
TEST(ConformanceTest, TheTableCoversTheOps) {
  std::map<std::string, int> cases;
  for (const Case& c : AllCases()) ++cases[c.op];
  std::ifstream in("plugins/abi/ops.md");
  std::vector<std::string> ops;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("| `")) ops.push_back(line.substr(3, line.find('`', 3) - 3));
  }
  EXPECT_GE(ops.size(), 24u);
  for (const std::string& op : ops) EXPECT_GE(cases[op], 3) << op;
  EXPECT_EQ(cases.size(), ops.size());
}

TEST(ConformanceTest, CaseNamesAreUnique) {
  std::map<std::string, int> seen;
  for (const Case& c : AllCases())
    EXPECT_EQ(seen[c.op + " " + c.name + (c.timed ? " timed" : "")]++, 0) << c.op << " " << c.name;
}

}  // namespace
}  // namespace modelc::conformance
