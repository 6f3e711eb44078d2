#include "core/compiler/tuning.h"

#include "absl/strings/str_cat.h"
#include "core/support/file.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "nlohmann/json.hpp"

namespace fs = std::filesystem;

namespace modelc {
namespace {

constexpr std::pair<const char *, std::string TunedSchedule::*> kTexts[] = {{"device", &TunedSchedule::device},
                                                                            {"compiler", &TunedSchedule::compiler},
                                                                            {"op", &TunedSchedule::op},
                                                                            {"shape", &TunedSchedule::shape},
                                                                            {"schedule", &TunedSchedule::schedule}};

} // namespace

std::string_view CompilerVersion() { return "3"; } // raise it when equal inputs give other programs

absl::StatusOr<std::vector<TunedSchedule>> ReadTuning(const fs::path &file) {
  MODELC_ASSIGN_OR_RETURN(const std::string text, ReadFile(file));
  auto wrong = [&](std::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("tuning record '", file.string(), "': ", Absl(what), "; delete it and run modelc tune again"));
  };
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("schedules") || !json["schedules"].is_array())
    return wrong("is no JSON object with a list 'schedules'");
  std::vector<TunedSchedule> schedules;
  for (const nlohmann::json &entry : json["schedules"]) {
    TunedSchedule tuned;
    for (const auto &[name, field] : kTexts) {
      if (!entry.is_object() || !entry.contains(name) || !entry[name].is_string())
        return wrong(absl::StrCat("entry ", schedules.size(), " has no text '", name, "'"));
      tuned.*field = entry[name].get<std::string>();
    }
    if (entry.contains("ratio") && entry["ratio"].is_number())
      tuned.ratio = entry["ratio"].get<double>();
    schedules.push_back(std::move(tuned));
  }
  return schedules;
}

absl::Status WriteTuning(const fs::path &file, const std::vector<TunedSchedule> &schedules) {
  nlohmann::json list = nlohmann::json::array();
  for (const TunedSchedule &tuned : schedules) {
    nlohmann::json entry = {{"ratio", tuned.ratio}};
    for (const auto &[name, field] : kTexts)
      entry[name] = tuned.*field;
    list.push_back(std::move(entry));
  }
  std::error_code failed; // which writing then says
  if (file.has_parent_path())
    fs::create_directories(file.parent_path(), failed);
  return WriteFile(file, nlohmann::json{{"schedules", std::move(list)}}.dump(1) + "\n");
}

} // namespace modelc
