#include "core/serving/stop_filter.h"

#include <gtest/gtest.h>

namespace modelc {
namespace {

// The text that is shown when `text` comes in pieces of `size` bytes.
std::string Shown(const std::vector<std::string>& stops, std::string_view text, size_t size) {
  StopFilter filter(stops);
  std::string shown;
  for (size_t i = 0; i < text.size(); i += size) shown += filter.Push(text.substr(i, size));
  return shown + filter.Finish();
}

TEST(StopFilter, CutsTheSameWhereverTheTextIsDivided) {
  struct {
    std::vector<std::string> stops;
    const char* text;
    const char* shown;
  } const cases[] = {
      {{"END"}, "one END two", "one "},
      {{"END"}, "one EN", "one EN"},
      {{"aab"}, "aaab", "a"},
      {{"abc", "b"}, "xabc", "xa"},          // "b" is complete first
      {{"bc", "abc"}, "xabc", "x"},          // complete at once: the longest
      {{"\n\n"}, "a\nb\n\nc", "a\nb"},
      {{"…"}, "wait… more", "wait"},
      {{"zz"}, "", ""},
      {{}, "all of it", "all of it"},
  };
  for (const auto& c : cases) {
    for (size_t size = 1; size <= 12; ++size) EXPECT_EQ(Shown(c.stops, c.text, size), c.shown) << c.text << " by " << size;
  }
}

TEST(StopFilter, HoldsBackOnlyWhatMayBecomeAStop) {
  StopFilter filter({"STOP"});
  EXPECT_EQ(filter.Push("a ST"), "a ");
  EXPECT_FALSE(filter.hit());
  EXPECT_EQ(filter.Push("AY"), "STAY");
  EXPECT_EQ(filter.Push("STOP now"), "");
  EXPECT_TRUE(filter.hit());
  EXPECT_EQ(filter.Push("more"), "");
  EXPECT_EQ(filter.Finish(), "");
}

}  // namespace
}  // namespace modelc
