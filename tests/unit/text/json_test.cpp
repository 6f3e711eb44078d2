#include "core/text/json.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelc {
namespace {

using ::testing::HasSubstr;

std::string Redump(std::string_view text) {
  absl::StatusOr<Json> json = ParseJson(text);
  return json.ok() ? PythonDumps(*json) : json.status().ToString();
}

TEST(Json, DumpsAsPythonDoes) {
  EXPECT_EQ(Redump(R"({"b":[1,2.5,null,true],"a":{}})"), R"({"b": [1, 2.5, null, true], "a": {}})");
  EXPECT_EQ(Redump(R"("\u00e9\u4e2d\ud83d\ude42 \u007f \" \\ \/ \b\f\n\r\t\u0001")"),
            "\"é中🙂 \x7f \\\" \\\\ / \\b\\f\\n\\r\\t\\u0001\"");
  EXPECT_EQ(Redump("[]"), "[]");
  EXPECT_EQ(Redump(" 1 "), "1");
}

TEST(Json, FloatsAsPythonDoes) {
  const std::pair<const char*, const char*> cases[] = {{"1.0", "1.0"},
                                                       {"1e5", "100000.0"},
                                                       {"1e15", "1000000000000000.0"},
                                                       {"1e16", "1e+16"},
                                                       {"1e22", "1e+22"},
                                                       {"1e-4", "0.0001"},
                                                       {"1e-5", "1e-05"},
                                                       {"1.5e300", "1.5e+300"},
                                                       {"-0.0", "-0.0"},
                                                       {"-0", "0"},
                                                       {"0.1", "0.1"},
                                                       {"123456.789", "123456.789"},
                                                       {"5e-324", "5e-324"},
                                                       {"2.50", "2.5"},
                                                       {"1E2", "100.0"},
                                                       {"9007199254740993.0", "9007199254740992.0"},
                                                       {"-1", "-1"},
                                                       {"18446744073709551615", "18446744073709551615"}};
  for (auto [in, out] : cases) EXPECT_EQ(Redump(in), out) << in;
}

TEST(Json, KeepsLargeIntegers) {
  EXPECT_EQ(Redump("[123456789012345678901234567890, -98765432109876543210]"),
            "[123456789012345678901234567890, -98765432109876543210]");
}

TEST(Json, LastOfEqualKeysCountsAtTheFirstsPlace) {
  EXPECT_EQ(Redump(R"({"a": 1, "b": 2, "a": {"x": 3}})"), R"({"a": {"x": 3}, "b": 2})");
}

TEST(Json, ManyKeysTakeLinearTime) {
  std::string text = "{";
  for (int i = 0; i < 200000; ++i) text += (i ? ", \"k" : "\"k") + std::to_string(i) + "\": " + std::to_string(i);
  text += "}";
  EXPECT_EQ(Redump(text), text);
}

TEST(Json, ErrorsSayWhere) {
  for (const char* text : {"", "{not json}", "[1,", "{\"a\":1}}", "nul", "\"a\nb\"", "[1e999]", "\"\\ud800\"", "NaN"}) {
    EXPECT_THAT(Redump(text), HasSubstr("not JSON at byte")) << text;
  }
  EXPECT_THAT(Redump("[1, \xFF]"), HasSubstr("byte 5"));
  EXPECT_THAT(Redump(std::string(100000, '[')), HasSubstr("nests deeper than 512"));
  std::string deep(512, '[');
  EXPECT_EQ(Redump(deep + std::string(512, ']')), deep + std::string(512, ']'));
}

TEST(Json, StrIsPythons) {
  EXPECT_EQ(PythonStr("a'\"\n"), "a'\"\n");
  EXPECT_EQ(PythonStr(nullptr), "None");
  EXPECT_EQ(PythonStr(ParseJson(R"([true, "it's", "q\"'", {"k\n": 1.0}, null])").value()),
            R"([True, "it's", 'q"\'', {'k\n': 1.0}, None])");
  EXPECT_EQ(PythonStr(Json::array({"é中🙂\u00a0\u2028\U000e0001\x7f"})),
            R"(['é中🙂\xa0\u2028\U000e0001\x7f'])");
}

TEST(Json, TruthIsPythons) {
  for (const char* text : {"null", "false", "0", "0.0", "-0.0", "\"\"", "[]", "{}"}) {
    EXPECT_FALSE(PythonTruth(ParseJson(text).value())) << text;
  }
  for (const char* text : {"true", "1", "0.5", "\"0\"", "[0]", "{\"a\": null}"}) {
    EXPECT_TRUE(PythonTruth(ParseJson(text).value())) << text;
  }
}

}  // namespace
}  // namespace modelc
