// matmul_avx512.cpp compiled with -mavx512vnni too: products in integers sum four at a time.
#define MODELC_SIMD_FOURS
#define kMatmulAvx512 kMatmulAvx512Vnni
#include "backends/cpu/ukernels/matmul_avx512.cpp"
