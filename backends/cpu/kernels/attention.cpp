#include "backends/cpu/kernels/attention.h"

#include <vector>

namespace modelc::cpu {

absl::Span<const KernelEntry> AttentionKernels() {
  static const std::vector<KernelEntry> all = {
      {"mla.append", "mla.append", "", 0, MakeLatentAppend},
      {"mla.attend_latent", "mla.attend_latent", "", 0, MakeLatentAttend},
      {"mla.attend_expanded", "mla.attend_expanded", "", 0, MakeExpandedAttend},
  };
  return all;
}

}  // namespace modelc::cpu
