// Problem files: conversations with a known answer and a rule that scores one (format: "Eval file" in
// docs/contract.md).
#ifndef MODELC_TOOLS_MODELC_SCORING_PROBLEM_H_
#define MODELC_TOOLS_MODELC_SCORING_PROBLEM_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "core/text/json.h"

namespace modelc {

// What an answer is compared with. The rules look at the content after any thinking.
struct LastNumber {
  double value;
};  // the last number in the content
struct Equals {
  std::string value;
};  // the content, trimmed
struct JsonEqual {
  nlohmann::json value;
};                      // the content as JSON, whatever the order of its keys
struct ToolCallEqual {  // the first call made
  std::string name;
  nlohmann::json arguments;
};
using Rule = std::variant<LastNumber, Equals, JsonEqual, ToolCallEqual>;

struct Problem {
  std::string id, task;
  Json messages, tools;  // as OpenAI writes them; tools are null where there are none
  bool thinking = true;
  Json expected;  // for people
  Rule rule;
  int64_t max_tokens = 0;  // 0: not said
};

// At most `limit` of each task (0: all), in the file's order. Errors name file, line and field.
absl::StatusOr<std::vector<Problem>> ReadProblems(const std::filesystem::path& file, int64_t limit);

// A completion taken apart. Malformed tool calls are content.
struct Answer {
  struct Call {
    std::string name;
    std::string arguments;  // JSON text
  };
  std::string reasoning, content;
  std::vector<Call> calls;
};
Answer ParseAnswer(std::string_view completion, bool thinking);

bool Passes(const Rule& rule, const Answer& answer);

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_SCORING_PROBLEM_H_
