// The AVX-512 ukernels' source for a processor that has only AVX2: the compiler splits each vector in two. Semantics
// (lanes, orders, tiles, tails) are those of the AVX-512 build; instructions are not.
#define kMatmulAvx512 kMatmulAvx512OnAvx2
#include "backends/cpu/ukernels/matmul_avx512.cpp"
