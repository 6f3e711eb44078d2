#include "backends/cpu/kernels/indexer.h"

namespace modelc::cpu {

absl::Span<const KernelEntry> IndexerKernels() {
  static constexpr KernelEntry kEntries[] = {
      {"dsa.append", "dsa.append", "", 0, MakeIndexAppend},
      {"dsa.logits", "dsa.logits", "", 0, MakeIndexLogits},
      {"dsa.block_scores", "dsa.block_scores", "", 0, MakeBlockScores},
      {"dsa.window_scores", "dsa.window_scores", "", 0, MakeWindowScores},
      {"dsa.select", "dsa.select", "", 0, MakeIndexSelect},
      {"dsa.logits_select", "dsa.logits_select", "", 0, MakeIndexLogitsSelect},
  };
  return kEntries;
}

}  // namespace modelc::cpu
