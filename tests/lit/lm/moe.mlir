// RUN: modelc opt %s | FileCheck %s
// RUN: modelc opt %s | modelc opt | FileCheck %s

// CHECK-LABEL: lm.block @moe
lm.model @source {
  lm.block @moe(%x) at "mlp" {
    %g = lm.linear %x "gate" to [8] unquantized
    // CHECK: %[[W:.*]], %[[E:.*]] = lm.moe.route %{{.*}} "bias" groups 4 pick 2 top 3 scale 2.500000e+00 normalize 1
    %w, %e = lm.moe.route %g "bias" groups 4 pick 2 top 3 scale 2.5 normalize 1
    // CHECK: lm.moe.experts %{{.*}}, %[[W]], %[[E]] "experts" experts 8 inner 4
    %y = lm.moe.experts %x, %w, %e "experts" experts 8 inner 4
    // CHECK: lm.moe.experts %{{.*}}, %[[W]], %[[E]], %{{.*}} "experts" experts 8 inner 4
    %z = lm.moe.experts %x, %w, %e, %y "experts" experts 8 inner 4
    lm.yield %z
  }
}

// CHECK-LABEL: lm.model @primitives
lm.model @primitives {
  lm.entry @step {
    %x = lm.input "hidden" width 6 as tensor<?x6xf32>
    %w = lm.input "hidden" width 3 as tensor<?x3xf32>
    %e = lm.input "hidden" width 3 as tensor<?x3xi32>
    // CHECK: lm.moe.dispatch %{{.*}} experts 8 as (tensor<?x3xi32>) -> (tensor<9xi32>, tensor<?xi32>, tensor<?x3xi32>)
    %o, %r, %s = lm.moe.dispatch %e experts 8 as (tensor<?x3xi32>) -> (tensor<9xi32>, tensor<?xi32>, tensor<?x3xi32>)
    // CHECK: lm.grouped_linear_silu_mul
    %i = lm.grouped_linear_silu_mul %x, %r, %o <"g", "", tensor<8x4x6xf32>> <"u", "", tensor<8x4x6xf32>> as (tensor<?x6xf32>, tensor<?xi32>, tensor<9xi32>) -> tensor<?x4xf32>
    // CHECK: lm.grouped_linear
    %d = lm.grouped_linear %i, %o <"d", "", tensor<8x6x4xf32>> as (tensor<?x4xf32>, tensor<9xi32>) -> tensor<?x6xf32>
    // CHECK: lm.moe.combine
    %y = lm.moe.combine %d, %s, %w, %x as (tensor<?x6xf32>, tensor<?x3xi32>, tensor<?x3xf32>, tensor<?x6xf32>) -> tensor<?x6xf32>
    lm.return ["hidden"] %y : tensor<?x6xf32>
  }
}
