// Checks a file before the dynamic linker maps it: the linker trusts the sizes in an ELF header, so touching a
// truncated library ends the process with SIGBUS.
#ifndef MODELC_PLUGINS_LOADER_ELF_H_
#define MODELC_PLUGINS_LOADER_ELF_H_

#include <filesystem>

#include "absl/status/status.h"

namespace modelc {

// OK when the file is a 64-bit little-endian ELF shared library whose segments lie within it.
absl::Status CheckSharedLibrary(const std::filesystem::path& file);

}  // namespace modelc

#endif  // MODELC_PLUGINS_LOADER_ELF_H_
