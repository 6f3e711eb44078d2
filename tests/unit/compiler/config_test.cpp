#include "core/compiler/resolve/Config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace modelc {
namespace {

TEST(Config, LaterTextsOverrideAndObjectsMerge) {
  auto merged = mergeConfigs({R"({"a": 1, "rope": {"factor": 4, "type": "yarn"}})", R"({"a": 2, "rope": {"factor": 8}})"});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(lookUp(*merged, "a"), 2);
  EXPECT_EQ(lookUp(*merged, "rope.factor"), 8);
  EXPECT_EQ(lookUp(*merged, "rope.type"), "yarn");
}

TEST(Config, AbsentKeysAreNull) {
  auto merged = mergeConfigs({R"({"a": 1})"});
  ASSERT_TRUE(merged.ok());
  EXPECT_TRUE(lookUp(*merged, "b").is_null());
  EXPECT_TRUE(lookUp(*mergeConfigs({R"({"a": null})"}), "a.b").is_null());
  EXPECT_TRUE(lookUp(*mergeConfigs({}), "a").is_null());
}

TEST(Config, AValueInPlaceOfAnObjectIsWhatIsFound) {
  auto merged = mergeConfigs({R"({"a": 1})"});
  ASSERT_TRUE(merged.ok());
  EXPECT_EQ(lookUp(*merged, "a.b"), 1);
}

TEST(Config, NamesTheTextThatIsNoObject) {
  EXPECT_THAT(mergeConfigs({"{}", "[1]"}).status().message(), testing::HasSubstr("config 2 of 2"));
  EXPECT_THAT(mergeConfigs({"{"}).status().message(), testing::HasSubstr("config 1 of 1"));
}

}  // namespace
}  // namespace modelc
