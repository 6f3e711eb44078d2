// Debian's abseil is built with its own string_view, which does not convert to or from std::string_view. These two do.
#ifndef MODELC_CORE_SUPPORT_STRINGS_H_
#define MODELC_CORE_SUPPORT_STRINGS_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace modelc {

// For absl::StrCat and absl::Status messages.
inline absl::string_view Absl(std::string_view s) { return absl::string_view(s.data(), s.size()); }
inline std::string_view Std(absl::string_view s) { return std::string_view(s.data(), s.size()); }

}  // namespace modelc

#endif  // MODELC_CORE_SUPPORT_STRINGS_H_
