// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-absorb-mla)' 2>&1 | FileCheck %s
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-plan)' 2>&1 | FileCheck %s
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-quantize)' 2>&1 | FileCheck %s
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-schedule{manifest=%inputs/all-ops.json})' 2>&1 | FileCheck %s
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-select-kernels{manifest=%inputs/all-ops.json})' 2>&1 | FileCheck %s
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-conditions)' 2>&1 | FileCheck %s

// Passes behind lm-resolve need shapes and sizes, and say so.
// CHECK: unresolved.mlir:[[#@LINE + 5]]:{{.*}} error: 'lm.linear' op is not resolved; run lm-resolve first
lm.model @m {
  lm.param @n = 8
  lm.entry @step {
    %x = lm.input "hidden" width @n
    %y = lm.linear %x "w" to [@n]
    %s = lm.dsa.select %y top @n
    lm.return ["hidden"] %y
  }
}
