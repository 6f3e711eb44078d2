#ifndef MODELC_TESTS_UNIT_CPU_WIDE_SIMD_H_
#define MODELC_TESTS_UNIT_CPU_WIDE_SIMD_H_

#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {

extern const Simd kWideSimd, kWideFoursSimd;

}  // namespace modelc::cpu

#endif  // MODELC_TESTS_UNIT_CPU_WIDE_SIMD_H_
