#include "core/program/program.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "boost/crc.hpp"
#include "core/program/schema.h"
#include "core/support/strings.h"

namespace modelc {

std::string_view Name(Size size) {
  static constexpr std::string_view kNames[kNumSizes] = {"T", "N", "S", "P", "C", "M"};
  return kNames[static_cast<int>(size)];
}

absl::StatusOr<int64_t> Program::Parameter(std::string_view name) const {
  auto it = parameters.find(std::string(name));
  if (it == parameters.end()) {
    auto append_key = [](std::string* out, const auto& parameter) { out->append(parameter.first); };
    return absl::NotFoundError(absl::StrCat("the program has no parameter '", Absl(name), "'; it has ",
                                            absl::StrJoin(parameters, ", ", append_key)));
  }
  constexpr double kExact = 9007199254740992.0;  // 2^53
  if (it->second != std::floor(it->second) || std::fabs(it->second) > kExact) {
    return absl::InvalidArgumentError(
        absl::StrCat("parameter '", Absl(name), "' is ", it->second, ", not a whole number"));
  }
  return static_cast<int64_t>(it->second);
}

uint32_t schema::Checksum(const Code& code) {
  boost::crc_32_type crc;
  crc.process_bytes(code.description.data(), code.description.size());
  crc.process_bytes(code.image.data(), code.image.size());
  return crc.checksum();
}

const Entry* Program::FindEntry(std::string_view name) const {
  for (const Entry& entry : entries) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

}  // namespace modelc
