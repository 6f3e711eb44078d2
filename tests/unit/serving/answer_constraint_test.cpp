// What a request's demands let an answer say, token by token.
#include "core/serving/answer_constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/serving/answer_grammar.h"
#include "tests/unit/serving/fakes.h"

namespace modelc {
namespace {

const ByteTokenizer kTokenizer;

class AnswerConstraintTest : public testing::Test {
 protected:
  std::unique_ptr<AnswerConstraint> Make(const char* tools, const ToolChoice& choice, const char* format, bool thinking = false) {
    auto grammar = AnswerGrammar(Json::parse(tools), choice, Json::parse(format));
    EXPECT_TRUE(grammar.ok()) << grammar.status();
    EXPECT_NE(*grammar, nullptr);
    return std::make_unique<AnswerConstraint>(&kTokenizer, &tokens_, *grammar, std::vector{kTokenizer.end()}, thinking);
  }
  // Whether `text` may be generated, token by token, and the answer may end after it.
  static bool Allows(AnswerConstraint& constraint, std::string_view text) {
    const auto ids = kTokenizer.Encode(text);  // outlives the loop
    for (const int32_t id : *ids) {
      if (constraint.Mask()[id] == 0) return false;
      constraint.Accept(id);
    }
    return constraint.Mask()[kTokenizer.end()] == 1;
  }

  const TokenTable tokens_{kTokenizer};
};

constexpr const char* kNoTools = "null";
constexpr const char* kObject = R"({"type": "json_object"})";
constexpr const char* kTools = R"([{"type": "function", "function": {"name": "f", "strict": true, "parameters":
    {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}}])";
constexpr const char* kCall =
    "\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"n\" string=\"false\">12</｜DSML｜parameter>"
    "\n</｜DSML｜invoke>\n</｜DSML｜function_calls>";

TEST_F(AnswerConstraintTest, TheAnswerEndsWhereItsGrammarDoes) {
  const auto constraint = Make(kNoTools, {}, kObject);
  EXPECT_EQ(constraint->Mask()[kTokenizer.end()], 0);
  EXPECT_EQ(constraint->Mask()['['], 0);
  EXPECT_FALSE(Allows(*constraint, R"({"a": )"));
  EXPECT_TRUE(Allows(*constraint, R"([1, "}"]})"));
  EXPECT_EQ(constraint->Mask()['x'], 0) << "nothing after the end";
}

TEST_F(AnswerConstraintTest, ThinkingIsFreeAndDoesNotEndTheAnswer) {
  const auto constraint = Make(kNoTools, {}, kObject, /*thinking=*/true);
  EXPECT_FALSE(Allows(*constraint, "hm {] or so"));
  EXPECT_EQ(constraint->Mask()[*kTokenizer.AddedToken("<｜User｜>")], 0);
  EXPECT_TRUE(Allows(*constraint, "</think>{}"));
}

TEST_F(AnswerConstraintTest, ForcedCallsAreAllThereIs) {
  EXPECT_TRUE(Allows(*Make(kTools, {.forced = true}, "null"), kCall));
  EXPECT_TRUE(Allows(*Make(kTools, {.forced = true, .name = "f"}, "null"), kCall));
  EXPECT_FALSE(Allows(*Make(kTools, {.forced = true}, "null"), "No."));
}

TEST_F(AnswerConstraintTest, StrictToolsLeaveTheRestFree) {
  EXPECT_TRUE(Allows(*Make(kTools, {}, "null"), "No need: 1 < 2.\nDone."));
  EXPECT_TRUE(Allows(*Make(kTools, {}, "null"), std::string("Let me see.") + kCall));
  std::string wrong = kCall;
  wrong.replace(wrong.find("12"), 2, "1.5");
  EXPECT_FALSE(Allows(*Make(kTools, {}, "null"), wrong));
}

TEST_F(AnswerConstraintTest, AFormatAndToolsAreAlternatives) {
  EXPECT_TRUE(Allows(*Make(kTools, {}, kObject), "{}"));
  EXPECT_TRUE(Allows(*Make(kTools, {}, kObject), kCall));
  EXPECT_FALSE(Allows(*Make(kTools, {}, kObject), std::string("{}") + kCall));
}

TEST_F(AnswerConstraintTest, VeryDeepTextsTakeBoundedMemory) {
  const auto constraint = Make(kNoTools, {}, kObject);
  EXPECT_FALSE(Allows(*constraint, R"({"a": )" + std::string(3000, '[')));
  EXPECT_TRUE(Allows(*constraint, std::string(3000, ']') + "}"));
}

TEST(AnswerGrammar, NothingDemandedIsNoGrammar) {
  EXPECT_EQ(*AnswerGrammar(nullptr, {}, nullptr), nullptr);
  const Json tools = Json::parse(R"([{"type": "function", "function": {"name": "f"}}])");
  EXPECT_EQ(*AnswerGrammar(tools, {}, nullptr), nullptr);
}

}  // namespace
}  // namespace modelc
