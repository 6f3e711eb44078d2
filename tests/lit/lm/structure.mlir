// RUN: modelc opt %s | FileCheck %s
// RUN: modelc opt %s | modelc opt | FileCheck %s

// CHECK-LABEL: lm.model @m expects {hidden_act = "silu", rope_scaling.type = "yarn"}
lm.model @m expects {hidden_act = "silu", rope_scaling.type = "yarn"} {
  // CHECK: lm.param @a = 7168
  lm.param @a = 7168
  // CHECK: lm.param @b = @a + 1
  lm.param @b = @a + 1
  // CHECK: lm.param @c = @a * @b
  lm.param @c = @a * @b
  // CHECK: lm.param @d = 4.000000e+01 from "rope_scaling.factor" else 1.000000e+00
  lm.param @d = 40.0 from "rope_scaling.factor" else 1.0
  // CHECK: lm.rope_table @rope dim @a theta 10000 yarn [@d, 4096, 32, 1, 1]
  lm.rope_table @rope dim @a theta 10000 yarn [@d, 4096, 32, 1, 1]
  // CHECK: lm.block @two(%[[X:.*]], %[[Y:.*]]) at "inner"
  lm.block @two(%x, %y) at "inner" {
    // CHECK: lm.add %[[X]], %[[Y]]
    %z = lm.add %x, %y
    lm.yield %z
  }
  // CHECK: lm.entry @step {
  lm.entry @step {
    %ids = lm.input "ids"
    %x = lm.embed %ids "e" to [8, @a]
    // CHECK: lm.layers (%[[H:.*]] = %{{.*}}) from 0 to @b at "layers.{layer}"
    %l = lm.layers (%h = %x) from 0 to @b at "layers.{layer}" {
      // CHECK: %[[N:.*]] = lm.call @two(%[[H]], %[[H]])
      %n = lm.call @two(%h, %h)
      // CHECK: lm.yield %[[N]]
      lm.yield %n
    }
    // CHECK: lm.return ["logits", "hidden"] %{{.*}}, %{{.*}}
    lm.return ["logits", "hidden"] %l, %x
  }
  // CHECK: lm.entry @draft when @b
  lm.entry @draft when @b {
    // CHECK: lm.input "hidden" width @a
    %x = lm.input "hidden" width @a
    // CHECK: lm.layers () from 1 to 2
    %l = lm.layers () from 1 to 2 at "layers.{layer}" {
      lm.yield %x
    }
    lm.return ["logits"] %l
  }
}
