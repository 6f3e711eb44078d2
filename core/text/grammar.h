// Context-free grammars over bytes, and following a text through one: what constrained decoding is made of. Rules are
// built bottom up from expressions; a matcher turns the grammar into a deterministic automaton as far as texts need it.
#ifndef MODELC_CORE_TEXT_GRAMMAR_H_
#define MODELC_CORE_TEXT_GRAMMAR_H_

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace modelc {

class Grammar {
 public:
  using Expr = int32_t;
  using Bytes = std::bitset<256>;

  Expr OneByte(const Bytes& bytes);
  Expr Text(std::string_view text);
  Expr Sequence(std::vector<Expr> parts);
  Expr OneOf(std::vector<Expr> choices);
  Expr Repeat(Expr part, int64_t least, int64_t most = -1);  // most -1: any number
  Expr Optional(Expr part) { return Repeat(part, 0, 1); }
  // An expression to be defined later, for recursion.
  Expr Declare() { return Add({}); }
  void Define(Expr declared, Expr meaning) { rules_[declared].choices = {{meaning}}; }

  void SetStart(Expr start) { start_ = start; }
  // More than this is no schema that people write, and following it takes time: to be checked by whoever adds rules in
  // number.
  static constexpr size_t kMostRules = 20000;
  bool full() const { return rules_.size() > kMostRules; }

 private:
  friend class GrammarMatcher;
  // Either one byte of a set, or any of several sequences of other expressions.
  struct Rule {
    Bytes bytes;
    std::vector<std::vector<Expr>> choices;
    bool terminal() const { return bytes.any(); }
  };
  Expr Add(Rule rule) {
    rules_.push_back(std::move(rule));
    return static_cast<Expr>(rules_.size() - 1);
  }

  std::vector<Rule> rules_;
  std::map<char, Expr> letters_;  // rules of one byte, used again
  Expr start_ = 0;
};

// States are small numbers; equal numbers are the same place in the grammar. Not thread-safe.
class GrammarMatcher {
 public:
  using State = int32_t;
  static constexpr State kDead = -1;

  explicit GrammarMatcher(std::shared_ptr<const Grammar> grammar);

  State start() const { return start_; }
  // Where `byte` leads; kDead where the grammar has no such text.
  State Next(State state, uint8_t byte);
  // The text may end here.
  bool Accepts(State state) const { return states_[state].accepts; }
  // States known so far take about 1 KiB each. Forgets all but `keep` and gives its new number.
  size_t states() const { return states_.size(); }
  State Forget(State keep);

 private:
  // A stack of places that are yet to be matched, the next one on top; equal stacks are one node. Node 0 is empty.
  using Node = int32_t;
  struct Place {
    Grammar::Expr rule;
    int32_t choice, at;
    auto operator<=>(const Place&) const = default;
  };
  struct StateInfo {
    std::vector<Node> nodes;  // each with a terminal at its top, or empty
    bool accepts = false;
    std::array<State, 256> next;
  };

  Node Push(Place place, Node rest);
  // Adds all stacks that `node` stands for whose top is a terminal, and the empty one; none that is in `seen`.
  void Expand(Node node, std::vector<Node>& out, absl::flat_hash_set<Node>& seen);
  State Intern(std::vector<Node> nodes);

  const std::shared_ptr<const Grammar> grammar_;
  std::vector<std::pair<Place, Node>> stack_;  // by node
  std::map<std::pair<Place, Node>, Node> nodes_;
  std::vector<StateInfo> states_;
  std::map<std::vector<Node>, State> by_nodes_;
  State start_;
};

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_GRAMMAR_H_
