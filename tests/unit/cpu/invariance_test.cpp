// A row's result is the same bits whatever the team, the other rows and the padding; and right at sizes where work is
// cut: several spans of keys, several tiles of rows, page borders.
#include <cmath>

#include "gtest/gtest.h"
#include "tests/unit/cpu/runner.h"

namespace modelc::cpu {
namespace {

// Rows of several sequences mixed with padding, and caches they see, filled by the append kernels.
struct Batch {
  struct Row {
    int32_t seq, pos;
  };
  std::vector<Row> rows;
  Array pos, seq, pages;
  int64_t n_pages = 0;

  Batch(std::vector<Row> r, int64_t n_seq, int64_t pages_per_seq) : rows(std::move(r)), n_pages(n_seq * pages_per_seq) {
    std::vector<int32_t> table(n_pages);
    for (int64_t i = 0; i < n_pages; ++i) table[i] = static_cast<int32_t>((i * 7 + 3) % n_pages);
    pages = Array::Ints({n_seq, pages_per_seq}, table);
    SetRows();
  }
  // The same pages, these rows alone.
  Batch Only(std::vector<size_t> which) const {
    Batch b = *this;
    b.rows.clear();
    for (size_t i : which) b.rows.push_back(rows[i]);
    b.SetRows();
    return b;
  }
  int64_t n() const { return static_cast<int64_t>(rows.size()); }

 private:
  void SetRows() {
    std::vector<int32_t> p, s;
    for (const Row& row : rows) p.push_back(row.pos), s.push_back(row.seq);
    pos = Array::Ints({n()}, p);
    seq = Array::Ints({n()}, s);
  }
};

// Rows `which` of an array.
Array Pick(const Array& a, const std::vector<size_t>& which) {
  Array out{a.dtype, a.shape, {}};
  out.shape[0] = static_cast<int64_t>(which.size());
  const size_t bytes = a.bytes.size() / a.shape[0];
  for (size_t i : which)
    out.bytes.insert(out.bytes.end(), a.bytes.begin() + i * bytes, a.bytes.begin() + (i + 1) * bytes);
  return out;
}

template <typename T>
std::vector<T> RowOf(const Array& a, size_t row) {
  return Pick(a, {row}).values<T>();
}

// Decodes of three sequences, a prefill chunk that crosses pages and the length of a span, and padding.
std::vector<Batch::Row> MixedRows() {
  std::vector<Batch::Row> rows = {{-1, 0}, {0, 0}, {1, 8191}, {1, 8192}, {-1, 5}, {2, 63}, {0, 64}};
  for (int32_t p = 500; p < 540; ++p) rows.push_back({3, p});
  rows.push_back({-1, 3});
  return rows;
}

constexpr int64_t kSequences = 4, kPagesEach = 130;

class InvarianceTest : public ::testing::TestWithParam<Isa> {
 protected:
  // Fills every position of every sequence.
  Array Fill(const char* op, const std::string& format, int64_t page_bytes, std::vector<Array*> values,
             const Batch& batch) {
    Array cache = Array::Bytes({batch.n_pages, page_bytes});
    std::vector<Batch::Row> all;
    for (int32_t s = 0; s < kSequences; ++s)
      for (int32_t p = 0; p < kPagesEach * 64; ++p) all.push_back({s, p});
    Batch every(all, kSequences, kPagesEach);
    values.insert(values.end(), {&every.pos, &every.seq, &every.pages, &cache});
    EXPECT_TRUE(Launch(*MakeKernel(op, "{\"format\": \"" + format + "\"}", GetParam()), values, pool_).ok());
    return cache;
  }

  Pool pool_{3};
};

INSTANTIATE_TEST_SUITE_P(, InvarianceTest, ::testing::ValuesIn(HostIsas()),
                         [](const auto& info) { return Name(info.param); });

constexpr int64_t kHeads = 3, kLatent = 24, kRope = 6, kTokens = kSequences * kPagesEach * 64;

TEST_P(InvarianceTest, AttendLatent) {
  for (const std::string format : {"f32", "i8"}) {
    SCOPED_TRACE(format);
    Batch batch(MixedRows(), kSequences, kPagesEach);
    Array latent = Array::Random({kTokens, kLatent}, 1), key = Array::Random({kTokens, kRope}, 2);
    Array cache = Fill("mla.append", format, 64 * (format == "i8" ? kLatent + 4 + kRope * 2 : (kLatent + kRope) * 4),
                       {&latent, &key}, batch);
    Array q = Array::Random({batch.n(), kHeads, kLatent}, 3), r = Array::Random({batch.n(), kHeads, kRope}, 4);
    // Each row's list: every third position it sees, up to 700; the row at position 0 has an empty one.
    constexpr int64_t k = 700;
    std::vector<int32_t> list(batch.n() * k, -1);
    for (int64_t t = 0; t < batch.n(); ++t)
      for (int64_t i = 0; i < k && batch.rows[t].pos > 0 && 3 * i <= batch.rows[t].pos; ++i)
        list[t * k + i] = static_cast<int32_t>(3 * i);
    Array sel = Array::Ints({batch.n(), k}, list);
    const auto kernel = MakeKernel("mla.attend_latent", R"({"scale": 0.3, "format": ")" + format + "\"}", GetParam());
    const double tolerance = format == "i8" ? 0.05 : 2e-5;  // that i8 is rounded rightly is the conformance suite's

    for (bool sparse : {false, true}) {
      Array out = Array::Floats({batch.n(), kHeads, kLatent}, -7.0f);
      ASSERT_TRUE(
          Launch(*kernel, {&q, &r, sparse ? &sel : nullptr, &batch.pos, &batch.seq, &batch.pages, &cache, &out}, pool_)
              .ok());

      for (int64_t t = 0; t < batch.n(); ++t) {
        const auto [s, p] = batch.rows[t];
        const std::vector<float> got = RowOf<float>(out, t);
        if (s < 0) {
          EXPECT_EQ(got, std::vector<float>(kHeads * kLatent, -7.0f)) << "a padding row was written";
          continue;
        }
        std::vector<int32_t> positions;
        for (int32_t i = 0; i <= p; ++i) positions.push_back(i);
        if (sparse) {
          positions.assign(list.begin() + t * k, list.begin() + (t + 1) * k);
          std::erase(positions, -1);
        }
        for (int64_t h = 0; h < kHeads; ++h) {
          std::vector<double> score, want(kLatent, 0);
          double top = -INFINITY, sum = 0;
          const float *ql = q.as<float>() + (t * kHeads + h) * kLatent, *qr = r.as<float>() + (t * kHeads + h) * kRope;
          for (int32_t i : positions) {
            const int64_t token = s * kPagesEach * 64 + i;
            double x = 0;
            for (int64_t d = 0; d < kLatent; ++d) x += double{ql[d]} * latent.as<float>()[token * kLatent + d];
            for (int64_t d = 0; d < kRope; ++d) x += double{qr[d]} * key.as<float>()[token * kRope + d];
            score.push_back(0.3 * x);
            top = std::max(top, score.back());
          }
          for (size_t i = 0; i < positions.size(); ++i) {
            const double w = std::exp(score[i] - top);
            sum += w;
            for (int64_t d = 0; d < kLatent; ++d)
              want[d] += w * latent.as<float>()[(s * kPagesEach * 64 + positions[i]) * kLatent + d];
          }
          for (int64_t d = 0; d < kLatent; ++d)
            ASSERT_NEAR(got[h * kLatent + d], positions.empty() ? 0 : want[d] / sum, tolerance) << "row " << t;
        }
      }

      for (int threads : {1, 2, 7}) {
        Pool pool(threads);
        Array again = Array::Floats({batch.n(), kHeads, kLatent}, -7.0f);
        ASSERT_TRUE(
            Launch(*kernel, {&q, &r, sparse ? &sel : nullptr, &batch.pos, &batch.seq, &batch.pages, &cache, &again}, pool)
                .ok());
        EXPECT_EQ(again.bytes, out.bytes) << threads << " threads";
        for (const std::vector<size_t>& which : {std::vector<size_t>{3}, {2, 1}, {20}, {15, 16, 17}}) {
          Batch some = batch.Only(which);
          Array sq = Pick(q, which), sr = Pick(r, which), ss = Pick(sel, which), so = Pick(out, which);
          so.bytes.assign(so.bytes.size(), std::byte{0});
          ASSERT_TRUE(
              Launch(*kernel, {&sq, &sr, sparse ? &ss : nullptr, &some.pos, &some.seq, &some.pages, &cache, &so}, pool)
                  .ok());
          EXPECT_EQ(so.bytes, Pick(out, which).bytes) << "row " << which[0] << " alone, " << threads << " threads";
        }
      }
    }
  }
}

TEST_P(InvarianceTest, AttendReadsTheSelectedRecordsOnly) {
  Batch batch({{0, 8000}}, kSequences, kPagesEach);
  constexpr int64_t kRecord = kLatent + 4 + 2 * kRope;
  Array cache = Array::Bytes({batch.n_pages, 64 * kRecord});
  Array q = Array::Random({1, kHeads, kLatent}, 3), r = Array::Random({1, kHeads, kRope}, 4), out = q;
  std::vector<int32_t> list(600, -1);
  for (int32_t i = 0; i < 321; ++i) list[i] = 2 * i;
  Array sel = Array::Ints({1, 600}, list);
  const auto kernel = MakeKernel("mla.attend_latent", R"({"scale": 1, "format": "f8"})", GetParam());
  for (int threads : {1, 5}) {
    Pool pool(threads);
    Traffic traffic;
    ASSERT_TRUE(
        Launch(*kernel, {&q, &r, &sel, &batch.pos, &batch.seq, &batch.pages, &cache, &out}, pool, &traffic).ok());
    EXPECT_EQ(traffic.cache_bytes, 321u * kRecord);
  }
}

TEST_P(InvarianceTest, IndexerScoresAndSelection) {
  for (const std::string format : {"f8", "i8"}) {
    SCOPED_TRACE(format);
    constexpr int64_t kIndexHeads = 5, kWidth = 32, k = 100;
    Batch batch(MixedRows(), kSequences, kPagesEach);
    Array keys = Array::Random({kTokens, kWidth}, 1);
    Array cache = Fill("dsa.append", format, 64 * (kWidth + 4), {&keys}, batch);
    Array q = Array::Random({batch.n(), kIndexHeads, kWidth}, 3), w = Array::Random({batch.n(), kIndexHeads}, 4);
    std::fill_n(w.as<float>() + 2 * kIndexHeads, kIndexHeads, 0.0f);  // a long row whose scores are all equal
    const int64_t C = 8193;
    Array score = Array::Floats({batch.n(), C}, -7.0f);
    Array sel = Array::Ints({batch.n(), k}, std::vector<int32_t>(batch.n() * k, -9)), fused = sel;
    const auto logits = MakeKernel("dsa.logits", R"({"scale": 0.5, "format": ")" + format + "\"}", GetParam());
    const auto select = MakeKernel("dsa.select", R"({"k": 100})", GetParam());
    const auto both =
        MakeKernel("dsa.logits_select", R"({"scale": 0.5, "k": 100, "format": ")" + format + "\"}", GetParam());
    ASSERT_TRUE(Launch(*logits, {&q, &w, &batch.pos, &batch.seq, &batch.pages, &cache, &score}, pool_).ok());
    ASSERT_TRUE(Launch(*select, {&score, &batch.pos, &batch.seq, &sel}, pool_).ok());
    ASSERT_TRUE(Launch(*both, {&q, &w, &batch.pos, &batch.seq, &batch.pages, &cache, &fused}, pool_).ok());
    EXPECT_EQ(fused.bytes, sel.bytes) << "fused and apart";
    EXPECT_EQ(RowOf<int32_t>(sel, 0), std::vector<int32_t>(k, -9)) << "a padding row was written";
    std::vector<int32_t> first(k);
    for (int32_t i = 0; i < k; ++i) first[i] = i;
    EXPECT_EQ(RowOf<int32_t>(sel, 2), first) << "ties go to the lower position";
    EXPECT_EQ(RowOf<int32_t>(sel, 1)[0], 0);
    EXPECT_EQ(RowOf<int32_t>(sel, 1)[1], -1) << "more than there is to see";
    const std::vector<float> short_row = RowOf<float>(score, 5);
    EXPECT_NE(short_row[63], -7.0f);
    for (int64_t c = 64; c < C; ++c) ASSERT_EQ(short_row[c], -7.0f) << "written beyond what the row sees";

    for (int threads : {1, 2, 7}) {
      Pool pool(threads);
      Array again = Array::Floats({batch.n(), C}, -7.0f);
      Array chosen = Array::Ints({batch.n(), k}, std::vector<int32_t>(batch.n() * k, -9));
      ASSERT_TRUE(Launch(*logits, {&q, &w, &batch.pos, &batch.seq, &batch.pages, &cache, &again}, pool).ok());
      ASSERT_TRUE(Launch(*both, {&q, &w, &batch.pos, &batch.seq, &batch.pages, &cache, &chosen}, pool).ok());
      EXPECT_EQ(again.bytes, score.bytes) << threads << " threads";
      EXPECT_EQ(chosen.bytes, sel.bytes) << threads << " threads";
      for (const std::vector<size_t>& which : {std::vector<size_t>{3}, {20}, {15, 16, 17}}) {
        Batch some = batch.Only(which);
        Array sq = Pick(q, which), sw = Pick(w, which), ss = Pick(sel, which);
        ss.bytes.assign(ss.bytes.size(), std::byte{0});
        ASSERT_TRUE(Launch(*both, {&sq, &sw, &some.pos, &some.seq, &some.pages, &cache, &ss}, pool).ok());
        EXPECT_EQ(ss.bytes, Pick(sel, which).bytes) << "row " << which[0] << " alone, " << threads << " threads";
      }
    }
  }
}

TEST_P(InvarianceTest, IndexPagesAreReadOnceForTheRowsOfASequence) {
  constexpr int64_t kIndexHeads = 4, kWidth = 16;
  std::vector<Batch::Row> rows;
  for (int32_t p = 640; p < 656; ++p) rows.push_back({2, p});
  Batch batch(rows, kSequences, kPagesEach);
  Array cache = Array::Bytes({batch.n_pages, 64 * (kWidth + 4)});
  Array q = Array::Random({16, kIndexHeads, kWidth}, 3), w = Array::Random({16, kIndexHeads}, 4);
  Array sel = Array::Ints({16, 8}, std::vector<int32_t>(16 * 8));
  Traffic traffic;
  ASSERT_TRUE(Launch(*MakeKernel("dsa.logits_select", R"({"scale": 1, "format": "f8", "k": 8})", GetParam()),
                     {&q, &w, &batch.pos, &batch.seq, &batch.pages, &cache, &sel}, pool_, &traffic)
                  .ok());
  EXPECT_EQ(traffic.cache_bytes, 656u * (kWidth + 4));
}

// A damaged page table or step is no reason to touch memory that is not the cache's.
TEST_P(InvarianceTest, PagesThatAreNotThereAreNotTouched) {
  Batch batch({{0, 70}, {9, 3}, {1, 64 * kPagesEach}, {1, -4}}, kSequences, kPagesEach);
  batch.pages.as<int32_t>()[0] = 1 << 20;
  batch.pages.as<int32_t>()[1] = -5;
  Array latent = Array::Random({4, kLatent}, 1), key = Array::Random({4, kRope}, 2);
  Array cache = Array::Bytes({batch.n_pages, 64 * (kLatent + kRope) * 4});
  ASSERT_TRUE(Launch(*MakeKernel("mla.append", R"({"format": "f32"})", GetParam()),
                     {&latent, &key, &batch.pos, &batch.seq, &batch.pages, &cache}, pool_)
                  .ok());
  EXPECT_EQ(cache.bytes, Array::Bytes(cache.shape).bytes);
  Array q = Array::Random({4, kHeads, kLatent}, 3), r = Array::Random({4, kHeads, kRope}, 4), out = q;
  Array sel = Array::Ints({4, 2}, {5, 1 << 30, 0, 1, 0, 1, 0, 1});
  ASSERT_TRUE(Launch(*MakeKernel("mla.attend_latent", R"({"scale": 1, "format": "f32"})", GetParam()),
                     {&q, &r, &sel, &batch.pos, &batch.seq, &batch.pages, &cache, &out}, pool_)
                  .ok());
  EXPECT_EQ(RowOf<float>(out, 0), std::vector<float>(kHeads * kLatent, 0.0f));
}

}  // namespace
}  // namespace modelc::cpu
