#include "tools/modelc/measure/report.h"

#include "absl/strings/str_cat.h"
#include "core/support/file.h"
#include "core/support/status.h"

namespace modelc {

absl::Status CheckReportName(const std::filesystem::path& name) {
  if (name.empty() || std::filesystem::is_directory(std::filesystem::absolute(name).parent_path())) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--out ", name.string(), ": no such folder"));
}

absl::Status WriteReport(const std::filesystem::path& name, const nlohmann::json& report, const std::vector<Plot>& plots) {
  if (name.empty()) return absl::OkStatus();
  MODELC_RETURN_IF_ERROR(WriteFile(name.string() + ".json", report.dump(1) + "\n"));
  return WriteFile(name.string() + ".svg", Svg(plots));
}

}  // namespace modelc
