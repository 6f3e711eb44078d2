// Pieces of choices to the objects of OpenAI's API: chat.completion.chunk and chat.completion, or text_completion.
#ifndef MODELC_CORE_SERVING_ANSWER_FORMAT_H_
#define MODELC_CORE_SERVING_ANSWER_FORMAT_H_

#include <string>
#include <vector>

#include "core/serving/choice.h"
#include "core/serving/request.h"
#include "core/text/chat.h"

namespace modelc {

// Tokens of all choices together.
struct AnswerUsage {
  Usage tokens;
  int64_t reasoning_tokens = 0;
};

class AnswerFormat {
 public:
  // `request` must outlive it; `model` is the served name.
  AnswerFormat(const AnswerRequest& request, std::string model);

  // Streams: the chunk that opens a choice (chat alone has one), a piece of it, and the usage after all of them.
  Json OpeningChunk(int index) const;
  Json Chunk(int index, const Choice::Piece& piece) const;
  Json UsageChunk(const AnswerUsage& usage) const;

  // Otherwise: gathers pieces, then the whole response.
  void Gather(int index, const Choice::Piece& piece);
  Json Response(const AnswerUsage& usage);

 private:
  Json Envelope(bool chunk, Json choices) const;

  const AnswerRequest& request_;
  Json head_;                  // id, created, model
  std::vector<Json> gathered_;  // one choice each
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_ANSWER_FORMAT_H_
