// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-conditions)' | FileCheck %s
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-conditions,lm-conditions)' | FileCheck %s

lm.model @m attributes {parameters = {}} {
  lm.entry @step {
    // CHECK: %[[X:.*]] = lm.input
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // What attention needs, too, runs always.
    // CHECK: lm.linear {{.*}} to [2, 8] as
    %q = lm.linear %x <"q", "", tensor<16x8xbf16>> to [2, 8] as (tensor<?x8xf32>) -> tensor<?x2x8xf32>
    // Keys are appended whatever the context: later steps score them.
    // CHECK: %[[R:.*]] = lm.hadamard %{{.*}} as (tensor<?x8xf32>)
    // CHECK: lm.dsa.append %[[R]] as
    %r = lm.hadamard %x as (tensor<?x8xf32>) -> tensor<?x8xf32>
    %k = lm.dsa.append %r as (tensor<?x8xf32>) -> !lm.cache<"index">
    // What scoring alone needs runs with it, however far up.
    // CHECK: lm.linear {{.*}} to [2] {above = 4 : i64}
    // CHECK: lm.hadamard {{.*}} {above = 4 : i64}
    // CHECK: lm.dsa.logits {{.*}} {above = 4 : i64}
    // CHECK: lm.dsa.select {{.*}} {above = 4 : i64}
    %w = lm.linear %x <"w", "", tensor<2x8xbf16>> to [2] as (tensor<?x8xf32>) -> tensor<?x2xf32>
    %h = lm.hadamard %q as (tensor<?x2x8xf32>) -> tensor<?x2x8xf32>
    %s = lm.dsa.logits %h, %w, %k scale 0.5 as (tensor<?x2x8xf32>, tensor<?x2xf32>, !lm.cache<"index">) -> tensor<?x?xf32>
    %i = lm.dsa.select %s top 4 as (tensor<?x?xf32>) -> tensor<?x4xi32>
    %c = lm.mla.append %x, %x as (tensor<?x8xf32>, tensor<?x8xf32>) -> !lm.cache<"latent">
    // CHECK: lm.mla.attend_latent {{.*}} scale 1.250000e-01 as
    %a = lm.mla.attend_latent %q, %q, %c, %i scale 0.125 as (tensor<?x2x8xf32>, tensor<?x2x8xf32>, !lm.cache<"latent">, tensor<?x4xi32>) -> tensor<?x2x8xf32>
    lm.return ["hidden"] %a : tensor<?x2x8xf32>
  }
}
