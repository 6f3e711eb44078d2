// A command that answers each line of JSON on stdin with one line on stdout.
#ifndef MODELC_TOOLS_MODELC_JSON_LINES_H_
#define MODELC_TOOLS_MODELC_JSON_LINES_H_

#include <iostream>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/text/json.h"

namespace modelc {

// Stops at the first line that is not JSON, or that `answer` refuses; what was answered before it is written. Answers
// leave as soon as no further input is at hand.
inline absl::StatusOr<int> AnswerJsonLines(absl::FunctionRef<absl::StatusOr<std::string>(const Json&)> answer) {
  std::ios::sync_with_stdio(false);
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    absl::StatusOr<Json> json = ParseJson(line);
    absl::StatusOr<std::string> out = json.ok() ? answer(*json) : json.status();
    if (!out.ok()) {
      std::cout.flush();
      return absl::Status(out.status().code(), absl::StrCat("stdin, line ", number, ": ", out.status().message()));
    }
    std::cout << *out << '\n';
    if (std::cin.rdbuf()->in_avail() <= 0) std::cout.flush();
    if (!std::cout) return absl::UnavailableError("cannot write to stdout");
  }
  std::cout.flush();
  return 0;
}

// One line of JSON, UTF-8 as it is.
inline std::string DumpLine(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_JSON_LINES_H_
