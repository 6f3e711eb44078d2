// Regexes written for Oniguruma (the engine of Hugging Face `tokenizers`) in PCRE2's terms.
#ifndef MODELC_CORE_TEXT_ONIGURUMA_H_
#define MODELC_CORE_TEXT_ONIGURUMA_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace modelc {

// A PCRE2 pattern (UTF, UCP) that matches what `pattern` matches in Oniguruma with Unicode 16. InvalidArgument where it
// uses a class whose meaning differs and is not translated.
absl::StatusOr<std::string> FromOniguruma(std::string_view pattern);

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_ONIGURUMA_H_
