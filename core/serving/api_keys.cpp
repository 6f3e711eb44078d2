#include "core/serving/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/serving/error.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

std::array<unsigned char, 32> Sha256(std::string_view text) {
  std::array<unsigned char, 32> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

}  // namespace

absl::StatusOr<ApiKeys> ApiKeys::Load(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in || std::filesystem::is_directory(file)) {
    return absl::NotFoundError(absl::StrCat("cannot read the API keys '", file.string(), "'; check the path"));
  }
  ApiKeys keys;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    const std::string_view text = Std(absl::StripAsciiWhitespace(line));
    if (text.empty() || text.front() == '#') continue;
    const std::string_view key = text.substr(0, text.find_first_of(" \t"));
    if (key.size() < 8) {
      return absl::InvalidArgumentError(
          absl::StrCat(file.string(), ":", number, ": a key has at least 8 characters; make one with 'openssl rand -hex 24'"));
    }
    const Digest digest = Sha256(key);
    if (std::find(keys.digests_.begin(), keys.digests_.end(), digest) != keys.digests_.end()) {
      return absl::InvalidArgumentError(absl::StrCat(file.string(), ":", number, ": this key is there twice"));
    }
    keys.digests_.push_back(digest);
  }
  if (keys.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(file.string(), ": no key in it; nobody could ask anything"));
  }
  return keys;
}

absl::StatusOr<Caller> ApiKeys::Check(std::string_view authorization) const {
  constexpr std::string_view kScheme = "bearer ";
  if (empty()) return Caller{};
  if (!absl::StartsWithIgnoreCase(Absl(authorization), Absl(kScheme))) {
    return WithCode(absl::UnauthenticatedError("an API key is needed: send 'Authorization: Bearer KEY'"), "missing_api_key");
  }
  authorization.remove_prefix(kScheme.size());
  const Digest digest = Sha256(Std(absl::StripAsciiWhitespace(Absl(authorization))));
  bool known = false;
  for (const Digest& key : digests_) known |= CRYPTO_memcmp(key.data(), digest.data(), digest.size()) == 0;
  if (!known) return WithCode(absl::UnauthenticatedError("this API key is not known"), "invalid_api_key");
  return Caller{absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()))};
}

}  // namespace modelc
