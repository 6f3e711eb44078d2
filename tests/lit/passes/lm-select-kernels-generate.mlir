// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-select-kernels{manifest=%inputs/codegen.json generate=h*})' | FileCheck %s
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-select-kernels{manifest=%inputs/codegen.json generate=think})' 2>&1 | FileCheck %s --check-prefix=NONE

// NONE: generate: no op matches 'think'; there is generated code for add, {{.*}}dsa.logits
lm.model @m attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // A kernel goes first, but where generated code is asked for; without a kernel there is generated code.
    // CHECK: lm.add {{.*}} {kernel = "my_add"}
    %a = lm.add %x, %x as (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
    // CHECK: lm.hadamard {{.*}} {kernel = "generated"}
    %h = lm.hadamard %a as (tensor<?x8xf32>) -> tensor<?x8xf32>
    // CHECK: lm.rms_norm {{.*}} {kernel = "generated"}
    %n = lm.rms_norm %h <"n", "", tensor<8xf32>> eps 1.0e-6 as (tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["hidden"] %n : tensor<?x8xf32>
  }
}
