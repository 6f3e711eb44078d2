#include "core/serving/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/serving/error.h"

namespace modelc {
namespace {

using testing::HasSubstr;

TEST(ParseJsonObject, SaysWhereTheTextStopsBeingJson) {
  EXPECT_THAT(std::string(ParseJsonObject(R"({"a": 1,})").status().message()), HasSubstr("byte"));
  EXPECT_THAT(std::string(ParseJsonObject("").status().message()), HasSubstr("byte"));
  EXPECT_THAT(std::string(ParseJsonObject("[1]").status().message()), HasSubstr("not array"));
  EXPECT_FALSE(ParseJsonObject("{\"a\": \"\xff\"}").ok());
  EXPECT_FALSE(ParseJsonObject(std::string(100000, '[')).ok());
  EXPECT_FALSE(ParseJsonObject(R"({"a": 1} {"b": 2})").ok());
}

TEST(ParseJsonObject, DoesNotRepeatTheText) {
  const auto status = ParseJsonObject("{\"secret prompt" + std::string(5000, 'x')).status();
  EXPECT_EQ(status.message().find("secret"), absl::string_view::npos);
  EXPECT_LT(status.message().size(), 300u);
}

TEST(FieldReader, LeavesAbsentAndNullAlone) {
  const Json object = {{"a", nullptr}};
  FieldReader fields(object, "");
  int64_t a = 7, b = 8;
  fields.Read("a", a, 0, 10);
  fields.Read("b", b, 0, 10);
  EXPECT_TRUE(fields.status().ok());
  EXPECT_EQ(a, 7);
  EXPECT_EQ(b, 8);
}

TEST(FieldReader, KeepsTheFirstErrorAndNamesItsField) {
  const Json object = {{"n", "two"}, {"stream", 1}};
  FieldReader fields(object, "options");
  int64_t n = 1;
  bool stream = false;
  fields.Read("n", n, 1, 8);
  fields.Read("stream", stream);
  const ApiError error = ToApiError(fields.status());
  EXPECT_EQ(error.http_status, 400);
  EXPECT_EQ(error.body["error"]["param"], "options.n");
  EXPECT_EQ(error.body["error"]["type"], "invalid_request_error");
  EXPECT_EQ(error.body["error"]["message"], "'options.n' must be an integer, not string");
}

TEST(FieldReader, RefusesNumbersThatDoNotFit) {
  for (const char* text : {"0", "9", "1.5", "1e400", "true", "99999999999999999999999", "18446744073709551615"}) {
    const auto object = ParseJsonObject(std::string("{\"n\": ") + text + "}");
    if (!object.ok()) continue;  // 1e400 is no JSON number here
    FieldReader fields(*object, "");
    int64_t n = 1;
    fields.Read("n", n, 1, 8);
    EXPECT_FALSE(fields.status().ok()) << text;
    EXPECT_EQ(n, 1);
  }
}

}  // namespace
}  // namespace modelc
