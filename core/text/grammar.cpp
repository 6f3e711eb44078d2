#include "core/text/grammar.h"

#include <algorithm>
#include <utility>

namespace modelc {
namespace {

constexpr GrammarMatcher::State kUnknown = -2;

}  // namespace

Grammar::Expr Grammar::OneByte(const Bytes& bytes) { return Add({bytes, {}}); }

Grammar::Expr Grammar::Text(std::string_view text) {
  std::vector<Expr> bytes;
  for (const char c : text) {
    const auto [it, added] = letters_.try_emplace(c, 0);
    if (added) it->second = OneByte(Bytes().set(static_cast<unsigned char>(c)));
    bytes.push_back(it->second);
  }
  return Sequence(std::move(bytes));
}

Grammar::Expr Grammar::Sequence(std::vector<Expr> parts) { return Add({{}, {std::move(parts)}}); }

Grammar::Expr Grammar::OneOf(std::vector<Expr> choices) {
  Rule rule;
  for (const Expr choice : choices) rule.choices.push_back({choice});
  return Add(std::move(rule));
}

Grammar::Expr Grammar::Repeat(Expr part, int64_t least, int64_t most) {
  Expr tail;
  if (most < 0) {
    tail = Declare();
    rules_[tail].choices = {{}, {part, tail}};
  } else {
    tail = Sequence({});
    for (int64_t i = least; i < most; ++i) tail = Add({{}, {{}, {part, tail}}});
  }
  for (int64_t i = 0; i < least; ++i) tail = Sequence({part, tail});
  return tail;
}

GrammarMatcher::GrammarMatcher(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)) {
  stack_.emplace_back();  // the empty one
  std::vector<Node> nodes;
  absl::flat_hash_set<Node> seen;
  // A place in front of the start rule alone: the start as an only choice of a rule there need not be.
  for (size_t choice = 0; choice < grammar_->rules_[grammar_->start_].choices.size(); ++choice) {
    Expand(Push({grammar_->start_, static_cast<int32_t>(choice), 0}, 0), nodes, seen);
  }
  start_ = Intern(std::move(nodes));
}

GrammarMatcher::Node GrammarMatcher::Push(Place place, Node rest) {
  const auto [it, added] = nodes_.try_emplace({place, rest}, static_cast<Node>(stack_.size()));
  if (added) stack_.emplace_back(place, rest);
  return it->second;
}

void GrammarMatcher::Expand(Node first, std::vector<Node>& out, absl::flat_hash_set<Node>& seen) {
  std::vector<Node> pending = {first};  // not by recursion: a schema can make it as deep as it is long
  while (!pending.empty()) {
    const Node node = pending.back();
    pending.pop_back();
    if (!seen.insert(node).second) continue;
    if (node == 0) {
      out.push_back(node);
      continue;
    }
    const auto [place, rest] = stack_[node];
    const std::vector<Grammar::Expr>& parts = grammar_->rules_[place.rule].choices[place.choice];
    if (place.at == static_cast<int32_t>(parts.size())) {
      pending.push_back(rest);
      continue;
    }
    const Grammar::Expr part = parts[place.at];
    const Grammar::Rule& rule = grammar_->rules_[part];
    if (rule.terminal()) {
      out.push_back(node);
      continue;
    }
    // What comes after the part waits below it; nothing does after the last one.
    const bool last = place.at + 1 == static_cast<int32_t>(parts.size());
    const Node below = last ? rest : Push({place.rule, place.choice, place.at + 1}, rest);
    for (size_t choice = 0; choice < rule.choices.size(); ++choice) {
      pending.push_back(Push({part, static_cast<int32_t>(choice), 0}, below));
    }
  }
}

GrammarMatcher::State GrammarMatcher::Intern(std::vector<Node> nodes) {
  if (nodes.empty()) return kDead;
  std::sort(nodes.begin(), nodes.end());
  const auto [it, added] = by_nodes_.try_emplace(nodes, static_cast<State>(states_.size()));
  if (added) {
    states_.emplace_back();
    states_.back().accepts = nodes.front() == 0;
    states_.back().nodes = std::move(nodes);
    states_.back().next.fill(kUnknown);
  }
  return it->second;
}

GrammarMatcher::State GrammarMatcher::Next(State state, uint8_t byte) {
  if (state == kDead) return kDead;
  if (const State known = states_[state].next[byte]; known != kUnknown) return known;
  std::vector<Node> after;
  absl::flat_hash_set<Node> seen;
  for (const Node node : states_[state].nodes) {
    if (node == 0) continue;
    const auto [place, rest] = stack_[node];
    const std::vector<Grammar::Expr>& parts = grammar_->rules_[place.rule].choices[place.choice];
    if (!grammar_->rules_[parts[place.at]].bytes.test(byte)) continue;
    const bool last = place.at + 1 == static_cast<int32_t>(parts.size());
    Expand(last ? rest : Push({place.rule, place.choice, place.at + 1}, rest), after, seen);
  }
  const State next = Intern(std::move(after));
  states_[state].next[byte] = next;
  return next;
}

GrammarMatcher::State GrammarMatcher::Forget(State keep) {
  const std::vector<std::pair<Place, Node>> old = std::move(stack_);
  const std::vector<Node> kept = states_[keep].nodes;
  stack_.assign(1, {});
  nodes_.clear();
  states_.clear();
  by_nodes_.clear();
  std::vector<Node> nodes;
  for (const Node node : kept) {
    std::vector<Place> places;  // from the top
    for (Node n = node; n != 0; n = old[n].second) places.push_back(old[n].first);
    Node again = 0;
    for (auto place = places.rbegin(); place != places.rend(); ++place) again = Push(*place, again);
    nodes.push_back(again);
  }
  start_ = kDead;  // forgotten too
  return Intern(std::move(nodes));
}

}  // namespace modelc
