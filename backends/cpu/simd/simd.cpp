#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {

const Simd& SimdFor(Isa isa) {
  // Slowest first; the last supported row wins.
  static const Simd* const kTable[] = {
      &kPortableSimd,
#if defined(__x86_64__)
      &kAvx2Simd,
      &kAvx512Simd,
      &kAvx512VnniSimd,
#endif
  };
  const Simd* best = kTable[0];
  for (const Simd* row : kTable)
    if (row->isa <= isa) best = row;
  return *best;
}

}  // namespace modelc::cpu
