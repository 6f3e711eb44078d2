#include "plugins/loader/elf.h"

#include <elf.h>

#include <cstring>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"

namespace modelc {

absl::Status CheckSharedLibrary(const std::filesystem::path& file) {
  std::error_code ec;
  if (!std::filesystem::exists(file, ec)) return absl::NotFoundError("no such file");
  if (!std::filesystem::is_regular_file(file, ec)) return absl::InvalidArgumentError("not a file");
  const uint64_t size = std::filesystem::file_size(file, ec);
  std::ifstream in(file, std::ios::binary);
  if (ec || !in) return absl::PermissionDeniedError("cannot be read; check its permissions");

  Elf64_Ehdr header{};
  if (!in.read(reinterpret_cast<char*>(&header), sizeof header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return absl::InvalidArgumentError("not a shared library (no ELF header)");
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN) {
    return absl::InvalidArgumentError("not a 64-bit little-endian shared library");
  }
  const auto within = [size](uint64_t offset, uint64_t bytes) { return offset <= size && bytes <= size - offset; };
  const auto truncated = [size] {
    return absl::InvalidArgumentError(
        absl::StrCat("truncated: its segments reach beyond the file's ", size, " bytes; copy or build it again"));
  };
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum == 0) {
    return absl::InvalidArgumentError("not a loadable library (no program headers)");
  }
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  const uint64_t table_bytes = segments.size() * sizeof(Elf64_Phdr);
  if (!within(header.e_phoff, table_bytes)) return truncated();
  in.seekg(static_cast<std::streamoff>(header.e_phoff));
  if (!in.read(reinterpret_cast<char*>(segments.data()), static_cast<std::streamsize>(table_bytes))) return truncated();
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_LOAD && !within(segment.p_offset, segment.p_filesz)) return truncated();
  }
  return absl::OkStatus();
}

}  // namespace modelc
