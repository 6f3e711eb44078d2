// What the toy plugin tells a test about its host, through the symbol `toy_counts`.
#ifndef MODELC_TESTS_UNIT_EXECUTOR_TOY_PLUGIN_H_
#define MODELC_TESTS_UNIT_EXECUTOR_TOY_PLUGIN_H_

struct ToyCounts {
  int live = 0;      // buffers and kernels not released yet
  int wrapped = 0;   // buffers made over host memory so far
  int kernels = 0;   // kernels resolved so far
  int replayed = 0;  // submits whose replay key was seen before
};
extern "C" const ToyCounts* toy_counts();

#endif  // MODELC_TESTS_UNIT_EXECUTOR_TOY_PLUGIN_H_
