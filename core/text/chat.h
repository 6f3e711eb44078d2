// DeepSeek-V3.2's chat encoding (DSML): messages to the exact prompt string, completions back to messages, and the
// incremental form of the latter for streaming. Ported from the published encoder's behaviour, its quirks included.
//
// What an operator should know of the format:
// - A user turn is <｜User｜>…<｜Assistant｜> followed by <think> where the model is to think now, and by </think>
// where it
//   is not, or where the turn is over. A prompt therefore ends in one of the two, and a completion does not repeat it.
// - An assistant turn ends in <｜end▁of▁sentence｜>, also when it calls tools; results follow without a new user turn.
// - Thinking before the last user (or developer) message is dropped. A developer message there is refused while
// dropping,
//   and so is a last assistant message with neither reasoning nor calls when thinking.
// - Content that is missing reads as nothing from system and assistant, and as "None" from user and tool.
// - Special tokens inside a message's text are not escaped: whoever may write messages may write turns.
#ifndef MODELC_CORE_TEXT_CHAT_H_
#define MODELC_CORE_TEXT_CHAT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/text/json.h"

namespace modelc {

struct ChatOptions {
  bool thinking = true;
  bool drop_thinking = true;  // drop reasoning of turns before the last user message
  bool add_default_bos_token = true;
};

// Place of the last message that speaks for the user, a user's or a developer's; -1 where none does.
int64_t LastUser(const Json& messages);

// `messages` as OpenAI writes them; tools and response_format sit on the system or developer message.
absl::StatusOr<std::string> EncodeChat(const Json& messages, const ChatOptions&);

// Puts a request's `tools` (and response_format) where EncodeChat looks for them: on the first system message, or on
// an empty one made for it.
Json WithTools(Json messages, const Json& tools, const Json& response_format = nullptr);

// A complete completion (with its end-of-sentence token) to an OpenAI assistant message: role, content,
// reasoning_content, tool_calls. InvalidArgument says what is malformed.
absl::StatusOr<Json> ParseCompletion(std::string_view completion, bool thinking);

// Splits streamed text into reasoning, content and tool calls. Markers are held back until they are complete or can no
// longer match, so nothing of a marker is ever shown. However the text is cut, the pieces add up to what
// ParseCompletion says of the whole.
//
// Malformed text loses nothing: from the first fault on everything is content, beginning with the whole text of the
// tool call in which the fault lies, even if part of that call was sent already.
class StreamParser {
 public:
  struct Delta {
    std::string reasoning;
    std::string content;
    // A tool call: `name` set in the first piece of a call; `arguments` are JSON text pieces that concatenate.
    struct ToolCall {
      int index;
      std::string id;  // "call_…", set with name
      std::string name;
      std::string arguments;
    };
    std::vector<ToolCall> tool_calls;
    bool empty() const { return reasoning.empty() && content.empty() && tool_calls.empty(); }
  };

  explicit StreamParser(bool thinking) : state_(thinking ? State::kReasoning : State::kContent) {}
  Delta Push(std::string_view text);
  // Flushes what was held back; nothing may be pushed afterwards.
  Delta Finish();

  bool malformed() const { return !fault_.empty(); }
  // What was malformed, in a few words; empty where nothing was.
  const std::string& fault() const { return fault_; }
  // The text ended without its end-of-sentence token, in reasoning or content: cut off, or stopped before that token.
  bool open_ended() const { return open_ended_; }
  // Calls so far that are whole: of malformed text those before the one in which the fault lies.
  int whole_calls() const { return whole_calls_; }

 private:
  // Where the text after what was consumed stands. The states from kInvoke to kNextParameter are inside one call.
  enum class State {
    kReasoning,
    kContent,
    kNextInvoke,     // a call, or the end of the calls
    kInvoke,         // the call's name, up to its first parameter or its end
    kParameter,      // the parameter's name and type
    kValue,          // its value
    kNextParameter,  // another parameter, or the call's end
    kAfterCalls,     // the end-of-sentence token
    kEnded,          // nothing
    kMalformed,      // content, whatever it is
  };

  std::string_view Rest() const { return std::string_view(held_).substr(cursor_); }
  // Each looks at Rest(): true where it went on to another state, false where it waits for more text.
  bool Step(Delta& delta);
  bool StepReasoning(Delta& delta);
  bool StepContent(Delta& delta);
  bool StepNextInvoke();
  bool StepInvoke(Delta& delta);
  bool StepParameter(Delta& delta);
  bool StepValue(Delta& delta);
  bool StepNextParameter(Delta& delta);
  bool StepAfterCalls();
  bool StepMalformed(Delta& delta);

  bool Go(State next, size_t consumed);
  void Commit();  // what was consumed is dealt with for good
  bool Fail(std::string_view fault);
  bool OpenCall(std::string_view head, Delta& delta);
  void CloseCall(Delta& delta);
  void AppendArguments(std::string_view json, Delta& delta);

  State state_;
  std::string held_;   // text not yet dealt with for good: inside tool calls, from the end of the last whole call on
  size_t cursor_ = 0;  // what of it was consumed
  int calls_ = 0, whole_calls_ = 0;
  std::vector<std::string> parameters_;  // names of the current call's
  bool string_value_ = false;            // of the current parameter
  bool finishing_ = false;
  bool open_ended_ = false;
  std::string fault_;
};

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_CHAT_H_
