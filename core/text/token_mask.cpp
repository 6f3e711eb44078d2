#include "core/text/token_mask.h"

#include <algorithm>

#include "core/text/dsml.h"

namespace modelc {

TokenTable::TokenTable(const Tokenizer& tokenizer) : plain_(tokenizer.vocab_size(), 0) {
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view bytes = tokenizer.TokenBytes(id);
    const bool added = tokenizer.AddedToken(bytes) == id;
    plain_[id] = !added && !bytes.empty();
    if (!plain_[id] && bytes != dsml::kDsml) continue;
    tokens_.push_back({bytes, id, 0});
  }
  std::sort(tokens_.begin(), tokens_.end(), [](const Token& a, const Token& b) { return a.bytes < b.bytes; });
  for (size_t i = 1; i < tokens_.size(); ++i) {
    const std::string_view a = tokens_[i - 1].bytes, b = tokens_[i].bytes;
    tokens_[i].shared = std::mismatch(a.begin(), a.begin() + std::min(a.size(), b.size()), b.begin()).first - a.begin();
  }
}

void TokenTable::Mask(GrammarMatcher& matcher, GrammarMatcher::State state, std::vector<uint8_t>& mask) const {
  mask.assign(plain_.size(), 0);
  std::vector<GrammarMatcher::State> path = {state};  // path[n]: after n bytes of the current token
  size_t dead = SIZE_MAX;                             // bytes after which the token before was dead
  for (const Token& token : tokens_) {
    if (token.shared >= dead) continue;  // it begins with the same
    dead = SIZE_MAX;
    path.resize(std::min(path.size(), token.shared + 1));
    while (path.size() <= token.bytes.size()) {
      const GrammarMatcher::State next = matcher.Next(path.back(), static_cast<uint8_t>(token.bytes[path.size() - 1]));
      if (next == GrammarMatcher::kDead) break;
      path.push_back(next);
    }
    if (path.size() <= token.bytes.size()) {
      dead = path.size();
    } else {
      mask[token.id] = 1;
    }
  }
}

}  // namespace modelc
