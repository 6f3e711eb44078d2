#include "core/text/bpe.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "core/support/strings.h"

namespace modelc {
namespace {

// Up to here a scan for the best pair beats a heap; beyond it quadratic time would show.
constexpr size_t kShort = 96;

uint64_t Pair(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

Bpe::Bpe(Spec spec) : bytes_(spec.bytes), ignore_merges_(spec.ignore_merges) {
  int32_t ids = 0;
  words_.reserve(spec.words.size());
  for (const auto& [bytes, id] : spec.words) {
    words_.emplace(Absl(bytes), id);
    ids = std::max(ids, id + 1);
  }
  whole_ = std::make_unique<std::atomic<uint8_t>[]>(ids);
  ranks_.reserve(spec.merges.size());
  results_.reserve(spec.merges.size());
  for (const Merge& merge : spec.merges) {
    ranks_[Pair(merge.left, merge.right)] = static_cast<Rank>(results_.size());
    results_.push_back(merge.result);
  }
}

Bpe::Rank Bpe::RankOf(int32_t left, int32_t right) const {
  auto rank = ranks_.find(Pair(left, right));
  return rank == ranks_.end() ? kNone : rank->second;
}

void Bpe::Encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (word.size() == 1) {
    ids.push_back(bytes_[static_cast<uint8_t>(word[0])]);
    return;
  }
  const auto merge = [&] { word.size() <= kShort ? MergeShort(word, ids) : MergeLong(word, ids); };
  auto entry = words_.find(Absl(word));
  if (entry == words_.end()) return merge();
  const int32_t id = entry->second;
  std::atomic<uint8_t>& whole = whole_[id];
  const uint8_t known = ignore_merges_ ? kYes : whole.load(std::memory_order_relaxed);
  if (known == kYes) {
    ids.push_back(id);
    return;
  }
  const size_t before = ids.size();
  merge();
  if (known == kUnknown) {
    const bool yes = ids.size() == before + 1 && ids.back() == id;
    whole.store(yes ? kYes : kNo, std::memory_order_relaxed);
  }
}

void Bpe::MergeShort(std::string_view word, std::vector<int32_t>& ids) const {
  int32_t symbols[kShort];
  Rank ranks[kShort];  // ranks[i]: of symbols[i] and symbols[i + 1]
  size_t n = word.size();
  for (size_t i = 0; i < n; ++i) symbols[i] = bytes_[static_cast<uint8_t>(word[i])];
  for (size_t i = 0; i + 1 < n; ++i) ranks[i] = RankOf(symbols[i], symbols[i + 1]);
  while (n > 1) {
    const size_t best = std::min_element(ranks, ranks + n - 1) - ranks;
    if (ranks[best] == kNone) break;
    symbols[best] = results_[ranks[best]];
    std::copy(symbols + best + 2, symbols + n, symbols + best + 1);
    if (best + 2 < n) std::copy(ranks + best + 1, ranks + n - 1, ranks + best);
    --n;
    if (best > 0) ranks[best - 1] = RankOf(symbols[best - 1], symbols[best]);
    if (best + 1 < n) ranks[best] = RankOf(symbols[best], symbols[best + 1]);
  }
  ids.insert(ids.end(), symbols, symbols + n);
}

void Bpe::MergeLong(std::string_view word, std::vector<int32_t>& ids) const {
  struct Symbol {
    int32_t id;
    Rank rank;  // of this symbol and the next; kNone also where there is no next or the symbol is gone
    size_t previous, next;
  };
  const size_t n = word.size();
  std::vector<Symbol> symbols(n);
  // Candidate merges, best first: the lowest rank, then the leftmost. Those overtaken by another merge stay in the
  // queue and are known by a rank that is no longer their symbol's.
  using Candidate = std::pair<Rank, size_t>;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto rank_at = [&](size_t i) {
    Symbol& symbol = symbols[i];
    symbol.rank = symbol.next == n ? kNone : RankOf(symbol.id, symbols[symbol.next].id);
    if (symbol.rank != kNone) queue.emplace(symbol.rank, i);
  };
  for (size_t i = 0; i < n; ++i) symbols[i] = {bytes_[static_cast<uint8_t>(word[i])], kNone, i - 1, i + 1};
  for (size_t i = 0; i < n; ++i) rank_at(i);
  while (!queue.empty()) {
    const auto [rank, i] = queue.top();
    queue.pop();
    Symbol& symbol = symbols[i];
    if (symbol.rank != rank) continue;
    Symbol& merged = symbols[symbol.next];
    symbol.id = results_[rank];
    symbol.next = merged.next;
    merged.rank = kNone;
    if (symbol.next < n) symbols[symbol.next].previous = i;
    rank_at(i);
    if (i > 0) rank_at(symbol.previous);
  }
  for (size_t i = 0; i < n; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace modelc
