#include "core/serving/choice.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/serving/logprobs.h"
#include "core/text/dsml.h"

namespace modelc {
namespace {

int64_t CountCharacters(std::string_view utf8) {
  return std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

Choice::Choice(const Tokenizer* tokenizer, const AnswerRequest* request, const std::vector<int32_t>* stop_ids)
    : tokenizer_(*tokenizer),
      request_(*request),
      stop_ids_(*stop_ids),
      decoder_(tokenizer),
      stop_(request->stop),
      end_of_thinking_(tokenizer->AddedToken("</think>")),
      reasoning_(request->thinking) {
  if (request->chat) parser_.emplace(request->thinking);
}

Choice::Piece Choice::Push(const TokenEvent& event) {
  Piece piece;
  if (finished_) return piece;
  const bool is_stop_id = event.finish == FinishReason::kStop && event.id &&
                          std::find(stop_ids_.begin(), stop_ids_.end(), *event.id) != stop_ids_.end();
  if (event.id) {
    Count(event);
    if (!is_stop_id) AddText(decoder_.Push(*event.id), piece.delta);
  }
  if (stop_.hit()) {
    End(FinishReason::kStop, piece);
  } else if (event.finish) {
    AddText(decoder_.Finish(), piece.delta);
    if (parser_) {
      if (is_stop_id) AddDelta(parser_->Push(dsml::kEnd), piece.delta);  // the model ended its turn
      AddDelta(parser_->Finish(), piece.delta);
    }
    piece.delta.content += stop_.Finish();
    End(*event.finish, piece);
  }
  if (!piece.empty()) piece.logprobs = std::exchange(logprobs_, nullptr);
  if (request_.expects_json) content_ += piece.delta.content;
  return piece;
}

void Choice::Count(const TokenEvent& event) {
  ++tokens_;
  if (request_.sampling.top_logprobs >= 0) {
    if (request_.chat) {
      logprobs_[reasoning_ ? "reasoning_content" : "content"].push_back(ChatLogprob(tokenizer_, event));
    } else {
      AppendCompletionLogprob(tokenizer_, event, characters_, logprobs_);
    }
  }
  if (reasoning_) {
    ++reasoning_tokens_;
    if (event.id == end_of_thinking_) reasoning_ = false;
  }
}

void Choice::AddText(std::string_view text, StreamParser::Delta& delta) {
  characters_ += CountCharacters(text);
  if (parser_) {
    AddDelta(parser_->Push(text), delta);
  } else {
    delta.content += stop_.Push(text);
  }
}

void Choice::AddDelta(StreamParser::Delta from, StreamParser::Delta& to) {
  if (stop_.hit()) return;
  to.reasoning += from.reasoning;
  to.content += stop_.Push(from.content);
  if (from.tool_calls.empty() || stop_.hit()) return;
  to.content += stop_.Finish();  // a stop string does not reach into a tool call
  for (auto& call : from.tool_calls) to.tool_calls.push_back(std::move(call));
}

void Choice::End(FinishReason reason, Piece& piece) {
  finished_ = true;
  const bool stopped = reason != FinishReason::kLength;
  piece.whole_calls = parser_ ? parser_->whole_calls() : 0;
  piece.finish_reason = !stopped ? "length" : piece.whole_calls > 0 ? "tool_calls" : "stop";
  if (parser_ && parser_->malformed()) {
    piece.warning = absl::StrCat("malformed answer, in content as it came: ", parser_->fault());
  } else if (stopped && request_.expects_json && piece.whole_calls == 0 && !Json::accept(content_ + piece.delta.content)) {
    piece.warning = "the answer is not JSON";
  }
}

}  // namespace modelc
