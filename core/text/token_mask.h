// Which tokens of a vocabulary may come next in a text that follows a grammar.
#ifndef MODELC_CORE_TEXT_TOKEN_MASK_H_
#define MODELC_CORE_TEXT_TOKEN_MASK_H_

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "core/text/grammar.h"
#include "core/text/tokenizer.h"

namespace modelc {

// The tokens in the order of their bytes, so that a walk over them reads each common beginning once. Without added
// tokens, which a text must not contain, but for the marker that tool calls are written with. Immutable.
class TokenTable {
 public:
  explicit TokenTable(const Tokenizer& tokenizer);

  // A mask of all tokens but the added ones.
  const std::vector<uint8_t>& plain() const { return plain_; }
  // Sets mask[id], one byte a token, to 1 for every token after which the grammar can go on from `state`, else to 0.
  void Mask(GrammarMatcher& matcher, GrammarMatcher::State state, std::vector<uint8_t>& mask) const;

 private:
  struct Token {
    std::string_view bytes;
    int32_t id;
    size_t shared;  // bytes in common with the token before
  };
  std::vector<Token> tokens_;
  std::vector<uint8_t> plain_;
};

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_TOKEN_MASK_H_
