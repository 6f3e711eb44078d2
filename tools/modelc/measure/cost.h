// What a launch costs by the meaning of its op (plugins/abi/ops.md), whatever kernel runs it.
#ifndef MODELC_TOOLS_MODELC_MEASURE_COST_H_
#define MODELC_TOOLS_MODELC_MEASURE_COST_H_

#include "absl/status/statusor.h"
#include "core/program/program.h"
#include "tools/modelc/measure/limits.h"

namespace modelc {

struct Cost {
  double flops = 0;             // multiplications and additions of float32
  double int_ops = 0;           // those of integers: products with weights in int8 and int4
  double weight_bytes = 0;      // read, block scales included; of stacked experts those that M routed rows reach on average
  double cache_bytes = 0;       // read and written
  double activation_bytes = 0;  // read and written

  Cost& operator+=(const Cost& o);
  Cost operator*(double n) const { return {flops * n, int_ops * n, weight_bytes * n, cache_bytes * n, activation_bytes * n}; }
  double operations() const { return flops + int_ops; }
  // At the machine's limits of arithmetic.
  double ArithmeticSeconds(const MachineLimits& limits) const {
    return flops / limits.flops_per_second + int_ops / limits.int_ops_per_second;
  }
  double bytes() const { return weight_bytes + cache_bytes + activation_bytes; }
};

// `sizes` are a step's, its T rows the last ones of S sequences of C tokens. Rows of one sequence share what they read of
// an index cache; the latent records a row attends to are its own. Errors: attributes that are no JSON object.
absl::StatusOr<Cost> CostOf(const Program& program, const Launch& launch, const Sizes& sizes);

// Seconds that one launch of a cost takes on the host, given the machine's limits: a fixed share (threads that start
// together and end together), arithmetic at the share of the limit that kernels of the op reach, and the same of bytes.
// The shares were fitted to what explain --measure found on AVX2 and on AVX-512 cores (docs/measuring.md).
double PredictSeconds(std::string_view op, const Cost& cost, const MachineLimits& limits);

// One step of an entry: its launches whose condition holds.
absl::StatusOr<Cost> CostOfStep(const Program& program, const Entry& entry, const Sizes& sizes);

// Whether a launch runs at a context.
bool RunsAt(const Launch& launch, int64_t context);

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MEASURE_COST_H_
