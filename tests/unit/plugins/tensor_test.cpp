#include "plugins/conformance/tensor.h"

#include <cmath>
#include <cstring>

#include "gtest/gtest.h"
#include "plugins/conformance/cache.h"

namespace modelc::conformance {
namespace {

TEST(E4M3Test, EveryValueSurvivesTheRoundTrip) {
  for (int bits = 0; bits < 256; ++bits) {
    const double value = DecodeE4M3(static_cast<uint8_t>(bits));
    if ((bits & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(value));
    } else {
      EXPECT_EQ(EncodeE4M3(value), bits) << value;
    }
  }
  EXPECT_EQ(DecodeE4M3(0x7e), 448);
  EXPECT_EQ(DecodeE4M3(0x01), std::ldexp(1, -9));
  EXPECT_EQ(DecodeE4M3(0x08), std::ldexp(1, -6));
}

// Halfway between two neighbours the even one is taken; anywhere else the nearer.
TEST(E4M3Test, RoundsToNearestEven) {
  for (int bits = 0; bits < 0x7e; ++bits) {
    const double low = DecodeE4M3(static_cast<uint8_t>(bits)), high = DecodeE4M3(static_cast<uint8_t>(bits + 1));
    const double middle = (low + high) / 2;
    EXPECT_EQ(EncodeE4M3(middle), bits % 2 == 0 ? bits : bits + 1);
    EXPECT_EQ(EncodeE4M3(std::nextafter(middle, 0)), bits);
    EXPECT_EQ(EncodeE4M3(-std::nextafter(middle, 1000)), 0x80 | (bits + 1));
  }
  EXPECT_EQ(EncodeE4M3(1e9), 0x7e);
  EXPECT_EQ(EncodeE4M3(-464.1), 0xfe);
}

TEST(BF16Test, RoundsToNearestEven) {
  EXPECT_EQ(EncodeBF16(1.0), 0x3f80);
  EXPECT_EQ(EncodeBF16(1.0 + std::ldexp(1, -8)), 0x3f80);
  EXPECT_EQ(EncodeBF16(1.0 + 3 * std::ldexp(1, -8)), 0x3f82);
  EXPECT_EQ(DecodeBF16(0xc040), -3.0);
}

TEST(ScaleTest, IsThePowerOfTwoThatFits) {
  EXPECT_EQ(PowerOfTwoScale(448), 1);
  EXPECT_EQ(PowerOfTwoScale(449), 2);
  EXPECT_EQ(PowerOfTwoScale(224), 0.5);
  EXPECT_EQ(PowerOfTwoScale(0), PowerOfTwoScale(1e-4));
}

TEST(WeightTest, BlockScalesCoverPartBlocksAndExperts) {
  Random random("blocks");
  const HostTensor w = Weight(random, MODELC_F8E4M3, {2, 130, 257});
  ASSERT_EQ(w.scale.size(), 2u * 2 * 3);
  const Values values = ToValues(w);
  const auto expect = [&](int64_t e, int64_t n, int64_t k, size_t scale) {
    const int64_t i = (e * 130 + n) * 257 + k;
    EXPECT_EQ(values[i], DecodeE4M3(w.as<uint8_t>()[i]) * w.scale[scale]);
  };
  expect(0, 127, 127, 0);
  expect(0, 128, 0, 3);
  expect(1, 129, 256, 11);
  expect(1, 0, 128, 7);
}

TEST(CacheTest, PublishedSizes) {
  EXPECT_EQ((LatentLayout{"f8", 512, 64}.record_bytes()), 656);
  EXPECT_EQ((IndexLayout{"f8", 128}.page_bytes()), 8448);
  EXPECT_EQ((LatentLayout{"bf16", 512, 64}.page_bytes()), 64 * 576 * 2);
}

TEST(CacheTest, ScalesStandBehindTheValues) {
  const IndexLayout layout{"f8", 128};
  std::vector<std::byte> page(layout.page_bytes());
  Values key(128, 1.0);
  key[5] = 448 * 4;
  layout.Write(page.data(), 63, key.data());
  float scale;
  std::memcpy(&scale, &page[64 * 128 + 63 * 4], 4);
  EXPECT_EQ(scale, 4);
  EXPECT_EQ(page[63 * 128 + 5], std::byte{0x7e});
  EXPECT_EQ(layout.Read(page.data(), 63), key);
}

TEST(StepTest, PaddingSurroundsTheRows) {
  Random random("step");
  const Step step = Step::Make(random, {{62, 3}, {0, 1}}, 1);
  EXPECT_EQ(step.pos, (std::vector<int32_t>{0, 62, 63, 64, 0, 0}));
  EXPECT_EQ(step.seq, (std::vector<int32_t>{-1, 0, 0, 0, 1, -1}));
  EXPECT_EQ(step.P, 2);
  EXPECT_EQ(step.C, 65);
  EXPECT_NE(step.Page(1, 0), step.Page(3, 64));
}

}  // namespace
}  // namespace modelc::conformance
