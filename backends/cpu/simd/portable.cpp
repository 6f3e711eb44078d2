// Compiled for the base instruction set of any processor.
#include "backends/cpu/simd/simd.h"

#define MODELC_SIMD_LANES 4
#define MODELC_SIMD_ISA Isa::kPortable

namespace modelc::cpu {
namespace {

constexpr int kScoreBlock = 4;                   // keys of a score block, by 2 vectors of columns
constexpr int kSumBlock = 4, kSumVectors = 2;    // heads and vectors of a weighted-sum block
constexpr int kIndexBlock = 2, kIndexVectors = 4;  // heads and vectors of an index block
#include "backends/cpu/simd/lanes.inl"
#include "backends/cpu/simd/rows.inl"
#include "backends/cpu/simd/attention.inl"
#include "backends/cpu/simd/table.inl"

}  // namespace

const Simd kPortableSimd = kSimd;

}  // namespace modelc::cpu
