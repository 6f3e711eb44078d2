#include "core/serving/answer_constraint.h"

#include <algorithm>
#include <utility>

#include "core/text/dsml.h"

namespace modelc {
namespace {

constexpr size_t kMostStates = 20000;  // about 25 MB

}  // namespace

AnswerConstraint::AnswerConstraint(const Tokenizer* tokenizer, const TokenTable* tokens,
                                   std::shared_ptr<const Grammar> grammar, std::vector<int32_t> stop_ids, bool thinking)
    : tokenizer_(*tokenizer),
      tokens_(*tokens),
      matcher_(std::move(grammar)),
      stop_ids_(std::move(stop_ids)),
      end_of_thinking_(tokenizer->AddedToken(dsml::kThinkEnd)),
      thinking_(thinking && end_of_thinking_),
      state_(matcher_.start()) {}

const std::vector<uint8_t>& AnswerConstraint::Mask() {
  if (!mask_.empty()) return mask_;
  if (thinking_) {
    mask_ = tokens_.plain();
    mask_[*end_of_thinking_] = 1;
    return mask_;
  }
  tokens_.Mask(matcher_, state_, mask_);
  if (matcher_.Accepts(state_)) {
    for (const int32_t id : stop_ids_) mask_[id] = 1;
  }
  return mask_;
}

void AnswerConstraint::Accept(int32_t id) {
  if (std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end()) return;
  if (thinking_) {
    if (id != end_of_thinking_) return;
    thinking_ = false;
  } else {
    const GrammarMatcher::State before = state_;
    for (const char byte : tokenizer_.TokenBytes(id)) state_ = matcher_.Next(state_, static_cast<uint8_t>(byte));
    if (state_ == before) return;  // the mask holds
    if (matcher_.states() > kMostStates) state_ = matcher_.Forget(state_);
  }
  mask_.clear();
}

}  // namespace modelc
