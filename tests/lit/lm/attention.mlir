// RUN: modelc opt %s | FileCheck %s
// RUN: modelc opt %s | modelc opt | FileCheck %s

// CHECK-LABEL: lm.block @composites(%{{.*}}) at "self_attn"
lm.model @source {
  lm.rope_table @rope dim 4 theta 10000 yarn [1, 1, 1, 1, 0]
  lm.rope_table @plain dim 4 theta 10000
  lm.block @composites(%x) at "self_attn" {
    // CHECK: %[[C:.*]] = lm.mla.latent %{{.*}} "norm" latent 8 rope @rope eps
    %c = lm.mla.latent %x "norm" latent 8 rope @rope eps 1.0e-6
    // CHECK: lm.mla.latent %{{.*}} "norm" latent 8 rope @rope eps {{.*}} format "i8"
    %c2 = lm.mla.latent %x "norm" latent 8 rope @rope eps 1.0e-6 format "i8"
    // CHECK: %[[K:.*]] = lm.dsa.key %{{.*}} "wk" "k_norm" dim 8 rope @rope eps
    %k = lm.dsa.key %x "wk" "k_norm" dim 8 rope @rope eps 1.0e-6
    // CHECK: %[[S:.*]] = lm.dsa.score %{{.*}}, %{{.*}}, %[[K]] "wq_b" "weights_proj" heads 2 dim 8 rope @rope
    %s = lm.dsa.score %x, %x, %k "wq_b" "weights_proj" heads 2 dim 8 rope @rope
    // CHECK: lm.dsa.key %{{.*}} "wk" "k_norm" dim 8 rope @plain pairs "interleaved" eps
    %k2 = lm.dsa.key %x "wk" "k_norm" dim 8 rope @plain pairs "interleaved" eps 1.0e-6
    // CHECK: lm.dsa.score {{.*}} heads 2 dim 8 rope @plain pairs "interleaved"
    %s2 = lm.dsa.score %x, %x, %k2 "wq_b" "weights_proj" heads 2 dim 8 rope @plain pairs "interleaved"
    // CHECK: %[[SEL:.*]] = lm.dsa.select %[[S]] top 16
    %sel = lm.dsa.select %s top 16
    // CHECK: lm.mla.attend %{{.*}}, %[[C]], %[[SEL]] "kv_b" nope 4 value 4 rope @rope
    %a = lm.mla.attend %x, %c, %sel "kv_b" nope 4 value 4 rope @rope
    // CHECK: lm.mla.attend %{{.*}}, %[[C]] "kv_b"
    %b = lm.mla.attend %x, %c "kv_b" nope 4 value 4 rope @rope
    lm.yield %a
  }
}

// CHECK-LABEL: lm.model @primitives
lm.model @primitives {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    %q = lm.input "hidden" width 8 as tensor<?x2x8xf32>
    %w = lm.input "hidden" width 2 as tensor<?x2xf32>
    // CHECK: lm.mla.append {{.*}} format "f8" as ({{.*}}) -> !lm.cache<"latent">
    %c = lm.mla.append %x, %x format "f8" as (tensor<?x8xf32>, tensor<?x8xf32>) -> !lm.cache<"latent">
    // CHECK: lm.dsa.append {{.*}} format "bf16" as ({{.*}}) -> !lm.cache<"index">
    %k = lm.dsa.append %x format "bf16" as (tensor<?x8xf32>) -> !lm.cache<"index">
    // CHECK: lm.dsa.append {{.*}} format "i8" as ({{.*}}) -> !lm.cache<"index">
    %k8 = lm.dsa.append %x format "i8" as (tensor<?x8xf32>) -> !lm.cache<"index">
    // CHECK: lm.dsa.logits {{.*}} scale 5.000000e-01 as
    %s = lm.dsa.logits %q, %w, %k scale 0.5 as (tensor<?x2x8xf32>, tensor<?x2xf32>, !lm.cache<"index">) -> tensor<?x?xf32>
    // CHECK: lm.dsa.block_scores {{.*}} block 16 as
    %sb = lm.dsa.block_scores %s block 16 as (tensor<?x?xf32>) -> tensor<?x?xf32>
    // CHECK: lm.dsa.window_scores {{.*}} window 32 as
    %sw = lm.dsa.window_scores %sb window 32 as (tensor<?x?xf32>) -> tensor<?x?xf32>
    // CHECK: lm.dsa.select {{.*}} top 4 as
    %i = lm.dsa.select %s top 4 as (tensor<?x?xf32>) -> tensor<?x4xi32>
    // CHECK: lm.dsa.logits_select {{.*}} scale 5.000000e-01 top 4 as
    %j = lm.dsa.logits_select %q, %w, %k scale 0.5 top 4 as (tensor<?x2x8xf32>, tensor<?x2xf32>, !lm.cache<"index">) -> tensor<?x4xi32>
    // CHECK: lm.mla.attend_latent {{.*}} scale 1.250000e-01 format "f8" as
    %a = lm.mla.attend_latent %q, %q, %c, %i scale 0.125 format "f8" as (tensor<?x2x8xf32>, tensor<?x2x8xf32>, !lm.cache<"latent">, tensor<?x4xi32>) -> tensor<?x2x8xf32>
    // CHECK: lm.mla.attend_latent %{{[^,]*}}, %{{[^,]*}}, %{{[^,]*}} scale
    %b = lm.mla.attend_latent %q, %q, %c scale 0.125 as (tensor<?x2x8xf32>, tensor<?x2x8xf32>, !lm.cache<"latent">) -> tensor<?x2x8xf32>
    lm.return ["hidden"] %a : tensor<?x2x8xf32>
  }
}
