//===- Config.h - config.json texts as one object ---------------*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_RESOLVE_CONFIG_H
#define MODELC_CORE_COMPILER_RESOLVE_CONFIG_H

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace modelc {

/// Merges config texts (later keys win, objects merge). InvalidArgument names the text and position that is not JSON.
absl::StatusOr<nlohmann::json> mergeConfigs(const std::vector<std::string> &texts);

/// The value at a dotted key ("rope_scaling.factor"); null where any part is absent. Where an outer part is no
/// object but a value ("rope_scaling": 4), that value, so that whoever wants another complains.
nlohmann::json lookUp(const nlohmann::json &config, const std::string &dottedKey);

} // namespace modelc

#endif // MODELC_CORE_COMPILER_RESOLVE_CONFIG_H
