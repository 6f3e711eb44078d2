// Log-probabilities in the two forms of the API.
#ifndef MODELC_CORE_SERVING_LOGPROBS_H_
#define MODELC_CORE_SERVING_LOGPROBS_H_

#include <string>

#include "core/runtime/engine.h"
#include "core/text/chat.h"
#include "core/text/tokenizer.h"

namespace modelc {

// Chat: {"token", "logprob", "bytes", "top_logprobs": […]} of one generated token.
Json ChatLogprob(const Tokenizer& tokenizer, const TokenEvent& event);

// Completions: appends one token to {"tokens", "token_logprobs", "top_logprobs", "text_offset"}; `offset` counts the
// characters before it. `out` may be null at first.
void AppendCompletionLogprob(const Tokenizer& tokenizer, const TokenEvent& event, int64_t offset, Json& out);

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_LOGPROBS_H_
