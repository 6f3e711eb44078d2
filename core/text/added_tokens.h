// Finding added tokens ("<think>") inside text: leftmost, the longest where several begin at one place.
#ifndef MODELC_CORE_TEXT_ADDED_TOKENS_H_
#define MODELC_CORE_TEXT_ADDED_TOKENS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/container/flat_hash_map.h"

namespace modelc {

class AddedTokens {
 public:
  struct Match {
    size_t begin, end;  // bytes
    int32_t id;
  };

  // `text` is not empty.
  void Add(std::string_view text, int32_t id);
  // The first match that begins at or after `from`.
  std::optional<Match> Find(std::string_view text, size_t from) const;

 private:
  // A trie in one table: (node, byte) to node; the root is 0.
  absl::flat_hash_map<uint64_t, uint32_t> edges_;
  absl::flat_hash_map<uint32_t, int32_t> ids_;  // of nodes where a token ends
  std::array<bool, 256> first_byte_{};
};

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_ADDED_TOKENS_H_
