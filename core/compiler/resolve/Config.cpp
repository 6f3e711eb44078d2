#include "core/compiler/resolve/Config.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace modelc {

absl::StatusOr<nlohmann::json> mergeConfigs(const std::vector<std::string> &texts) {
  nlohmann::json merged = nlohmann::json::object();
  for (size_t i = 0; i < texts.size(); ++i) {
    nlohmann::json config = nlohmann::json::parse(texts[i], nullptr, /*allow_exceptions=*/false);
    if (!config.is_object())
      return absl::InvalidArgumentError(
          absl::StrCat("config ", i + 1, " of ", texts.size(), " is not a JSON object; give a config.json"));
    merged.merge_patch(config);
  }
  return merged;
}

nlohmann::json lookUp(const nlohmann::json &config, const std::string &dottedKey) {
  const nlohmann::json *at = &config;
  for (const std::string &part : std::vector<std::string>(absl::StrSplit(dottedKey, '.'))) {
    if (!at->is_object())
      return *at;
    if (!at->contains(part))
      return nullptr;
    at = &(*at)[part];
  }
  return *at;
}

} // namespace modelc
