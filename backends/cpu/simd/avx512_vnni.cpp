// Compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni: as avx512.cpp, but for int8 index keys.
#include <immintrin.h>

#include "backends/cpu/simd/simd.h"

#define MODELC_SIMD_LANES 16
#define MODELC_SIMD_ISA Isa::kAvx512Vnni
#define MODELC_SIMD_FOURS

namespace modelc::cpu {
namespace {

constexpr int kScoreColumns = 4, kScoreKeys = 6;  // of a score tile
constexpr int kSumBlock = 8, kSumVectors = 2;    // heads and vectors of a weighted-sum block
constexpr int kIndexBlock = 12, kIndexVectors = 2;  // heads and vectors of an index block
#include "backends/cpu/simd/lanes.inl"
#include "backends/cpu/simd/rows.inl"
#include "backends/cpu/simd/attention.inl"
#include "backends/cpu/simd/table.inl"

}  // namespace

const Simd kAvx512VnniSimd = kSimd;

}  // namespace modelc::cpu
