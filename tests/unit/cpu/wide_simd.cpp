// The sixteen-lane loops of simd/avx512.cpp compiled for AVX2, so that their arithmetic is tested on a machine that has
// no AVX-512. What stays untested there is the compiler's AVX-512 code.
#include "tests/unit/cpu/wide_simd.h"

#define MODELC_SIMD_LANES 16
#define MODELC_SIMD_ISA Isa::kAvx2

namespace modelc::cpu {
namespace {

constexpr int kScoreColumns = 4, kScoreKeys = 6;  // of a score tile
constexpr int kSumBlock = 8, kSumVectors = 2;
constexpr int kIndexBlock = 12, kIndexVectors = 2;
#include "backends/cpu/simd/lanes.inl"
#include "backends/cpu/simd/rows.inl"
#include "backends/cpu/simd/attention.inl"
#include "backends/cpu/simd/table.inl"

}  // namespace

const Simd kWideSimd = kSimd;

}  // namespace modelc::cpu
