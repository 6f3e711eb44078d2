// Shows a streamed answer as text: reasoning dimmed on a terminal and left out elsewhere, tool calls as calls.
#ifndef MODELC_TOOLS_MODELC_TRANSCRIPT_H_
#define MODELC_TOOLS_MODELC_TRANSCRIPT_H_

#include <ostream>
#include <string>

#include "core/text/chat.h"

namespace modelc {

class Transcript {
 public:
  Transcript(std::ostream& out, bool terminal) : out_(out), terminal_(terminal) {}

  // Takes the next chat.completion.chunk.
  void Show(const Json& chunk);
  // Ends the last line.
  void End();
  // The assistant message so far, as a later request wants it back.
  Json message() const;

 private:
  void Write(std::string_view text, bool dim);
  void AddCall(const Json& piece);

  std::ostream& out_;
  const bool terminal_;
  bool dim_ = false;        // the terminal's state
  bool line_open_ = false;  // the last character was no line's end
  std::string reasoning_, content_;
  Json calls_ = Json::array();
};

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_TRANSCRIPT_H_
