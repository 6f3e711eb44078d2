// One answer in the making: generated tokens in, pieces of reasoning, content and tool calls out. Not thread-safe.
#ifndef MODELC_CORE_SERVING_CHOICE_H_
#define MODELC_CORE_SERVING_CHOICE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/runtime/engine.h"
#include "core/serving/request.h"
#include "core/serving/stop_filter.h"
#include "core/text/chat.h"
#include "core/text/tokenizer.h"

namespace modelc {

class Choice {
 public:
  // What one token adds; nothing where its text is held back.
  struct Piece {
    StreamParser::Delta delta;  // /v1/completions: content alone
    Json logprobs;              // in the endpoint's form, null when not asked for or not yet shown
    std::string finish_reason;  // set in the last piece: "stop", "length", "tool_calls"
    std::string warning;        // with finish_reason: what is wrong with the answer, or empty
    int whole_calls = 0;        // with finish_reason: tool calls that are no part of a malformed end
    bool empty() const { return delta.empty() && finish_reason.empty(); }
  };

  // `tokenizer`, `request` and `stop_ids` must outlive it.
  Choice(const Tokenizer* tokenizer, const AnswerRequest* request, const std::vector<int32_t>* stop_ids);

  // The choice is finished after the engine's last event or a stop string; later events add nothing.
  Piece Push(const TokenEvent& event);
  bool finished() const { return finished_; }
  int64_t tokens() const { return tokens_; }
  int64_t reasoning_tokens() const { return reasoning_tokens_; }

 private:
  void AddText(std::string_view text, StreamParser::Delta& delta);
  void AddDelta(StreamParser::Delta from, StreamParser::Delta& to);
  void Count(const TokenEvent& event);
  void End(FinishReason reason, Piece& piece);

  const Tokenizer& tokenizer_;
  const AnswerRequest& request_;
  const std::vector<int32_t>& stop_ids_;
  StreamDecoder decoder_;
  std::optional<StreamParser> parser_;  // chat only
  StopFilter stop_;
  std::optional<int32_t> end_of_thinking_;
  bool reasoning_;          // tokens now belong to the reasoning
  bool finished_ = false;
  int64_t tokens_ = 0, reasoning_tokens_ = 0;
  int64_t characters_ = 0;  // decoded so far, for text_offset
  std::string content_;     // kept where it must be JSON in the end
  Json logprobs_;           // not yet shown
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_CHOICE_H_
