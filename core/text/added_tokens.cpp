#include "core/text/added_tokens.h"

namespace modelc {
namespace {

uint64_t Edge(uint32_t node, char byte) { return uint64_t{node} << 8 | static_cast<uint8_t>(byte); }

}  // namespace

void AddedTokens::Add(std::string_view text, int32_t id) {
  first_byte_[static_cast<uint8_t>(text[0])] = true;
  uint32_t node = 0;
  for (char byte : text) {
    node = edges_.try_emplace(Edge(node, byte), static_cast<uint32_t>(edges_.size() + 1)).first->second;
  }
  ids_[node] = id;
}

std::optional<AddedTokens::Match> AddedTokens::Find(std::string_view text, size_t from) const {
  for (size_t begin = from; begin < text.size(); ++begin) {
    if (!first_byte_[static_cast<uint8_t>(text[begin])]) continue;
    std::optional<Match> longest;
    uint32_t node = 0;
    for (size_t end = begin; end < text.size();) {
      auto edge = edges_.find(Edge(node, text[end]));
      if (edge == edges_.end()) break;
      node = edge->second;
      ++end;
      if (auto id = ids_.find(node); id != ids_.end()) longest = Match{begin, end, id->second};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

}  // namespace modelc
