// Cache pages as cache.md defines them, and steps of several sequences to fill and read them with.
#ifndef MODELC_PLUGINS_CONFORMANCE_CACHE_H_
#define MODELC_PLUGINS_CONFORMANCE_CACHE_H_

#include <string>
#include <vector>

#include "plugins/conformance/case.h"

namespace modelc::conformance {

inline constexpr int64_t kPageTokens = 64;

// New tokens of one sequence: `count` rows at positions start, start + 1, …
struct Chunk {
  int32_t start = 0, count = 1;
};

// The rows of one step and the pages of its sequences, scattered over a pool.
struct Step {
  std::vector<int32_t> pos, seq;  // [T]
  std::vector<int32_t> pages;     // [S, P]
  int64_t S = 0, P = 0, C = 0;    // C: longest visible context
  int64_t pool = 0;               // pages in the cache; some belong to no sequence
  int64_t T() const { return static_cast<int64_t>(pos.size()); }

  // One sequence a chunk; `padding` rows (seq = -1) are put before the first row and after the last.
  static Step Make(Random& random, const std::vector<Chunk>& chunks, int64_t padding);
  // Reads what Append put there.
  static Step From(const HostTensor& pos, const HostTensor& seq, const HostTensor& pages);
  // pos, seq, pages, as every op with a cache takes them.
  void Append(Tensors& tensors) const;

  bool IsPadding(int64_t t) const { return seq[t] < 0; }
  int64_t visible(int64_t t) const { return pos[t] + 1; }
  int64_t Page(int64_t t, int64_t p) const { return pages[seq[t] * P + p / kPageTokens]; }
};

std::string ChunksName(const std::vector<Chunk>& chunks, int64_t padding);

// One layer's slice of the latent cache.
struct LatentLayout {
  std::string format;  // "f8", "bf16", "f32", "i8"
  int64_t L, R;
  int64_t record_bytes() const;
  int64_t page_bytes() const { return kPageTokens * record_bytes(); }
  // The token's record at `page`'s start; `values` are L latents, then R keys.
  void Write(std::byte* page, int64_t token, const double* values) const;
  Values Read(const std::byte* page, int64_t token) const;
};

struct IndexLayout {
  std::string format;  // "f8", "bf16", "f32", "i8"
  int64_t D;
  int64_t page_bytes() const;
  void Write(std::byte* page, int64_t token, const double* values) const;
  Values Read(const std::byte* page, int64_t token) const;
};

// The least magnitude that what i8 pages hold, and its queries, are scaled by (cache.md).
inline constexpr float kLeastI8 = 1e-4f;

// A cache in which every visible position of the step holds what `make` returns and all other bytes are 0xff: reading
// them gives NaN.
template <typename Layout>
HostTensor FilledCache(const Layout& layout, const Step& step, const std::function<Values()>& make);

}  // namespace modelc::conformance

#endif  // MODELC_PLUGINS_CONFORMANCE_CACHE_H_
