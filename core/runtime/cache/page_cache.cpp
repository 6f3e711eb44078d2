#include "core/runtime/cache/page_cache.h"

#include <algorithm>
#include <cassert>

#include "absl/hash/hash.h"
#include "core/support/strings.h"

namespace modelc {

size_t PageCache::KeyHash::operator()(const Key& k) const { return absl::HashOf(k.parent, Absl(k.salt), k.ids); }
size_t PageCache::KeyHash::operator()(int32_t page) const { return (*this)(KeyOf((*pages)[page])); }

PageCache::PageCache(int64_t pages) : pages_(pages), free_(pages), published_(0, KeyHash{&pages_}, KeyEqual{&pages_}) {
  for (int64_t i = 0; i < pages; ++i) free_[i] = static_cast<int32_t>(pages - 1 - i);
}

std::vector<int32_t> PageCache::AcquirePrefix(std::string_view salt, absl::Span<const int32_t> ids, int64_t max_pages) {
  std::vector<int32_t> run;
  int32_t parent = -1;
  const int64_t full = std::min<int64_t>(max_pages, static_cast<int64_t>(ids.size()) / kPageTokens);
  while (static_cast<int64_t>(run.size()) < full) {
    const Key key{parent, parent < 0 ? salt : std::string_view(), ids.subspan(run.size() * kPageTokens, kPageTokens)};
    auto found = published_.find(key);
    if (found == published_.end()) break;
    parent = *found;
    Hold(parent);
    run.push_back(parent);
  }
  return run;
}

std::optional<int32_t> PageCache::Allocate() {
  if (free_.empty()) {
    if (leaves_.empty()) return std::nullopt;
    EvictLeaf();
  }
  const int32_t page = free_.back();
  free_.pop_back();
  pages_[page].holds = 1;
  return page;
}

void PageCache::Release(int32_t page) {
  Page& p = pages_[page];
  assert(p.holds > 0);
  if (--p.holds > 0) return;
  if (!p.published) {
    free_.push_back(page);
    return;
  }
  ++idle_;
  p.last_used = ++clock_;
  ListIfLeaf(page);
}

int32_t PageCache::Publish(int32_t page, int32_t parent, std::string_view salt, absl::Span<const int32_t> ids) {
  assert(ids.size() == static_cast<size_t>(kPageTokens));
  Page& p = pages_[page];
  assert(p.holds == 1 && !p.published);
  if (parent >= 0) salt = {};
  if (auto found = published_.find(Key{parent, salt, ids}); found != published_.end()) {
    const int32_t earlier = *found;
    Hold(earlier);
    Release(page);
    return earlier;
  }
  p.published = true;
  p.parent = parent;
  p.salt = std::string(salt);
  p.ids.assign(ids.begin(), ids.end());
  published_.insert(page);
  if (parent >= 0) {
    Unlist(parent);
    ++pages_[parent].children;
  }
  return page;
}

void PageCache::Hold(int32_t page) {
  Page& p = pages_[page];
  if (p.holds == 0) {
    Unlist(page);
    --idle_;
  }
  ++p.holds;
}

void PageCache::EvictLeaf() {
  const int32_t page = leaves_.begin()->second;
  leaves_.erase(leaves_.begin());
  published_.erase(page);
  Page& p = pages_[page];
  const int32_t parent = p.parent;
  p = Page();
  --idle_;
  free_.push_back(page);
  if (parent >= 0) {
    --pages_[parent].children;
    ListIfLeaf(parent);
  }
}

void PageCache::Unlist(int32_t page) { leaves_.erase({pages_[page].last_used, page}); }

void PageCache::ListIfLeaf(int32_t page) {
  const Page& p = pages_[page];
  if (p.published && p.holds == 0 && p.children == 0) leaves_.insert({p.last_used, page});
}

}  // namespace modelc
