// What a command writes for --out NAME: its report, NAME.json, and a picture of it, NAME.svg.
#ifndef MODELC_TOOLS_MODELC_MEASURE_REPORT_H_
#define MODELC_TOOLS_MODELC_MEASURE_REPORT_H_

#include <filesystem>
#include <vector>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"
#include "tools/modelc/measure/plot.h"

namespace modelc {

// To be asked before the work: InvalidArgument where NAME's folder is not there. An empty name is none.
absl::Status CheckReportName(const std::filesystem::path& name);
// Nothing for an empty name.
absl::Status WriteReport(const std::filesystem::path& name, const nlohmann::json& report, const std::vector<Plot>& plots);

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MEASURE_REPORT_H_
