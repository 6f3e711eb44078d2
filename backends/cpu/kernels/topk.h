// The k best of a stream of scores, by a running threshold: dsa.select and dsa.logits_select.
#ifndef MODELC_BACKENDS_CPU_KERNELS_TOPK_H_
#define MODELC_BACKENDS_CPU_KERNELS_TOPK_H_

#include <algorithm>
#include <cstdint>

#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {

// Takes scores in ascending order of position and keeps the k best: higher score first, then the lower position; -0
// equals 0, NaN comes last. Candidates stay in order of position, so nothing is ever sorted: once there are too many,
// the k-th best key becomes the threshold, and from then on a score must be above it, for an equal one comes later.
class TopK {
 public:
  static constexpr int64_t kBlock = 512;  // scores taken at a time
  // Candidates there is room for: a good deal more than k, so that cutting down to k is rare.
  static int64_t Capacity(int64_t k) { return 2 * k + 2 * kBlock; }

  // keys and positions have room for Capacity(k).
  TopK(const Simd& simd, int64_t k, uint32_t* keys, int32_t* positions)
      : simd_(simd), k_(k), keys_(keys), positions_(positions) {}

  // Scores of positions first, first + 1, …
  void Add(const float* scores, int64_t n, int64_t first) {
    for (int64_t i = 0; i < n; i += kBlock) {
      if (size_ > Capacity(k_) - 2 * kBlock) Cut();
      size_ += simd_.collect_above(scores + i, std::min(kBlock, n - i), static_cast<int32_t>(first + i), threshold_,
                                   keys_ + size_, positions_ + size_);
    }
  }

  // Candidates that lie in keys and positions already, in order of position: the first of all.
  void Adopt(int64_t n) { size_ = n; }

  // Leaves the k best, or all there are, in order of position; returns how many.
  int64_t Finish() {
    if (size_ > k_) Cut();
    return size_;
  }

  // Finish, written as the op wants it: ascending, then -1 up to k.
  void Finish(int32_t* sel) {
    const int64_t n = Finish();
    std::copy_n(positions_, n, sel);
    std::fill(sel + n, sel + k_, -1);
  }

 private:
  // Keeps the k best candidates. The threshold is the k-th key, or a lower one that as many are not below: found bit by
  // bit from the top, which for lists this short is quicker than partitioning them.
  void Cut() {
    if (size_ <= k_) return;
    uint32_t bound = 0;
    int64_t above = size_;  // keys not below `bound`
    for (uint32_t bit = 1u << 31; bit != 0 && above > k_; bit >>= 1) {
      const int64_t n = simd_.count_from(keys_, size_, bound | bit);
      if (n < k_) continue;
      bound |= bit;
      above = n;
    }
    // More than k only where the k-th key is `bound` and others equal it: the first of them get the places left.
    const int64_t places = above > k_ ? k_ - simd_.count_from(keys_, size_, bound + 1) : size_;
    size_ = simd_.keep_from(keys_, positions_, size_, bound, places);
    // An equal key comes later than those kept, so it must be above.
    threshold_ = above > k_ ? bound : bound - 1;
  }

  const Simd& simd_;
  int64_t k_;
  uint32_t* keys_;
  int32_t* positions_;
  int64_t size_ = 0;
  uint32_t threshold_ = 0;  // below every key
};

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_TOPK_H_
