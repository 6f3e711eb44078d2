// Compiled with -mavx512{f,bw,dq,vl} -mfma: 32 registers. matmul_avx512_vnni.cpp includes it under a name of its own.
#include <immintrin.h>

#include "backends/cpu/ukernels/matmul.h"

#define MODELC_SIMD_LANES 16

namespace modelc::cpu {
namespace {

constexpr int kTileX = 6, kTileW = 4;  // dot's register tile: rows of x by rows of weights
constexpr int kTileRows = 5;           // accumulate's: rows of x by 4 vectors of columns
#include "backends/cpu/simd/lanes.inl"
//
#include "backends/cpu/ukernels/weights.inl"
//
#include "backends/cpu/ukernels/pack.inl"
//
#include "backends/cpu/ukernels/accumulate.inl"
#include "backends/cpu/ukernels/dot.inl"
//
#include "backends/cpu/ukernels/integers.inl"
//
#ifdef MODELC_SIMD_FOURS
#include "backends/cpu/ukernels/fours.inl"
#else
#include "backends/cpu/ukernels/pairs.inl"
#endif
//
#include "backends/cpu/ukernels/table.inl"

}  // namespace

const MatmulUkernels kMatmulAvx512 = kUkernels;

}  // namespace modelc::cpu
