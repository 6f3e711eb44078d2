// Runs the op table and the device tests against a plugin: what `modelc plugin check` prints. Depends on the ABI, the
// loader and the manifest alone, so it holds for any backend.
#ifndef MODELC_PLUGINS_CONFORMANCE_CONFORMANCE_H_
#define MODELC_PLUGINS_CONFORMANCE_CONFORMANCE_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "plugins/loader/plugin.h"

namespace modelc::conformance {

enum class Outcome : uint8_t {
  kPassed,
  kFailed,
  kUnsupported,  // the plugin lists no kernel for the case: a gap, not a fault
};

struct Result {
  std::string op;      // row of ops.md, or "device" and "manifest" for what belongs to no op
  std::string name;    // the case
  std::string kernel;  // the manifest's name; empty without one
  Outcome outcome = Outcome::kPassed;
  std::string detail;  // why it failed or is not supported
  double nmse = 0;     // of the float outputs
  double seconds = 0;  // perf: of one run, the fastest of several
  double flops = 0, bytes = 0;
};

// A tensor's dtype (empty: left out) and sizes, those known at run time alone by name.
struct CodeTensor {
  std::string dtype;
  std::vector<std::string> dims;
};
// Image and description of generated code (plugins/abi/codegen.md) for an op; Unimplemented where there is none.
struct CodeFor {
  std::string image, description;
};
using Generate =
    std::function<absl::StatusOr<CodeFor>(const std::string& manifest, const std::string& op,
                                          const std::string& attributes_json, const std::vector<CodeTensor>& tensors)>;

struct Options {
  uint32_t ordinal = 0;
  uint32_t threads = 0;  // 0: the plugin's choice
  std::string op;        // only this op's cases; "device" for the device tests
  Generate generate;     // set: generated code is checked, not the plugin's kernels
  bool perf = false;     // time the cases of the published model's sizes instead of checking the small ones
};

// Every result in the order of the table, shown to `progress` as it comes. An error only where the device cannot be
// opened or its manifest not be read; everything later is a result.
absl::StatusOr<std::vector<Result>> Run(const Plugin& plugin, const Options& options,
                                        const std::function<void(const Result&)>& progress);

}  // namespace modelc::conformance

#endif  // MODELC_PLUGINS_CONFORMANCE_CONFORMANCE_H_
