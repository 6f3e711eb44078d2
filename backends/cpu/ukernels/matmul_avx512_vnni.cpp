// Compiled with -mavx512{f,bw,dq,vl,vnni} -mfma: as matmul_avx512.cpp, but for products in integers.
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
#include "backends/cpu/ukernels/fours.inl"
//
#include "backends/cpu/ukernels/table.inl"

}  // namespace

const MatmulUkernels kMatmulAvx512Vnni = kUkernels;

}  // namespace modelc::cpu
