// The sixteen-lane loops of simd/avx512.cpp compiled for AVX2, so that their arithmetic is tested on a machine that has
// no AVX-512. What stays untested there is the compiler's AVX-512 code.
#include "tests/unit/cpu/wide_simd.h"

#define MODELC_SIMD_ISA Isa::kAvx2
#define kAvx512Simd kWideSimd
#include "backends/cpu/simd/avx512.cpp"
