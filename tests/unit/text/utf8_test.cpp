#include "core/text/utf8.h"

#include "gtest/gtest.h"

namespace modelc::utf8 {
namespace {

TEST(Utf8, FindsTheFirstBadByte) {
  const std::string_view npos_cases[] = {"", "plain", "é", "中文", "🙂", "\xF4\x8F\xBF\xBF", "\xED\x9F\xBF"};
  for (std::string_view text : npos_cases) EXPECT_EQ(FindInvalid(text), std::string_view::npos) << text;
  EXPECT_EQ(FindInvalid("\x80"), 0u);
  EXPECT_EQ(FindInvalid("abcdefghij\xFF"), 10u);
  EXPECT_EQ(FindInvalid("ab\xC0\x80"), 2u);          // overlong
  EXPECT_EQ(FindInvalid("ab\xE0\x80\x80"), 2u);      // overlong
  EXPECT_EQ(FindInvalid("ab\xED\xA0\x80"), 2u);      // surrogate
  EXPECT_EQ(FindInvalid("ab\xF4\x90\x80\x80"), 2u);  // above U+10FFFF
  EXPECT_EQ(FindInvalid("ab\xF0\x9F\x99"), 2u);      // cut off
}

TEST(Utf8, RepairsByMaximalSubparts) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(Repair("aé中🙂"), "aé中🙂");
  EXPECT_EQ(Repair("\x80"), r);
  EXPECT_EQ(Repair("\xF0\x9F\x99x"), r + "x");          // one for the start of a character
  EXPECT_EQ(Repair("\xF0\x80\x80x"), r + r + r + "x");  // F0 80 starts none
  EXPECT_EQ(Repair("\xED\xA0\x80"), r + r + r);
  EXPECT_EQ(Repair("a\xE4\xB8"), "a" + r);
  EXPECT_EQ(Repair("\xE4\xB8\xE4\xB8\xAD"), r + "中");
}

TEST(Utf8, TellsTruncatedFromInvalid) {
  EXPECT_EQ(At("\xF0\x9F\x99", 0).kind, Sequence::kTruncated);
  EXPECT_EQ(At("\xF0\x9F\x99", 0).length, 3u);
  EXPECT_EQ(At("\xF0\x9F(", 0).kind, Sequence::kInvalid);
  EXPECT_EQ(At("\xF0\x9F(", 0).length, 2u);
}

}  // namespace
}  // namespace modelc::utf8
