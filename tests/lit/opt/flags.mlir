// RUN: modelc opt %s --until lm-resolve --timing 2>&1 | FileCheck %s --check-prefix=TIMING
// RUN: modelc opt %s --until lm-plan --print-ir-after-all 2>&1 | FileCheck %s --check-prefix=PRINT
// RUN: modelc opt --list-passes | FileCheck %s --check-prefix=LIST
// RUN: cat %s | modelc opt - | FileCheck %s
// RUN: modelc opt < %s | FileCheck %s

// TIMING: Execution time report
// TIMING: LMResolve

// PRINT: IR Dump After LMResolve (lm-resolve)
// PRINT-NOT: LMAbsorbMLA
// PRINT: IR Dump After LMPlan (lm-plan)

// LIST: kernel-plan-memory
// LIST: lm-resolve
// LIST: --weights

// CHECK: lm.model @m
lm.model @m {
  lm.entry @step {
    %x = lm.input "hidden" width 8
    %y = lm.ffn %x inner 4
    lm.return ["hidden"] %y
  }
}
