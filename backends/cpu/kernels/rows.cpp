#include "backends/cpu/kernels/rows.h"

#include <vector>

namespace modelc::cpu {

absl::Span<const KernelEntry> RowKernels() {
  static const std::vector<KernelEntry> all = [] {
    std::vector<KernelEntry> joined;
    for (auto family : {MoveKernels(), NormKernels(), RopeKernels(), QuantizeKernels()})
      joined.insert(joined.end(), family.begin(), family.end());
    return joined;
  }();
  return all;
}

}  // namespace modelc::cpu
