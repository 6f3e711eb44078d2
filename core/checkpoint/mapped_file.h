// A read-only mapping of a whole regular file. When the file is cut short while it is mapped, the next read ends the
// process as bus_error.h says.
#ifndef MODELC_CORE_CHECKPOINT_MAPPED_FILE_H_
#define MODELC_CORE_CHECKPOINT_MAPPED_FILE_H_

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/checkpoint/bus_error.h"

namespace modelc {

class MappedFile {
 public:
  // Errors: not there, not a regular file, not readable. An empty file maps to no bytes.
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  absl::Span<const std::byte> bytes() const { return bytes_; }

  void ReadAhead() const;
  // Drops from memory the pages that lie wholly in `part`; they are read from the file again when touched.
  void Drop(absl::Span<const std::byte> part) const;

 private:
  MappedFile(std::filesystem::path path, absl::Span<const std::byte> bytes);
  const std::filesystem::path path_;
  const absl::Span<const std::byte> bytes_;
  std::optional<BusErrorReport> report_;
};

}  // namespace modelc

#endif  // MODELC_CORE_CHECKPOINT_MAPPED_FILE_H_
