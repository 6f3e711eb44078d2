// What this machine can do at most, measured: reading memory, and multiply-add of float32 and of small integers.
#ifndef MODELC_TOOLS_MODELC_MEASURE_LIMITS_H_
#define MODELC_TOOLS_MODELC_MEASURE_LIMITS_H_

namespace modelc {

struct MachineLimits {
  double read_bytes_per_second = 0;
  double flops_per_second = 0;
  double int_ops_per_second = 0;  // of bytes by fours where the processor has that (VNNI), else of 16 bits by pairs
};

// With so many threads; takes about a second and, for its time, 256 MB.
MachineLimits MeasureLimits(unsigned threads);

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MEASURE_LIMITS_H_
