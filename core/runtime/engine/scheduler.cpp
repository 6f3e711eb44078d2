#include "core/runtime/engine/scheduler.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

namespace modelc {

void Scheduler::Add(std::unique_ptr<Sequence> sequence) {
  const uint64_t id = sequence->id;
  waiting_.emplace(id, std::move(sequence));
}

std::vector<Slot> Scheduler::Plan() {
  Grow();
  Admit();
  std::vector<Slot> slots;
  for (auto& [id, sequence] : running_) slots.push_back({sequence.get(), 1, false});
  if (static_cast<int64_t>(slots.size()) > limits_.max_rows) {
    std::sort(slots.begin(), slots.end(), [](const Slot& a, const Slot& b) {
      return std::tie(a.sequence->last_served, a.sequence->id) < std::tie(b.sequence->last_served, b.sequence->id);
    });
    slots.resize(limits_.max_rows);
  }
  int64_t budget = limits_.max_rows - static_cast<int64_t>(slots.size());
  for (Slot& slot : slots) {
    slot.sequence->last_served = ++served_;
    if (budget > 0 && slot.sequence->guess && AddPages(*slot.sequence, slot.sequence->size() + 1)) {
      slot.verify = true;
      --budget;
    }
  }
  const auto rest = [](const Slot& slot) { return slot.sequence->size() - slot.sequence->computed - slot.rows; };
  const auto give = [&](Slot& slot, int64_t share) {
    const int64_t more = std::min(share, rest(slot));
    slot.rows += more;
    budget -= more;
  };
  // Prompts: half to the oldest, so that it ends before all do; the rest shared alike, what one has no use for by those
  // with more to go.
  std::vector<Slot*> prompts;
  for (Slot& slot : slots) {
    if (rest(slot) > 0) prompts.push_back(&slot);
  }
  if (prompts.empty()) return slots;
  give(*prompts.front(), (budget + 1) / 2);
  std::stable_sort(prompts.begin(), prompts.end(), [&](const Slot* a, const Slot* b) { return rest(*a) < rest(*b); });
  for (size_t i = 0; i < prompts.size(); ++i) give(*prompts[i], budget / static_cast<int64_t>(prompts.size() - i));
  return slots;
}

void Scheduler::Publish(Sequence& s) {
  if (!limits_.prefix_cache || !s.draft_filled) return;
  for (; (s.published + 1) * kPageTokens <= s.computed; ++s.published) {
    const int64_t p = s.published;
    s.pages[p] = cache_.Publish(s.pages[p], p > 0 ? s.pages[p - 1] : -1, s.cache_salt,
                                absl::MakeConstSpan(s.tokens).subspan(p * kPageTokens, kPageTokens));
  }
}

std::unique_ptr<Sequence> Scheduler::Remove(uint64_t id) {
  for (Sequences* sequences : {&running_, &waiting_}) {
    if (auto found = sequences->find(id); found != sequences->end()) {
      std::unique_ptr<Sequence> sequence = std::move(found->second);
      sequences->erase(found);
      ReleasePages(*sequence);
      return sequence;
    }
  }
  return nullptr;
}

Sequence* Scheduler::Any() {
  if (!running_.empty()) return running_.begin()->second.get();
  return waiting_.empty() ? nullptr : waiting_.begin()->second.get();
}

// Pages for the rows of every running sequence's known tokens, oldest first, at the cost of the youngest.
void Scheduler::Grow() {
  for (auto it = running_.begin(); it != running_.end();) {
    Sequence& sequence = *it->second;
    ++it;
    while (!AddPages(sequence, sequence.size())) {
      auto youngest = std::prev(running_.end());
      const bool itself = youngest->second.get() == &sequence;
      if (it == youngest) it = running_.end();
      Preempt(youngest);
      if (itself) break;
    }
  }
}

// Room for `tokens` tokens; what was added stays when it is not enough.
bool Scheduler::AddPages(Sequence& sequence, int64_t tokens) {
  sequence.pages.reserve(PagesFor(tokens));  // so that none is lost for want of memory
  while (static_cast<int64_t>(sequence.pages.size()) < PagesFor(tokens)) {
    std::optional<int32_t> page = cache_.Allocate();
    if (!page) return false;
    sequence.pages.push_back(*page);
  }
  return true;
}

void Scheduler::Preempt(Sequences::iterator youngest) {
  auto node = running_.extract(youngest);
  ReleasePages(*node.mapped());
  ++preemptions_;
  waiting_.insert(std::move(node));
}

void Scheduler::Admit() {
  for (auto it = waiting_.begin(); it != waiting_.end() && running() < limits_.max_sequences;) {
    Sequence& sequence = *it->second;
    if (PrefixIsComing(sequence)) {
      ++it;
      continue;
    }
    if (!TakePages(sequence)) return;
    sequence.last_served = served_;  // those who run have waited longer
    running_.insert(waiting_.extract(it++));
  }
}

// Whether a running sequence is about to fill pages that `sequence` could share.
bool Scheduler::PrefixIsComing(Sequence& sequence) const {
  if (!limits_.prefix_cache) return false;
  // Mostly the one it waited for last time.
  if (const auto it = running_.find(sequence.waits_for); it != running_.end() && it->second->draft_filled &&
                                                         it->second->published < sequence.shared_pages) {
    return true;
  }
  for (const auto& [id, other] : running_) {
    if (!other->draft_filled || other->cache_salt != sequence.cache_salt) continue;
    const auto differ = std::mismatch(sequence.tokens.begin(), std::prev(sequence.tokens.end()), other->tokens.begin(),
                                      other->tokens.end());
    const int64_t shared = (differ.first - sequence.tokens.begin()) / kPageTokens;
    if (shared <= other->published) continue;
    sequence.waits_for = id;
    sequence.shared_pages = shared;
    return true;
  }
  return false;
}

// Finds the cached prefix and takes pages for all known tokens and the next, if they leave the running sequences a page
// each: without that reserve a newcomer would be preempted at once.
bool Scheduler::TakePages(Sequence& s) {
  ReleasePages(s);  // what an attempt that ran out of memory left
  if (limits_.prefix_cache) {
    s.pages = cache_.AcquirePrefix(s.cache_salt, s.tokens, (s.size() - 1) / kPageTokens);
    s.published = static_cast<int64_t>(s.pages.size());
    s.computed = s.published * kPageTokens;
  }
  const int64_t wanted = PagesFor(s.size() + 1) - static_cast<int64_t>(s.pages.size());
  if (wanted + running() > cache_.available() || !AddPages(s, s.size() + 1)) {
    ReleasePages(s);
    return false;
  }
  if (!s.admitted) s.cached_tokens = s.computed;
  s.admitted = true;
  return true;
}

void Scheduler::ReleasePages(Sequence& s) {
  for (; !s.pages.empty(); s.pages.pop_back()) cache_.Release(s.pages.back());
  s.computed = s.published = 0;
  s.guess.reset();
  s.draft_filled = true;
}

}  // namespace modelc
