// Narrow floating-point formats as float32, one value at a time: for loading and checks, not for kernels.
#ifndef MODELC_CORE_SUPPORT_FLOATS_H_
#define MODELC_CORE_SUPPORT_FLOATS_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace modelc {

inline float FromBF16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

// OCP e4m3fn: bias 7, no infinity, 0x7f and 0xff are NaN.
inline float FromF8E4M3(uint8_t bits) {
  const int exponent = (bits >> 3) & 15, mantissa = bits & 7;
  if (exponent == 15 && mantissa == 7) return std::numeric_limits<float>::quiet_NaN();
  const float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                        : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return bits & 0x80 ? -magnitude : magnitude;
}

}  // namespace modelc

#endif  // MODELC_CORE_SUPPORT_FLOATS_H_
