// The words of the program file that writer and reader share.
#ifndef MODELC_CORE_PROGRAM_SCHEMA_H_
#define MODELC_CORE_PROGRAM_SCHEMA_H_

#include <string_view>

#include "core/program/program.h"

namespace modelc::schema {

// The first key of a file; its value is the version of the format.
inline constexpr std::string_view kMagic = "modelc_program";
inline constexpr int kVersion = 2;

// Indexed by the enums of program.h.
inline constexpr std::string_view kOperandKinds[] = {"none", "buffer", "input", "weight", "constant", "cache"};
inline constexpr std::string_view kInputs[] = {"ids", "pos", "seq", "pages", "wanted", "hidden"};
inline constexpr std::string_view kCacheKinds[] = {"latent", "index"};
inline constexpr std::string_view kWhens[] = {"always", "context_above", "context_at_most"};

// Over description and image: damaged code must not run.
uint32_t Checksum(const Code& code);

}  // namespace modelc::schema

#endif  // MODELC_CORE_PROGRAM_SCHEMA_H_
