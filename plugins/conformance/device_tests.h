// What the ABI asks of devices, buffers, streams and submit, whatever the kernels.
#ifndef MODELC_PLUGINS_CONFORMANCE_DEVICE_TESTS_H_
#define MODELC_PLUGINS_CONFORMANCE_DEVICE_TESTS_H_

#include <functional>
#include <vector>

#include "plugins/conformance/case.h"
#include "plugins/conformance/conformance.h"

namespace modelc::conformance {

// A kernel with a case it claims, for tests that must run something.
struct Sample {
  std::string kernel;
  const Case* c;
};

// `samples`: one for every op the plugin has.
std::vector<Result> RunDeviceTests(const Plugin& plugin, Device& device, const Options& options,
                                   const std::vector<Sample>& samples,
                                   const std::function<void(const Result&)>& progress);

}  // namespace modelc::conformance

#endif  // MODELC_PLUGINS_CONFORMANCE_DEVICE_TESTS_H_
