// Schedules found by measuring, kept between runs. Free of MLIR.
#ifndef MODELC_CORE_COMPILER_TUNING_H_
#define MODELC_CORE_COMPILER_TUNING_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace modelc {

/// Changes when equal inputs give other programs.
std::string_view CompilerVersion();

/// One op's schedule, for those that are alike: on this device, of this name and these sizes, by this compiler.
struct TunedSchedule {
  std::string device;   // Device::info().name
  std::string compiler; // CompilerVersion()
  std::string op;       // "dsa.logits"
  std::string shape;    // "?x64x128 ?x64 format=f8": static sizes and what of the attributes counts
  std::string schedule; // "#lm.dsa<code = generated, rows = 8>"
  double ratio = 1;     // time with it over time without, mean over what was measured

  bool SameKey(const TunedSchedule &o) const {
    return device == o.device && compiler == o.compiler && op == o.op && shape == o.shape;
  }
};

/// Reads a record: a JSON object `{"schedules": [...]}` with the fields above. InvalidArgument names the file and the
/// entry; NotFound where there is no file.
absl::StatusOr<std::vector<TunedSchedule>> ReadTuning(const std::filesystem::path &file);

/// Writes a record, the whole or nothing; makes the folder.
absl::Status WriteTuning(const std::filesystem::path &file, const std::vector<TunedSchedule> &schedules);

} // namespace modelc

#endif // MODELC_CORE_COMPILER_TUNING_H_
