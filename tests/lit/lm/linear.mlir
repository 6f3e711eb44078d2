// RUN: modelc opt %s | FileCheck %s
// RUN: modelc opt %s | modelc opt | FileCheck %s

// CHECK-LABEL: lm.model @source
lm.model @source {
  lm.param @width = 8
  lm.rope_table @rope dim 4 theta 10000 yarn [1, 1, 1, 1, 0]
  lm.entry @step {
    // CHECK: %[[IDS:.*]] = lm.input "ids"
    %ids = lm.input "ids"
    // CHECK: %[[X:.*]] = lm.embed %[[IDS]] "table" to [16, @width]
    %x = lm.embed %ids "table" to [16, @width]
    // CHECK: %[[N:.*]] = lm.rms_norm %[[X]] "norm" eps 1.000000e-05
    %n = lm.rms_norm %x "norm" eps 1.0e-5
    // CHECK: lm.linear %[[N]] "q" to [2, 4] unquantized
    %q = lm.linear %n "q" to [2, 4] unquantized
    // CHECK: lm.ffn %[[N]] inner 32 at "mlp"
    %f = lm.ffn %n inner 32 at "mlp"
    // CHECK: lm.add %[[X]], %{{.*}} {tap = ["hidden"]}
    %y = lm.add %x, %f {tap = ["hidden"]}
    // CHECK: lm.concat
    %c = lm.concat %y, %n
    // CHECK: lm.take_rows
    %w = lm.take_rows %c
    lm.return ["logits"] %w
  }
}

// A resolved weight stands in angle brackets, types follow `as`.
// CHECK-LABEL: lm.model @resolved
lm.model @resolved {
  lm.entry @step {
    // CHECK: lm.input "hidden" width 8 as tensor<?x8xf32>
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // CHECK: lm.linear %{{.*}} <"a.weight", "a.weight_scale_inv", tensor<12x8xf8E4M3FN>> to [3, 4] act "none" as (tensor<?x8xf32>) -> tensor<?x3x4xf32>
    %q = lm.linear %x <"a.weight", "a.weight_scale_inv", tensor<12x8xf8E4M3FN>> to [3, 4] act "none" as (tensor<?x8xf32>) -> tensor<?x3x4xf32>
    // CHECK: lm.head_linear {{.*}} x_first 1 x_count 2 first 0 count 2 transposed as
    %h = lm.head_linear %q <"b.weight", "", tensor<9x5xbf16>> x_first 1 x_count 2 first 0 count 2 transposed as (tensor<?x3x4xf32>) -> tensor<?x3x5xf32>
    // CHECK: lm.rope {{.*}} array<f32: 1.000000e+00> first 2 dim 2 pairs "half" keep as
    %r = lm.rope %q array<f32: 1.0> first 2 dim 2 pairs "half" keep as (tensor<?x3x4xf32>) -> tensor<?x3x4xf32>
    // CHECK: lm.hadamard
    %d = lm.hadamard %r as (tensor<?x3x4xf32>) -> tensor<?x3x4xf32>
    // CHECK: lm.fake_quantize
    %k = lm.fake_quantize %d as (tensor<?x3x4xf32>) -> tensor<?x3x4xf32>
    // CHECK: lm.linear_silu_mul {{.*}} inner 6 as
    %s = lm.linear_silu_mul %x <"g", "", tensor<6x8xf32>> <"u", "", tensor<6x8xf32>> inner 6 as (tensor<?x8xf32>) -> tensor<?x6xf32>
    // CHECK: lm.layer_norm {{.*}} eps 1.000000e-05 as
    %l = lm.layer_norm %x <"w", "", tensor<8xf32>> <"b", "", tensor<8xf32>> eps 1.0e-5 as (tensor<?x8xf32>) -> tensor<?x8xf32>
    // CHECK: lm.add_rms_norm
    %sum, %out = lm.add_rms_norm %x, %l <"w", "", tensor<8xf32>> eps 1.0e-6 as (tensor<?x8xf32>, tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>)
    // CHECK: lm.rms_norm {{.*}} first 2 width 4 as
    %p = lm.rms_norm %x <"w4", "", tensor<4xf32>> eps 1.0e-6 first 2 width 4 as (tensor<?x8xf32>) -> tensor<?x4xf32>
    lm.return ["hidden"] %out : tensor<?x8xf32>
  }
}
