#include "tools/modelc/scoring/problem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/temp_dir.h"

namespace modelc {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class ProblemFile : public ::testing::Test {
 protected:
  absl::StatusOr<std::vector<Problem>> Read(const std::string& text, int64_t limit = 0) {
    return ReadProblems(dir_.Write("problems.jsonl", text), limit);
  }
  TempDir dir_;
};

std::string Line(const std::string& task, const std::string& score = R"({"rule":"last_number","value":3})",
                 const std::string& more = "") {
  return R"({"id":"x","task":")" + task + R"(","messages":[{"role":"user","content":"1+2"}],"thinking":false,)" + more +
         R"("expected":"3","score":)" + score + "}\n";
}

TEST_F(ProblemFile, LimitCountsPerTaskInOrder) {
  const auto problems = Read(Line("a") + Line("a") + "\n" + Line("b") + Line("a"), 2);
  ASSERT_TRUE(problems.ok()) << problems.status();
  ASSERT_EQ(problems->size(), 3u);
  EXPECT_EQ((*problems)[2].task, "b");
  EXPECT_EQ(Read(Line("a") + Line("a"))->size(), 2u);
}

TEST_F(ProblemFile, ErrorsNameLineAndField) {
  const auto message = [&](const std::string& text) {
    const auto problems = Read(text);
    EXPECT_EQ(problems.status().code(), absl::StatusCode::kInvalidArgument) << text;
    return std::string(problems.status().message());
  };
  EXPECT_THAT(message(Line("a") + "{"), HasSubstr(".jsonl:2: "));
  EXPECT_THAT(message("[]\n"), HasSubstr("object"));
  EXPECT_THAT(message("{}\n"), HasSubstr("'id'"));
  EXPECT_THAT(message(Line("a", R"({"rule":"last_number","value":"3"})")), HasSubstr("'score.value' must be a number"));
  EXPECT_THAT(message(Line("a", R"({"rule":"equals","value":3})")), HasSubstr("'score.value' must be a string"));
  EXPECT_THAT(message(Line("a", R"({"rule":"tool_call","name":"f","arguments":"x"})")), HasSubstr("'score.arguments'"));
  EXPECT_THAT(message(Line("a", R"({"rule":"json_equal"})")), HasSubstr("'score.value'"));
  EXPECT_THAT(message(Line("a", R"({"rule":"best"})")), HasSubstr("'score.rule' must be last_number"));
  EXPECT_THAT(message(Line("a", "3")), HasSubstr("'score' must be an object"));
  EXPECT_THAT(message(Line("a", R"({"rule":"equals","value":"3"})", R"("max_tokens":0,)")), HasSubstr("'max_tokens'"));
  EXPECT_THAT(message("\n\n"), HasSubstr("holds no problems"));
  EXPECT_EQ(ReadProblems("no/such/file", 0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadProblems(dir_.path(), 0).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ProblemFile, EveryPublicFileOfNanoReads) {
  int files = 0;
  for (const auto& entry : fs::directory_iterator("models/nano")) {
    if (entry.path().filename().string().rfind("eval_", 0) != 0) continue;
    ++files;
    const auto problems = ReadProblems(entry.path(), 0);
    ASSERT_TRUE(problems.ok()) << problems.status();
    for (const Problem& p : *problems) EXPECT_EQ("eval_" + p.task + ".jsonl", entry.path().filename());
  }
  EXPECT_EQ(files, 49);
}

Answer Content(const std::string& text) { return {"", text, {}}; }

TEST(Scoring, LastNumber) {
  EXPECT_TRUE(Passes(LastNumber{1117}, Content("246 + 871 = 1117.")));
  EXPECT_TRUE(Passes(LastNumber{-4}, Content("3 - 7 = -4")));
  EXPECT_TRUE(Passes(LastNumber{4.5}, Content("9 / 2 = 4.5.")));
  EXPECT_TRUE(Passes(LastNumber{7}, Content("x.7")));
  EXPECT_FALSE(Passes(LastNumber{4}, Content("3 - 7 = -4")));
  EXPECT_FALSE(Passes(LastNumber{0}, Content("no number")));
  EXPECT_FALSE(Passes(LastNumber{0}, Content("")));
  EXPECT_FALSE(Passes(LastNumber{246}, Content("246 + 871 = 1117.")));
}

TEST(Scoring, EqualsTrims) {
  EXPECT_TRUE(Passes(Equals{"Bob: 7730"}, Content(" Bob: 7730\n")));
  EXPECT_FALSE(Passes(Equals{"Bob: 7730"}, Content("Bob:  7730")));
}

TEST(Scoring, JsonEqualIgnoresTheOrderOfKeys) {
  const JsonEqual rule{nlohmann::json{{"a", 1}, {"b", {1, 2}}}};
  EXPECT_TRUE(Passes(rule, Content("{\"b\": [1, 2], \"a\": 1}\n")));
  EXPECT_FALSE(Passes(rule, Content("{\"b\": [2, 1], \"a\": 1}")));
  EXPECT_FALSE(Passes(rule, Content("{\"b\": [1, 2], \"a\": \"1\"}")));
  EXPECT_FALSE(Passes(rule, Content("Here: {\"b\": [1, 2], \"a\": 1}")));
  EXPECT_FALSE(Passes(rule, Content("")));
}

TEST(Scoring, ToolCallComparesTheFirstCall) {
  const ToolCallEqual rule{"calculator", {{"expression", "1 + 2"}}};
  const std::string good =
      "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"calculator\">\n"
      "<｜DSML｜parameter name=\"expression\" string=\"true\">1 + 2</｜DSML｜parameter>\n</｜DSML｜invoke>\n"
      "</｜DSML｜function_calls><｜end▁of▁sentence｜>";
  EXPECT_TRUE(Passes(rule, ParseAnswer(good, false)));
  EXPECT_TRUE(Passes(rule, ParseAnswer("hm</think>" + good, true)));
  EXPECT_FALSE(Passes(ToolCallEqual{"calculator", {{"expression", "1+2"}}}, ParseAnswer(good, false)));
  EXPECT_FALSE(Passes(ToolCallEqual{"convert", {{"expression", "1 + 2"}}}, ParseAnswer(good, false)));
  EXPECT_FALSE(Passes(rule, Content("calculator")));
}

TEST(Scoring, ThinkingIsNotTheAnswer) {
  const Answer answer = ParseAnswer("2 + 2 = 4</think>So it is 5.<｜end▁of▁sentence｜>", true);
  EXPECT_EQ(answer.reasoning, "2 + 2 = 4");
  EXPECT_TRUE(Passes(LastNumber{5}, answer));
  EXPECT_EQ(ParseAnswer("2 + 2 = 4", true).content, "") << "cut off while thinking: no answer";
  EXPECT_TRUE(Passes(LastNumber{4}, ParseAnswer("4", false))) << "cut off in the answer";
}

}  // namespace
}  // namespace modelc
