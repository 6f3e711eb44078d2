// Decides which rows a turn computes, and owns the sequences and the pages. Not thread-safe.
//
// Who runs: the oldest first, while sequences and pages allow. A sequence whose prompt begins like that of one that is
// still being prefilled waits until those pages can be shared. When a running sequence needs a page and none is left,
// the youngest gives its pages up and waits again; it keeps its tokens and its sampler, so its text does not change.
// The oldest therefore always gets on, and every sequence is the oldest one day.
//
// Who gets rows: each running sequence one, those served longest ago first; then drafted tokens to verify; the rest
// goes to prefills, half of what is left to each from the oldest on, so that a long prompt does not hold up short ones.
#ifndef MODELC_CORE_RUNTIME_ENGINE_SCHEDULER_H_
#define MODELC_CORE_RUNTIME_ENGINE_SCHEDULER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "core/runtime/cache/page_cache.h"
#include "core/runtime/engine/sequence.h"

namespace modelc {

// A sequence's part of a turn: its next `rows` tokens, and its guess where `verify`.
struct Slot {
  Sequence* sequence;
  int64_t rows;
  bool verify;
};

class Scheduler {
 public:
  struct Limits {
    int64_t max_sequences;
    int64_t max_rows;
    bool prefix_cache;
  };
  Scheduler(int64_t pages, Limits limits) : cache_(pages), limits_(limits) {}

  // `sequence` fits: prompt and max_tokens need no more pages than there are.
  void Add(std::unique_ptr<Sequence> sequence);
  // The next turn; empty when nothing waits or runs. Pages for every row are in place.
  std::vector<Slot> Plan();
  // Offers the sequence's newly filled pages to others. After each turn.
  void Publish(Sequence& sequence);
  // Takes a sequence out, wherever it is, and gives its pages up; null when it is not here.
  std::unique_ptr<Sequence> Remove(uint64_t id);
  // Any sequence, or null.
  Sequence* Any();

  bool idle() const { return waiting_.empty() && running_.empty(); }
  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  int64_t running() const { return static_cast<int64_t>(running_.size()); }
  int64_t preemptions() const { return preemptions_; }
  const PageCache& cache() const { return cache_; }

 private:
  using Sequences = std::map<uint64_t, std::unique_ptr<Sequence>>;  // oldest first

  void Grow();
  bool AddPages(Sequence& sequence, int64_t tokens);
  void Preempt(Sequences::iterator youngest);
  void Admit();
  bool PrefixIsComing(Sequence& sequence) const;
  bool TakePages(Sequence& sequence);
  void ReleasePages(Sequence& sequence);

  PageCache cache_;
  const Limits limits_;
  Sequences waiting_, running_;
  uint64_t served_ = 0;  // slots given so far
  int64_t preemptions_ = 0;
};

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_ENGINE_SCHEDULER_H_
