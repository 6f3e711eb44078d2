#include "core/runtime/executor/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace modelc {
namespace {

using ::testing::HasSubstr;

// Two sequences of two pages each; three rows, one of them padding.
struct Rows {
  std::vector<int32_t> ids{1, 2, 99}, pos{0, 70, -5}, seq{0, 1, -1}, pages{3, -1, 0, 4}, wanted{1};
  std::vector<float> hidden;
  int64_t sequences = 2;
  StepBatch batch() const { return {ids, pos, seq, pages, sequences, wanted, hidden}; }
};
constexpr BatchLimits kLimits{{4, 2, 3, 2, 100, 8}, /*vocab=*/10, /*hidden=*/0, /*pages=*/5};

TEST(BatchTest, SizesOfAGoodBatch) {
  // The second page of the first sequence and the fields of the padding row are never read, so they may hold anything.
  auto sizes = CheckBatch(Rows().batch(), kLimits);
  ASSERT_TRUE(sizes.ok()) << sizes.status();
  EXPECT_EQ(*sizes, (Sizes{3, 1, 2, 2, 71, 6}));
}

TEST(BatchTest, NothingWantedIsAStep) {
  Rows rows;
  rows.wanted.clear();
  ASSERT_TRUE(CheckBatch(rows.batch(), kLimits).ok());
}

TEST(BatchTest, OnlyPaddingHasNoContext) {
  Rows rows{{0}, {0}, {-1}, {}, {}, {}, 0};
  auto sizes = CheckBatch(rows.batch(), kLimits);
  ASSERT_TRUE(sizes.ok()) << sizes.status();
  EXPECT_EQ(*sizes, (Sizes{1, 0, 0, 0, 0, 2}));
}

struct Wrong {
  const char* name;
  std::function<void(Rows&)> change;
  const char* message;
};
class BatchErrors : public ::testing::TestWithParam<Wrong> {};

TEST_P(BatchErrors, NameTheField) {
  Rows rows;
  GetParam().change(rows);
  const absl::Status status = CheckBatch(rows.batch(), kLimits).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, BatchErrors,
    ::testing::Values(
        Wrong{"NoRows", [](Rows& r) { r = {{}, {}, {}, {}, {}, {}, 0}; }, "at least one row"},
        Wrong{"PosTooShort", [](Rows& r) { r.pos.pop_back(); }, "3 ids, 2 pos"},
        Wrong{"SeqTooLong", [](Rows& r) { r.seq.push_back(0); }, "4 seq"},
        Wrong{"IdNegative", [](Rows& r) { r.ids[0] = -1; }, "ids[0] is -1; it must be from 0 to 9"},
        Wrong{"IdTooLarge", [](Rows& r) { r.ids[1] = 10; }, "ids[1] is 10"},
        Wrong{"PosNegative", [](Rows& r) { r.pos[0] = -1; }, "pos[0] is -1"},
        Wrong{"PosBeyondContext", [](Rows& r) { r.pos[1] = 100; }, "pos[1] is 100; it must be from 0 to 99"},
        Wrong{"PosBeyondItsPages", [](Rows& r) { r.pages = {3, 0}; }, "pos[1] is 70; it must be from 0 to 63"},
        Wrong{"SeqTooLarge", [](Rows& r) { r.seq[0] = 2; }, "seq[0] is 2; it must be from -1 to 1"},
        Wrong{"SeqTooSmall", [](Rows& r) { r.seq[0] = -2; }, "seq[0] is -2"},
        Wrong{"PageTooLarge", [](Rows& r) { r.pages[3] = 5; }, "pages[3] is 5; it must be from 0 to 4"},
        Wrong{"PageNegative", [](Rows& r) { r.pages[2] = -1; }, "pages[2] is -1"},
        Wrong{"PagesDoNotDivide", [](Rows& r) { r.pages.push_back(0); }, "does not divide"},
        Wrong{"PagesWithoutSequences", [](Rows& r) { r.sequences = 0; }, "does not divide"},
        Wrong{"SequencesNegative", [](Rows& r) { r.sequences = -1; }, "does not divide"},
        Wrong{"WantedOutside", [](Rows& r) { r.wanted[0] = 3; }, "wanted[0] is 3; it must be from 0 to 2"},
        Wrong{"HiddenNotAsked", [](Rows& r) { r.hidden = {1}; }, "1 hidden values"},
        Wrong{"TooManyWanted", [](Rows& r) { r.wanted = {0, 1, 2}; }, "N = 3 exceeds the program's limit of 2"},
        Wrong{"TooManyRows",
              [](Rows& r) {
                r.ids.resize(5), r.pos.resize(5), r.seq.resize(5, -1);
              },
              "T = 5 exceeds"},
        Wrong{"TooManyPages", [](Rows& r) { r.pages.resize(6); }, "P = 3 exceeds"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace modelc
