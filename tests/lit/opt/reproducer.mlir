// What failed can be run again from one file: the IR, the passes and their options.
// RUN: not modelc opt %s --until lm-quantize --numerics exact --crash-reproducer=%t.mlir 2>&1 | FileCheck %s --check-prefix=FIRST
// RUN: FileCheck %s --check-prefix=FILE < %t.mlir
// RUN: not modelc opt %t.mlir --run-reproducer 2>&1 | FileCheck %s --check-prefix=AGAIN

// FIRST: error: numerics 'exact' is not one of reference, deepseek, fast
// FILE: lm.model @m
// FILE: mlir_reproducer
// FILE: lm-quantize{{.*}}numerics=exact
// AGAIN: error: numerics 'exact' is not one of reference, deepseek, fast
lm.model @m {
}
