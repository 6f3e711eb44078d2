// Holds one answer to its grammar, token by token: thinking is free, what follows is not, and the answer ends where the
// grammar lets it.
#ifndef MODELC_CORE_SERVING_ANSWER_CONSTRAINT_H_
#define MODELC_CORE_SERVING_ANSWER_CONSTRAINT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/runtime/engine.h"
#include "core/text/grammar.h"
#include "core/text/token_mask.h"
#include "core/text/tokenizer.h"

namespace modelc {

class AnswerConstraint : public TokenConstraint {
 public:
  // `tokenizer` and `tokens` must outlive it. `thinking`: the answer begins with reasoning, which ends with </think>.
  AnswerConstraint(const Tokenizer* tokenizer, const TokenTable* tokens, std::shared_ptr<const Grammar> grammar,
                   std::vector<int32_t> stop_ids, bool thinking);

  const std::vector<uint8_t>& Mask() override;
  void Accept(int32_t id) override;

 private:
  const Tokenizer& tokenizer_;
  const TokenTable& tokens_;
  GrammarMatcher matcher_;
  const std::vector<int32_t> stop_ids_;
  const std::optional<int32_t> end_of_thinking_;
  bool thinking_;
  GrammarMatcher::State state_;
  std::vector<uint8_t> mask_;  // empty: to be made
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_ANSWER_CONSTRAINT_H_
