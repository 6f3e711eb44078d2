// The regex splits in front of BPE ("pre-tokenizers"): each cuts every piece of text it is given at its matches, and
// both the matches and what lies between them go on to the next.
#ifndef MODELC_CORE_TEXT_SPLITTER_H_
#define MODELC_CORE_TEXT_SPLITTER_H_

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace modelc {

class Splitter {
 public:
  // Appends a split; `literal` text stands for itself. InvalidArgument with PCRE2's message where `pattern` does not
  // compile, or uses a class whose meaning Oniguruma (which Hugging Face `tokenizers` runs) does not share.
  absl::Status Add(std::string_view pattern, bool literal);

  // Calls `piece` with the non-empty pieces of `text` (valid UTF-8), left to right. Thread-safe. ResourceExhausted
  // where a pattern backtracks beyond PCRE2's limits.
  absl::Status Split(std::string_view text, absl::FunctionRef<void(std::string_view)> piece) const;

 private:
  struct FreeCode {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  };
  absl::Status SplitFrom(size_t level, std::string_view text, pcre2_match_data* match,
                         absl::FunctionRef<void(std::string_view)> piece) const;

  std::vector<std::unique_ptr<pcre2_code, FreeCode>> patterns_;
};

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_SPLITTER_H_
