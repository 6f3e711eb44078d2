// wide_simd.cpp's counterpart for simd/avx512_vnni.cpp.
#include "tests/unit/cpu/wide_simd.h"

#define MODELC_SIMD_LANES 16
#define MODELC_SIMD_ISA Isa::kAvx2
#define MODELC_SIMD_FOURS

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

const Simd kWideFoursSimd = kSimd;

}  // namespace modelc::cpu
