#include "backends/cpu/kernels/moe.h"

namespace modelc::cpu {

absl::Span<const KernelEntry> MoEKernels() {
  static constexpr KernelEntry kEntries[] = {
      {"moe.route", "moe.route", "", 0, MakeRoute},
      {"moe.dispatch", "moe.dispatch", "", 0, MakeDispatch},
      {"moe.combine", "moe.combine", "", 0, MakeCombine},
  };
  return kEntries;
}

}  // namespace modelc::cpu
