#include "tools/modelc/json_lines.h"

#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace modelc {
namespace {

absl::StatusOr<std::string> Twice(const Json& line) {
  if (!line.is_number_integer()) return absl::InvalidArgumentError("wanted an integer");
  return DumpLine(line.get<int>() * 2);
}

TEST(JsonLines, AnswersEachLine) {
  std::istringstream in("1\n 21 \n-3");
  std::ostringstream out;
  EXPECT_TRUE(AnswerJsonLines(in, out, Twice).ok());
  EXPECT_EQ(out.str(), "2\n42\n-6\n");
}

TEST(JsonLines, NamesTheFirstBadLineAndKeepsWhatCameBefore) {
  for (auto [bad, why] : {std::pair{"{", "not JSON at byte 2"}, {"", "not JSON"}, {"\"x\"", "wanted an integer"}}) {
    std::istringstream in("1\n" + std::string(bad) + "\n3\n");
    std::ostringstream out;
    absl::Status status = AnswerJsonLines(in, out, Twice);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(std::string("line 2: ") + why));
    EXPECT_EQ(out.str(), "2\n");
  }
}

TEST(JsonLines, ReportsOutputThatCannotBeWritten) {
  std::istringstream in("1\n");
  std::ostringstream out;
  out.setstate(std::ios::badbit);
  EXPECT_EQ(AnswerJsonLines(in, out, Twice).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace modelc
