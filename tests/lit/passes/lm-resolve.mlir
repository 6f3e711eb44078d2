// RUN: modelc opt %s --until lm-resolve --config %inputs/small.json | FileCheck %s
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-resolve{config=%inputs/small.json},lm-resolve)' | FileCheck %s
// RUN: modelc opt %s --until lm-resolve | FileCheck %s --check-prefix=DEFAULT

// The config's numbers, or the file's without a config; derived ones follow.
// CHECK-LABEL: lm.model @m
// CHECK-SAME:    parameters = {double = 16 : i64, hidden_size = 8 : i64, layers = 3 : i64, scale = 1.000000e+00 : f64}
// CHECK-NOT:   lm.param
// CHECK-NOT:   lm.block
// DEFAULT-LABEL: lm.model @m
// DEFAULT-SAME:    parameters = {double = 64 : i64, hidden_size = 32 : i64, layers = 2 : i64, scale = 4.000000e+01 : f64}
lm.model @m {
  lm.param @hidden_size = 32
  lm.param @layers = 2
  lm.param @scale = 40.0 from "rope_scaling.factor" else 1.0
  lm.param @double = @hidden_size + @hidden_size
  lm.block @inner(%x) at "mlp" {
    %y = lm.linear %x "proj" to [@hidden_size]
    lm.yield %y
  }
  lm.block @outer(%x) at "" {
    %y = lm.call @inner(%x)
    lm.yield %y
  }
  lm.block @stack(%x) at "model" {
    %l = lm.layers (%h = %x) from 0 to @layers at "layers.{layer}" {
      %y = lm.linear %h "proj" to [@hidden_size]
      lm.yield %y
    }
    lm.yield %l
  }
  // CHECK: lm.entry @step
  lm.entry @step {
    %ids = lm.input "ids"
    // CHECK: lm.embed %{{.*}} <"table.weight", "", tensor<16x8xbf16>> to [16, 8] as (tensor<?xi32>) -> tensor<?x8xf32>
    %x = lm.embed %ids "table" to [16, @hidden_size]
    // CHECK: lm.layers {{.*}} from 0 to 3 at "layers.{layer}"
    %l = lm.layers (%h = %x) from 0 to @layers at "layers.{layer}" {
      // Scopes of layers and of both blocks join. FP8 is what the config says; this one says nothing.
      // CHECK: lm.linear %{{.*}} <"layers.{layer}.mlp.proj.weight", "", tensor<8x8xbf16>> to [8]
      // DEFAULT: lm.linear %{{.*}} <"layers.{layer}.mlp.proj.weight", "layers.{layer}.mlp.proj.weight_scale_inv", tensor<32x32xf8E4M3FN>>
      %y = lm.call @outer(%h)
      lm.yield %y
    }
    lm.return ["hidden"] %l
  }
  // Primitives have weights of their own names; layers in a block stand below its scope.
  // CHECK: lm.entry @primitives
  lm.entry @primitives {
    %x = lm.input "hidden" width @hidden_size
    // CHECK: lm.layer_norm %{{.*}} <"norm.weight", "", tensor<8xbf16>> <"norm.bias", "", tensor<8xbf16>> eps
    %n = lm.layer_norm %x "norm" "norm" eps 1.0e-6
    // CHECK: lm.linear_silu_mul %{{.*}} <"gate.weight", "", tensor<16x8xbf16>> <"up.weight", "", tensor<16x8xbf16>> inner 16
    %g = lm.linear_silu_mul %n "gate" "up" inner @double
    %d = lm.linear %g "down" to [@hidden_size]
    // CHECK: lm.layers {{.*}} at "model.layers.{layer}"
    // CHECK: lm.linear %{{.*}} <"model.layers.{layer}.proj.weight"
    %l = lm.call @stack(%d)
    lm.return ["hidden"] %l
  }
  // CHECK-NOT: lm.entry @draft
  lm.entry @draft when 0 {
    %x = lm.input "hidden" width @hidden_size
    lm.return ["logits"] %x
  }
}
