// avx512.cpp compiled with -mavx512vnni too: four products of int8 index keys are summed at a time.
#define MODELC_SIMD_FOURS
#define MODELC_SIMD_ISA Isa::kAvx512Vnni
#define kAvx512Simd kAvx512VnniSimd
#include "backends/cpu/simd/avx512.cpp"
