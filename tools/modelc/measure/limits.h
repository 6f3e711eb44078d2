// What this machine can do at most, measured: reading memory, and float32 multiply-add.
#ifndef MODELC_TOOLS_MODELC_MEASURE_LIMITS_H_
#define MODELC_TOOLS_MODELC_MEASURE_LIMITS_H_

namespace modelc {

struct MachineLimits {
  double read_bytes_per_second = 0;
  double flops_per_second = 0;
};

// With so many threads; takes about half a second and, for its time, 256 MB.
MachineLimits MeasureLimits(unsigned threads);

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MEASURE_LIMITS_H_
