#include "core/checkpoint/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace modelc {

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::Open(const std::filesystem::path& path) {
  const auto fail = [&] {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read '", path.string(), "'"));
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not hang us
  if (fd < 0) return fail();
  struct stat info;
  absl::Status status;
  void* data = nullptr;
  if (fstat(fd, &info) != 0) {
    status = fail();
  } else if (!S_ISREG(info.st_mode)) {
    status = absl::InvalidArgumentError(absl::StrCat("'", path.string(), "' is not a regular file"));
  } else if (info.st_size > 0) {
    data = mmap(nullptr, info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) status = fail();
  }
  close(fd);
  if (!status.ok()) return status;
  const size_t size = data == nullptr ? 0 : static_cast<size_t>(info.st_size);
  return std::unique_ptr<MappedFile>(new MappedFile(path, {static_cast<const std::byte*>(data), size}));
}

MappedFile::MappedFile(std::filesystem::path path, absl::Span<const std::byte> bytes)
    : path_(std::move(path)), bytes_(bytes) {
  if (!bytes_.empty()) report_.emplace(bytes_, path_.native());
}

MappedFile::~MappedFile() {
  report_.reset();
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

void MappedFile::ReadAhead() const {
  if (!bytes_.empty()) madvise(const_cast<std::byte*>(bytes_.data()), bytes_.size(), MADV_WILLNEED);
}

void MappedFile::Drop(absl::Span<const std::byte> part) const {
  const uintptr_t page = sysconf(_SC_PAGESIZE);
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const uintptr_t end = reinterpret_cast<uintptr_t>(part.data() + part.size()) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace modelc
