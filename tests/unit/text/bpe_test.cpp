#include "core/text/bpe.h"

#include <deque>
#include <map>
#include <random>
#include <string>

#include "gtest/gtest.h"

namespace modelc {
namespace {

// A vocabulary of random merges over four letters, and the definition of BPE run word for word: find the best-ranked
// pair anywhere, merge its leftmost occurrence, again.
class RandomBpe {
 public:
  RandomBpe(std::mt19937& random, int merges) {
    for (int i = 0; i < 256; ++i) tokens_.push_back(std::string(1, static_cast<char>(i)));
    while (static_cast<int>(spec_.merges.size()) < merges) {
      const int32_t left = Symbol(random), right = Symbol(random);
      const std::string joined = tokens_[left] + tokens_[right];
      if (joined.size() > 12 || ranks_.count({left, right})) continue;
      auto [id, added] = ids_.try_emplace(joined, static_cast<int32_t>(tokens_.size()));
      if (added) tokens_.push_back(joined);
      ranks_[{left, right}] = static_cast<int>(spec_.merges.size());
      spec_.merges.push_back({left, right, id->second});
    }
    for (int i = 0; i < 256; ++i) spec_.bytes[i] = i;
    for (size_t i = 0; i < tokens_.size(); ++i) spec_.words.emplace_back(tokens_[i], static_cast<int32_t>(i));
  }

  Bpe::Spec spec() const { return spec_; }

  std::vector<int32_t> Encode(const std::string& word) const {
    std::vector<int32_t> ids(word.begin(), word.end());
    while (true) {
      int best = INT32_MAX;
      size_t at = 0;
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        auto rank = ranks_.find({ids[i], ids[i + 1]});
        if (rank != ranks_.end() && rank->second < best) best = rank->second, at = i;
      }
      if (best == INT32_MAX) return ids;
      ids[at] = spec_.merges[best].result;
      ids.erase(ids.begin() + at + 1);
    }
  }

 private:
  int32_t Symbol(std::mt19937& random) const {
    const size_t made = tokens_.size() - 256;
    const size_t pick = random() % (made + 4);
    return static_cast<int32_t>(pick < 4 ? 'a' + pick : 252 + pick);
  }
  std::deque<std::string> tokens_;
  std::map<std::string, int32_t> ids_;
  std::map<std::pair<int32_t, int32_t>, int> ranks_;
  Bpe::Spec spec_;
};

TEST(Bpe, EqualsItsDefinitionAtEveryLength) {
  std::mt19937 random(1);
  for (int round = 0; round < 40; ++round) {
    const RandomBpe naive(random, 1 + random() % 200);
    const Bpe bpe(naive.spec());
    for (size_t length : {1, 2, 3, 5, 8, 20, 95, 96, 97, 98, 150, 400}) {
      std::string word;
      while (word.size() < length) word += static_cast<char>('a' + random() % (round % 4 + 1));
      for (int again = 0; again < 2; ++again) {  // the second time the word may be known as one token
        std::vector<int32_t> ids;
        bpe.Encode(word, ids);
        EXPECT_EQ(ids, naive.Encode(word)) << word;
      }
    }
  }
}

TEST(Bpe, WordsThatMergesDoNotReachAreOneTokenOnlyWhenMergesAreIgnored) {
  Bpe::Spec spec;
  for (int i = 0; i < 256; ++i) spec.bytes[i] = i;
  spec.words = {{"a", 'a'}, {"b", 'b'}, {"ab", 300}};
  std::vector<int32_t> ids;
  Bpe(spec).Encode("ab", ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{'a', 'b'}));
  spec.ignore_merges = true;
  ids.clear();
  Bpe(spec).Encode("ab", ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{300}));
}

}  // namespace
}  // namespace modelc
