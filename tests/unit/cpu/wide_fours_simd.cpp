// The same with the sums of four products that simd/avx512_vnni.cpp has.
#include "tests/unit/cpu/wide_simd.h"

#define MODELC_SIMD_FOURS
#define MODELC_SIMD_ISA Isa::kAvx2
#define kAvx512Simd kWideFoursSimd
#include "backends/cpu/simd/avx512.cpp"
