// Whole files as text.
#ifndef MODELC_CORE_SUPPORT_FILE_H_
#define MODELC_CORE_SUPPORT_FILE_H_

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace modelc {

// NotFound names the path.
inline absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path) {
  std::error_code ignored;
  std::ostringstream text;
  if (!std::filesystem::is_directory(path, ignored)) {
    std::ifstream in(path, std::ios::binary);
    text << in.rdbuf();  // fails softly for an empty file
    if (in.is_open() && !text.bad()) return std::move(text).str();
  }
  return absl::NotFoundError(absl::StrCat("cannot read '", path.string(), "'; check the path"));
}

inline absl::Status CannotWrite(const std::filesystem::path& path) {
  return absl::UnavailableError(absl::StrCat("cannot write '", path.string(), "'; check the folder and the space left"));
}

// Writes a whole file or nothing; what was there stays until then. Unavailable names the path.
inline absl::Status WriteFile(const std::filesystem::path& path, const std::string& text) {
  const std::filesystem::path part = absl::StrCat(path.string(), ".", getpid(), ".part");
  std::ofstream out(part, std::ios::binary);
  out << text;
  out.close();
  std::error_code failed;
  if (out) std::filesystem::rename(part, path, failed);
  if (out && !failed) return absl::OkStatus();
  std::filesystem::remove(part, failed);
  return CannotWrite(path);
}

}  // namespace modelc

#endif  // MODELC_CORE_SUPPORT_FILE_H_
