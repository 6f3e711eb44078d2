// DeepSeek-V3.2's chat encoding (DSML): messages to the exact prompt string, completions back to messages, and the
// incremental form of the latter for streaming. Ported from the published encoder's behaviour, its quirks included.
#ifndef MODELC_CORE_TEXT_CHAT_H_
#define MODELC_CORE_TEXT_CHAT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace modelc {

// Keeps the order of keys, as the published encoder's Python dicts do.
using Json = nlohmann::ordered_json;

struct ChatOptions {
  bool thinking = true;
  bool drop_thinking = true;           // drop reasoning of turns before the last user message
  bool add_default_bos_token = true;
};

// `messages` as OpenAI writes them; tools and response_format sit on the system or developer message.
absl::StatusOr<std::string> EncodeChat(const Json& messages, const ChatOptions&);

// Puts a request's `tools` (and response_format) where EncodeChat looks for them: on the first system message, or on
// an empty one made for it.
Json WithTools(Json messages, const Json& tools, const Json& response_format = nullptr);

// A complete completion (with its end-of-sentence token) to an OpenAI assistant message: role, content,
// reasoning_content, tool_calls.
absl::StatusOr<Json> ParseCompletion(std::string_view completion, bool thinking);

// Splits streamed text into reasoning, content and tool calls. Markers are held back until they are complete or can no
// longer match, so nothing of a marker is ever shown.
class StreamParser {
 public:
  struct Delta {
    std::string reasoning;
    std::string content;
    // A tool call: `name` set in the first piece of a call; `arguments` are JSON text pieces that concatenate.
    struct ToolCall {
      int index;
      std::string id;         // "call_…", set with name
      std::string name;
      std::string arguments;
    };
    std::vector<ToolCall> tool_calls;
    bool empty() const { return reasoning.empty() && content.empty() && tool_calls.empty(); }
  };

  explicit StreamParser(bool thinking);
  Delta Push(std::string_view text);
  // Flushes what was held back. Where the completion is malformed the rest comes as content and `malformed()` is true.
  Delta Finish();
  bool malformed() const { return malformed_; }
  bool has_tool_calls() const { return calls_ > 0; }

 private:
  enum class State { kReasoning, kContent, kToolCalls, kEnded };
  State state_;
  std::string held_;
  int calls_ = 0;
  bool malformed_ = false;
};

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_CHAT_H_
