#include "tools/modelc/measure/table.h"

#include <gtest/gtest.h>

namespace modelc {
namespace {

TEST(TableTest, ColumnsAlign) {
  Table table({"op", "time", "n"}, 1);
  table.Row({"linear", "12 µs", "3"});
  table.Row({"rope", "1 µs"});
  EXPECT_EQ(table.Text(),
            "op       time  n\n"
            "----------------\n"
            "linear  12 µs  3\n"
            "rope     1 µs\n");
}

TEST(TableTest, ThreeSignificantDigits) {
  EXPECT_EQ(Bytes(0), "0 B");
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Bytes(1000), "1.00 kB");
  EXPECT_EQ(Bytes(12'345'678), "12.3 MB");
  EXPECT_EQ(Bytes(999'600), "1.00 MB");
  EXPECT_EQ(Bytes(671e9), "671 GB");
  EXPECT_EQ(Count(2.5e9), "2.50 G");
  EXPECT_EQ(Count(7), "7");
  EXPECT_EQ(Seconds(1.5), "1.50 s");
  EXPECT_EQ(Seconds(0.0123), "12.3 ms");
  EXPECT_EQ(Seconds(4.56e-4), "456 µs");
}

}  // namespace
}  // namespace modelc
