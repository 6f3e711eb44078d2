// Passes over IR of any level, as `modelc opt` runs them. Free of MLIR.
#ifndef MODELC_CORE_COMPILER_OPT_H_
#define MODELC_CORE_COMPILER_OPT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/compiler/compiler.h"

namespace modelc {

struct OptOptions {
  std::string file = "-";       // the IR; "-" reads standard input
  std::string from, until;      // passes of the compiler's pipeline, both run; none where both are empty
  std::string pass_pipeline;    // MLIR's syntax, instead of from and until
  CompileOptions compile;       // what shapes the pipeline; its configs are files here, and manifest is not looked at
  std::string weights;          // checkpoint folder to check weights against
  std::string manifest, tuning; // files
  std::vector<std::string> pass_plugins, dialect_plugins; // libraries
  bool split_input_file = false, verify_diagnostics = false, list_passes = false;
  bool timing = false, print_ir_after_all = false;
  bool run_reproducer = false;
  std::string crash_reproducer; // file for the IR and passes that failed

  // The device to compile for, asked where a pass wants a manifest and none is named.
  struct Target {
    std::string manifest, backend;
  };
  std::function<absl::StatusOr<Target>()> target;
};

// The command's exit status, what it printed before: IR on stdout, diagnostics on stderr. A status for options that
// cannot be followed.
absl::StatusOr<int> RunOpt(const OptOptions &);

} // namespace modelc

#endif // MODELC_CORE_COMPILER_OPT_H_
