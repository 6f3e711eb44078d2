// The program's weights on a device.
#ifndef MODELC_CORE_RUNTIME_EXECUTOR_WEIGHTS_H_
#define MODELC_CORE_RUNTIME_EXECUTOR_WEIGHTS_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/program/program.h"
#include "core/runtime/executor/executor.h"
#include "plugins/loader/plugin.h"

namespace modelc {

class BoundWeights {
 public:
  // Binds every (weight, layer) that a launch of the program names. On a device of host memory a tensor stays where the
  // checkpoint maps it; elsewhere, and where experts lie apart, it is copied, and the mapped pages are given back. A weight
  // with a format is converted to it, by as many threads as the device has, and takes no second copy of itself.
  // Errors name the tensor: NotFound; InvalidArgument for another dtype or shape, a scale that is not finite and
  // positive, a NaN in e4m3, or a value to convert that is not finite; ResourceExhausted when the device is full.
  static absl::StatusOr<BoundWeights> Bind(const Program& program, const Checkpoint& checkpoint, Device& device,
                                           const LoadProgress& progress);

  // `layer` is ignored by weights without "{layer}".
  const modelc_tensor& Tensor(uint32_t weight, int64_t layer) const;
  uint64_t bytes() const { return bytes_; }  // scales included

 private:
  // (weight, layer), layer -1 where the name has no "{layer}".
  std::map<std::pair<uint32_t, int64_t>, modelc_tensor> tensors_;
  std::vector<bool> per_layer_;  // of each weight
  std::vector<DeviceBuffer> buffers_;
  uint64_t bytes_ = 0;
};

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_EXECUTOR_WEIGHTS_H_
