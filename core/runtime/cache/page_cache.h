// Bookkeeping of cache pages: who holds which page, and which full pages can be reused as a prefix. A page number
// stands for 64 tokens in every layer of every cache; the bytes belong to the executor. Not thread-safe.
//
// A page is free, held (reference count above zero) or idle: published, held by nobody, kept for reuse. Published pages
// form trees: a page's identity is its 64 ids and its parent page, so two pages match only when their whole prefixes
// are equal, compared id by id. The root of a tree is a salt: tenants with different salts never share. Idle pages are
// given up when a page is wanted and none is free: the least recently used leaf first, so a parent outlives its
// children.
#ifndef MODELC_CORE_RUNTIME_CACHE_PAGE_CACHE_H_
#define MODELC_CORE_RUNTIME_CACHE_PAGE_CACHE_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "core/program/program.h"

namespace modelc {

// Pages that `tokens` tokens need.
inline int64_t PagesFor(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

class PageCache {
 public:
  explicit PageCache(int64_t pages);
  PageCache(const PageCache&) = delete;  // the index points into pages_

  // The longest published run of full pages that `ids` starts with, at most `max_pages` long; each is held once more.
  std::vector<int32_t> AcquirePrefix(std::string_view salt, absl::Span<const int32_t> ids, int64_t max_pages);

  // A page held once, its content undefined; none when every page is held or has held descendants.
  std::optional<int32_t> Allocate();

  // Gives up one hold.
  void Release(int32_t page);

  // Makes a held, full page findable. `ids` are its 64 tokens, `parent` the published page before it (-1: it is the
  // first, and `salt` counts). Returns the page to use from now on: `page`, or an equal one published before, in which
  // case the hold has moved there and `page` is free.
  int32_t Publish(int32_t page, int32_t parent, std::string_view salt, absl::Span<const int32_t> ids);

  int64_t total() const { return static_cast<int64_t>(pages_.size()); }
  int64_t held() const { return total() - available(); }
  int64_t idle() const { return idle_; }
  int64_t available() const { return static_cast<int64_t>(free_.size()) + idle_; }  // what Allocate can still give

 private:
  struct Page {
    int32_t holds = 0;
    bool published = false;
    // Of a published page:
    int32_t parent = -1;
    int32_t children = 0;
    std::string salt;  // of a root
    std::vector<int32_t> ids;
    uint64_t last_used = 0;
  };
  // A published page by content. Heterogeneous, so that a prefix is looked up without copying its ids.
  struct Key {
    int32_t parent;
    std::string_view salt;
    absl::Span<const int32_t> ids;
  };
  struct KeyHash {
    using is_transparent = void;
    const std::vector<Page>* pages;
    size_t operator()(const Key& k) const;
    size_t operator()(int32_t page) const;
  };
  struct KeyEqual {
    using is_transparent = void;
    const std::vector<Page>* pages;
    Key Of(const Key& k) const { return k; }
    Key Of(int32_t page) const { return KeyOf((*pages)[page]); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      const Key x = Of(a), y = Of(b);
      return x.parent == y.parent && x.salt == y.salt && x.ids == y.ids;
    }
  };
  static Key KeyOf(const Page& p) { return {p.parent, p.salt, p.ids}; }

  void Hold(int32_t page);
  void EvictLeaf();
  // Keeps leaves_ in step: call around a change of a page's holds or children.
  void Unlist(int32_t page);
  void ListIfLeaf(int32_t page);

  std::vector<Page> pages_;
  std::vector<int32_t> free_;                      // last in, first out: touched memory is used again
  std::set<std::pair<uint64_t, int32_t>> leaves_;  // idle pages without children, least recently used first
  absl::flat_hash_set<int32_t, KeyHash, KeyEqual> published_;
  int64_t idle_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_CACHE_PAGE_CACHE_H_
