// One case on one kernel: right against the reference, the same alone as in a batch, the same for any number of
// threads.
#ifndef MODELC_PLUGINS_CONFORMANCE_CHECK_CASE_H_
#define MODELC_PLUGINS_CONFORMANCE_CHECK_CASE_H_

#include "plugins/conformance/case.h"
#include "plugins/conformance/conformance.h"

namespace modelc::conformance {

using MakeKernel = std::function<absl::StatusOr<DeviceKernel>(Device&)>;

// `single` is the same device with one thread, or null where threads mean nothing.
Result CheckCase(const Case& c, const std::string& kernel, const MakeKernel& make, Device& device, Device* single);
// Runs it often enough to time it.
Result TimeCase(const Case& c, const std::string& kernel, const MakeKernel& make, Device& device);

}  // namespace modelc::conformance

#endif  // MODELC_PLUGINS_CONFORMANCE_CHECK_CASE_H_
