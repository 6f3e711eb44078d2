// Compiled with -mavx2 -mfma -mf16c. Blocks of 12 accumulators: 16 registers.
#include <immintrin.h>

#include "backends/cpu/simd/simd.h"

#define MODELC_SIMD_LANES 8
#define MODELC_SIMD_ISA Isa::kAvx2

namespace modelc::cpu {
namespace {

constexpr int kScoreColumns = 4, kScoreKeys = 3;  // of a score tile
constexpr int kSumBlock = 6, kSumVectors = 2;    // heads and vectors of a weighted-sum block
constexpr int kIndexBlock = 4, kIndexVectors = 2;  // heads and vectors of an index block
#include "backends/cpu/simd/lanes.inl"
#include "backends/cpu/simd/rows.inl"
#include "backends/cpu/simd/attention.inl"
#include "backends/cpu/simd/table.inl"

}  // namespace

const Simd kAvx2Simd = kSimd;

}  // namespace modelc::cpu
