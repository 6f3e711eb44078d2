// A case's tensors on a device, each between guard bytes, so that a kernel writing outside its tensor is seen.
#ifndef MODELC_PLUGINS_CONFORMANCE_PLACED_H_
#define MODELC_PLUGINS_CONFORMANCE_PLACED_H_

#include <vector>

#include "absl/status/statusor.h"
#include "plugins/conformance/case.h"
#include "plugins/loader/plugin.h"

namespace modelc::conformance {

class Placed {
 public:
  static absl::StatusOr<Placed> Upload(Device& device, const Tensors& tensors);

  // In the order of the tensors; tests of bad arguments change them.
  std::vector<modelc_tensor>& views() { return views_; }
  modelc_command Command(const DeviceKernel& kernel) const {
    return {kernel.get(), views_.data(), static_cast<uint32_t>(views_.size())};
  }
  // Writes the tensors uploaded once more.
  absl::Status Restore(Device& device, const Tensors& tensors);
  // Waits for the device and brings outputs back into `tensors` (those uploaded). An error names an input that changed
  // or a tensor whose surroundings did.
  absl::Status Download(Device& device, Tensors& tensors) const;

 private:
  std::vector<DeviceBuffer> buffers_, scales_;  // one each per tensor; empty where left out
  std::vector<modelc_tensor> views_;
};

// Uploads, runs one command and downloads.
absl::Status RunOnce(Device& device, const DeviceKernel& kernel, Tensors& tensors);

}  // namespace modelc::conformance

#endif  // MODELC_PLUGINS_CONFORMANCE_PLACED_H_
