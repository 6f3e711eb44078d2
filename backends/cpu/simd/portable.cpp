// Compiled for the base instruction set of any processor.
#include "backends/cpu/simd/simd.h"

#define MODELC_SIMD_LANES 4
#define MODELC_SIMD_ISA Isa::kPortable

namespace modelc::cpu {
namespace {

constexpr int kScoreColumns = 4, kScoreKeys = 3;  // of a score tile
constexpr int kSumBlock = 4, kSumVectors = 2;    // heads and vectors of a weighted-sum block
constexpr int kIndexBlock = 2, kIndexVectors = 4;  // heads and vectors of an index block
#include "backends/cpu/simd/lanes.inl"
#include "backends/cpu/simd/rows.inl"
#include "backends/cpu/simd/attention.inl"
#include "backends/cpu/simd/table.inl"

}  // namespace

const Simd kPortableSimd = kSimd;

}  // namespace modelc::cpu
