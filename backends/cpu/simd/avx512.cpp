// Compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl. Blocks of 24 accumulators: 32 registers. avx512_vnni.cpp, and
// tests that run these loops on AVX2, include it with names of their own.
#include <immintrin.h>

#include "backends/cpu/simd/simd.h"

#define MODELC_SIMD_LANES 16
#ifndef MODELC_SIMD_ISA
#define MODELC_SIMD_ISA Isa::kAvx512
#endif

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

const Simd kAvx512Simd = kSimd;

}  // namespace modelc::cpu
