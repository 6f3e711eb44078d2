// Who may ask, and how often. Keys are kept as SHA-256 digests and compared in constant time.
#ifndef MODELC_CORE_SERVING_API_KEYS_H_
#define MODELC_CORE_SERVING_API_KEYS_H_

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace modelc {

// Who asked. Callers with different salts share neither cached prompts nor a rate limit.
struct Caller {
  std::string salt;
};

class ApiKeys {
 public:
  // Without keys everybody may ask.
  ApiKeys() = default;
  // A file of one key a line, optionally followed by a space and a name for people to read; # begins a comment.
  // InvalidArgument names the line.
  static absl::StatusOr<ApiKeys> Load(const std::filesystem::path& file);

  bool empty() const { return digests_.empty(); }
  // From the Authorization header ("Bearer KEY"). Unauthenticated when it names no known key.
  absl::StatusOr<Caller> Check(std::string_view authorization) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  std::vector<Digest> digests_;
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_API_KEYS_H_
