// A command that answers each line of JSON with one line of its own.
#ifndef MODELC_TOOLS_MODELC_JSON_LINES_H_
#define MODELC_TOOLS_MODELC_JSON_LINES_H_

#include <istream>
#include <ostream>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/text/json.h"

namespace modelc {

// Stops at the first line that is not JSON, or that `answer` refuses, with an error that names the line; what was
// answered before it is written. Answers leave as soon as no further input is at hand.
inline absl::Status AnswerJsonLines(std::istream& in, std::ostream& out,
                                    absl::FunctionRef<absl::StatusOr<std::string>(const Json&)> answer) {
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    absl::StatusOr<Json> json = ParseJson(line);
    absl::StatusOr<std::string> text = json.ok() ? answer(*json) : json.status();
    if (!text.ok()) {
      out.flush();
      return absl::Status(text.status().code(), absl::StrCat("line ", number, ": ", text.status().message()));
    }
    out << *text << '\n';
    if (in.rdbuf()->in_avail() <= 0) out.flush();
  }
  out.flush();
  return out ? absl::OkStatus() : absl::UnavailableError("cannot write the answers");
}

// One line of JSON, UTF-8 as it is.
inline std::string DumpLine(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_JSON_LINES_H_
