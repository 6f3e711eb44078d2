// Byte-pair encoding of one word: the lowest-ranked adjacent pair is merged first, leftmost first among equals
// (Sennrich et al. 2016), over bytes (GPT-2).
#ifndef MODELC_CORE_TEXT_BPE_H_
#define MODELC_CORE_TEXT_BPE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace modelc {

class Bpe {
 public:
  struct Merge {
    int32_t left, right, result;
  };
  // Views of `words` must outlive the Bpe.
  struct Spec {
    std::vector<std::pair<std::string_view, int32_t>> words;  // bytes and id of each vocabulary entry
    std::array<int32_t, 256> bytes;                           // id of each single byte
    std::vector<Merge> merges;                                // by rank
    bool ignore_merges = false;                               // a word of the vocabulary is its own token, unmerged
  };
  explicit Bpe(Spec spec);

  // Appends the ids of `word`. Thread-safe. O(n log n) for a word of n bytes.
  void Encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  using Rank = uint32_t;
  static constexpr Rank kNone = UINT32_MAX;
  Rank RankOf(int32_t left, int32_t right) const;
  void MergeShort(std::string_view word, std::vector<int32_t>& ids) const;
  void MergeLong(std::string_view word, std::vector<int32_t>& ids) const;

  absl::flat_hash_map<absl::string_view, int32_t> words_;
  std::array<int32_t, 256> bytes_;
  absl::flat_hash_map<uint64_t, Rank> ranks_;  // (left, right) to rank
  std::vector<int32_t> results_;               // rank to id
  bool ignore_merges_;
  // Most words are one token. That merging a vocabulary entry's bytes really ends in that entry is found out the first
  // time it is met and remembered here, by id; racing threads find the same.
  enum Whole : uint8_t { kUnknown, kYes, kNo };
  std::unique_ptr<std::atomic<uint8_t>[]> whole_;
};

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_BPE_H_
