#include "core/runtime/cache/page_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <random>

namespace modelc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int32_t> Ids(int64_t n, int32_t first = 0) {
  std::vector<int32_t> ids(n);
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

absl::Span<const int32_t> PageOf(const std::vector<int32_t>& ids, int64_t page) {
  return absl::MakeConstSpan(ids).subspan(page * kPageTokens, kPageTokens);
}

// Publishes ids' full pages and gives them up: what a finished sequence leaves behind.
std::vector<int32_t> Leave(PageCache& cache, const std::vector<int32_t>& ids, std::string_view salt = "") {
  std::vector<int32_t> pages = cache.AcquirePrefix(salt, ids, PagesFor(ids.size()));
  while (static_cast<int64_t>(pages.size()) < static_cast<int64_t>(ids.size()) / kPageTokens) {
    const int64_t p = pages.size();
    pages.push_back(cache.Publish(*cache.Allocate(), p > 0 ? pages.back() : -1, salt, PageOf(ids, p)));
  }
  for (auto it = pages.rbegin(); it != pages.rend(); ++it) cache.Release(*it);
  return pages;
}

TEST(PageCache, GivesEveryPageOnceThenNone) {
  PageCache cache(3);
  std::set<int32_t> pages;
  for (int i = 0; i < 3; ++i) pages.insert(cache.Allocate().value());
  EXPECT_EQ(pages, (std::set<int32_t>{0, 1, 2}));
  EXPECT_FALSE(cache.Allocate().has_value());
  EXPECT_EQ(cache.held(), 3);
  for (int32_t page : pages) cache.Release(page);
  EXPECT_EQ(cache.held(), 0);
  EXPECT_EQ(cache.available(), 3);
}

TEST(PageCache, FindsOnlyFullPagesOfAnEqualPrefix) {
  PageCache cache(8);
  const std::vector<int32_t> ids = Ids(3 * kPageTokens + 10);
  const std::vector<int32_t> left = Leave(cache, ids);
  ASSERT_EQ(left.size(), 3u);
  EXPECT_EQ(cache.idle(), 3);
  EXPECT_EQ(cache.AcquirePrefix("", ids, 9), left);
  EXPECT_EQ(cache.AcquirePrefix("", ids, 2), std::vector<int32_t>(left.begin(), left.begin() + 2));
  EXPECT_THAT(cache.AcquirePrefix("", absl::MakeConstSpan(ids).first(kPageTokens - 1), 9), IsEmpty());
  // One token differs in the second page: the third is no match although its own tokens are equal.
  std::vector<int32_t> other = ids;
  other[2 * kPageTokens - 1] = -5;
  EXPECT_THAT(cache.AcquirePrefix("", other, 9), ElementsAre(left[0]));
  // The same tokens further on are another prefix.
  EXPECT_THAT(cache.AcquirePrefix("", absl::MakeConstSpan(ids).subspan(kPageTokens), 9), IsEmpty());
}

TEST(PageCache, SaltsDoNotShare) {
  PageCache cache(8);
  const std::vector<int32_t> ids = Ids(2 * kPageTokens);
  const std::vector<int32_t> a = Leave(cache, ids, "a");
  EXPECT_THAT(cache.AcquirePrefix("b", ids, 9), IsEmpty());
  EXPECT_THAT(cache.AcquirePrefix("", ids, 9), IsEmpty());
  EXPECT_EQ(cache.AcquirePrefix("a", ids, 9), a);
}

TEST(PageCache, PublishingEqualContentGivesTheEarlierPage) {
  PageCache cache(4);
  const std::vector<int32_t> ids = Ids(kPageTokens);
  const int32_t first = *cache.Allocate(), second = *cache.Allocate();
  EXPECT_EQ(cache.Publish(first, -1, "", ids), first);
  EXPECT_EQ(cache.Publish(second, -1, "", ids), first);
  EXPECT_EQ(cache.held(), 1);
  cache.Release(first);
  EXPECT_EQ(cache.held(), 1) << "two hold it";
  cache.Release(first);
  EXPECT_EQ(cache.held(), 0);
  EXPECT_EQ(cache.idle(), 1);
}

TEST(PageCache, EvictsLeavesFirstAndTheLeastRecentlyUsedOfThem) {
  PageCache cache(4);
  const std::vector<int32_t> a = Ids(2 * kPageTokens, 0), b = Ids(2 * kPageTokens, 10000);
  Leave(cache, a);
  Leave(cache, b);
  Leave(cache, a);  // used again: b is older now
  const int32_t one = cache.Allocate().value();
  EXPECT_EQ(Leave(cache, a).size(), 2u);
  EXPECT_EQ(cache.idle(), 3);
  std::vector<int32_t> held = cache.AcquirePrefix("", b, 9);
  EXPECT_EQ(held.size(), 1u) << "b's leaf went, its root stays";
  cache.Release(held[0]);
  const int32_t two = cache.Allocate().value(), three = cache.Allocate().value();
  // a was used before b's root last was: a's leaf and a's root went, in this order.
  EXPECT_THAT(cache.AcquirePrefix("", a, 9), IsEmpty());
  EXPECT_EQ(cache.AcquirePrefix("", b, 9).size(), 1u);
  EXPECT_FALSE(cache.Allocate().has_value()) << "a held page is never taken";
  EXPECT_EQ((std::set<int32_t>{one, two, three}).size(), 3u);
}

// Against a plain model: a map from prefix to page.
TEST(PageCache, RandomUseKeepsItsPromises) {
  for (uint32_t seed = 0; seed < 30; ++seed) {
    std::mt19937 rng(seed);
    const int64_t total = 4 + rng() % 12;
    PageCache cache(total);
    std::vector<std::pair<std::vector<int32_t>, std::vector<int32_t>>> live;  // ids, pages
    std::map<int32_t, std::vector<int32_t>> content;                          // page → its whole prefix
    for (int step = 0; step < 400; ++step) {
      if (live.empty() || rng() % 2) {
        std::vector<int32_t> ids;
        for (int64_t n = 1 + rng() % 5; n > 0; --n) ids.resize(ids.size() + kPageTokens, rng() % 2);
        std::vector<int32_t> pages = cache.AcquirePrefix("", ids, 9);
        for (size_t p = 0; p < pages.size(); ++p) {
          EXPECT_EQ(content[pages[p]], std::vector<int32_t>(ids.begin(), ids.begin() + (p + 1) * kPageTokens));
        }
        while (static_cast<int64_t>(pages.size()) < static_cast<int64_t>(ids.size()) / kPageTokens) {
          std::optional<int32_t> page = cache.Allocate();
          if (!page) break;
          for (const auto& [other, held] : live) EXPECT_EQ(std::count(held.begin(), held.end(), *page), 0);
          const int64_t p = pages.size();
          content[*page].assign(ids.begin(), ids.begin() + (p + 1) * kPageTokens);
          pages.push_back(cache.Publish(*page, p > 0 ? pages.back() : -1, "", PageOf(ids, p)));
        }
        live.emplace_back(ids, pages);
      } else {
        std::swap(live[rng() % live.size()], live.back());
        for (int32_t page : live.back().second) cache.Release(page);
        live.pop_back();
      }
      std::set<int32_t> held;
      for (const auto& [ids, pages] : live) held.insert(pages.begin(), pages.end());
      ASSERT_EQ(cache.held(), static_cast<int64_t>(held.size()));
      ASSERT_LE(cache.idle(), cache.available());
    }
    for (const auto& [ids, pages] : live)
      for (int32_t page : pages) cache.Release(page);
    EXPECT_EQ(cache.held(), 0);
    for (int64_t i = 0; i < total; ++i) EXPECT_TRUE(cache.Allocate().has_value()) << "every page comes back";
  }
}

}  // namespace
}  // namespace modelc
