// Compiled with -mavx2 -mfma: 16 registers.
#include <immintrin.h>

#include "backends/cpu/ukernels/matmul.h"

#define MODELC_SIMD_LANES 8

namespace modelc::cpu {
namespace {

constexpr int kTileX = 4, kTileW = 3;  // dot's register tile: rows of x by rows of weights
constexpr int kTileRows = 2;           // accumulate's: rows of x by 4 vectors of columns
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
#include "backends/cpu/ukernels/pairs.inl"
//
#include "backends/cpu/ukernels/table.inl"

}  // namespace

const MatmulUkernels kMatmulAvx2 = kUkernels;

}  // namespace modelc::cpu
