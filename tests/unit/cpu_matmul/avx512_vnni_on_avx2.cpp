// The same of the ukernels with VNNI: the sums of four products are worked out in 32-bit lanes.
#define kMatmulAvx512Vnni kMatmulAvx512VnniOnAvx2
#include "backends/cpu/ukernels/matmul_avx512_vnni.cpp"
