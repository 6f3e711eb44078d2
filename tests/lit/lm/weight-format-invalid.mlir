// RUN: not modelc opt %s 2>&1 | FileCheck %s
// CHECK: error: custom op 'lm.linear' weight format "int2" is not one of bf16, int8, int4
lm.model @m {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %y = lm.linear %x <"a", "", tensor<8x8xbf16>, "int2"> to [8] as (tensor<?x8xf32>) -> tensor<?x8xf32>
    lm.return ["hidden"] %y : tensor<?x8xf32>
  }
}
