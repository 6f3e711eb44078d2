#include "core/text/splitter.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "core/text/oniguruma.h"
#include "core/text/utf8.h"

namespace modelc {
namespace {

std::string ErrorText(int code) {
  char buffer[256];
  pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR*>(buffer), sizeof buffer);
  return buffer;
}

}  // namespace

absl::Status Splitter::Add(std::string_view pattern, bool literal) {
  std::string translated(pattern);
  if (!literal) {
    MODELC_ASSIGN_OR_RETURN(translated, FromOniguruma(pattern));
  }
  int error = 0;
  PCRE2_SIZE offset = 0;
  // Text is checked once as a whole, so single matches need not check it again.
  std::unique_ptr<pcre2_code, FreeCode> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                    PCRE2_UTF | (literal ? PCRE2_LITERAL : PCRE2_UCP), &error, &offset, nullptr));
  if (code == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("regex error at byte ", offset, ": ", ErrorText(error)));
  }
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // without it pcre2_match interprets: slower, same matches
  patterns_.push_back(std::move(code));
  return absl::OkStatus();
}

absl::Status Splitter::Split(std::string_view text, absl::FunctionRef<void(std::string_view)> piece) const {
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match(pcre2_match_data_create(1, nullptr),
                                                                       pcre2_match_data_free);
  if (match == nullptr) return absl::ResourceExhaustedError("out of memory for a regex match");
  return SplitFrom(0, text, match.get(), piece);
}

absl::Status Splitter::SplitFrom(size_t level, std::string_view text, pcre2_match_data* match,
                                 absl::FunctionRef<void(std::string_view)> piece) const {
  if (text.empty()) return absl::OkStatus();
  if (level == patterns_.size()) {
    piece(text);
    return absl::OkStatus();
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match);
  size_t done = 0;
  for (size_t from = 0; from < text.size();) {
    // The piece, not the whole text, is the subject: look-ahead must not see beyond it.
    const int code = pcre2_match(patterns_[level].get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                                 PCRE2_NO_UTF_CHECK, match, nullptr);
    if (code == PCRE2_ERROR_NOMATCH) break;
    if (code < 0) {
      return absl::ResourceExhaustedError(absl::StrCat("splitting the text failed near byte ", from, " of a piece of ",
                                                       text.size(), " bytes: ", ErrorText(code)));
    }
    const size_t begin = range[0], end = range[1];
    MODELC_RETURN_IF_ERROR(SplitFrom(level + 1, text.substr(done, begin - done), match, piece));
    MODELC_RETURN_IF_ERROR(SplitFrom(level + 1, text.substr(begin, end - begin), match, piece));
    done = end;
    from = end > begin || end == text.size() ? end : end + utf8::At(text, end).length;
  }
  return SplitFrom(level + 1, text.substr(done), match, piece);
}

}  // namespace modelc
