// RUN: modelc opt %s --until lm-absorb-mla | FileCheck %s

// YaRN's factor of 40 multiplies 1/sqrt(4 + 2) by (0.1 ln 40 + 1)^2.
// CHECK-LABEL: lm.entry @step
lm.model @m {
  lm.rope_table @rope dim 2 theta 10000 yarn [40, 4096, 32, 1, 1]
  lm.entry @step {
    // CHECK: %[[X:.*]] = lm.input "hidden"
    %x = lm.input "hidden" width 12
    // CHECK: %[[Q:.*]] = lm.linear %[[X]] <"q.weight"
    %q = lm.linear %x "q" to [3, 6]
    %kv = lm.linear %x "kv" to [10]
    // CHECK: %[[C:.*]] = lm.mla.latent
    %c = lm.mla.latent %kv "norm" latent 8 rope @rope eps 1.0e-6
    // CHECK: %[[R:.*]] = lm.rope %[[Q]] array<f32: {{.*}}> first 4 dim 2 pairs "interleaved" as (tensor<?x3x6xf32>) -> tensor<?x3x2xf32>
    // CHECK: %[[L:.*]] = lm.head_linear %[[Q]] <"kv_b.weight", {{.*}}, tensor<27x8xf8E4M3FN>> x_first 0 x_count 4 first 0 count 4 transposed as (tensor<?x3x6xf32>) -> tensor<?x3x8xf32>
    // CHECK: %[[A:.*]] = lm.mla.attend_latent %[[L]], %[[R]], %[[C]] scale 0.76499777
    // CHECK: lm.head_linear %[[A]] <"kv_b.weight", {{.*}}> x_first 0 x_count 8 first 4 count 5 as (tensor<?x3x8xf32>) -> tensor<?x3x5xf32>
    // Expanded, nothing is absorbed.
    // CHECK: %[[R2:.*]] = lm.rope %[[Q]]
    // CHECK-NOT: lm.head_linear
    // CHECK: lm.mla.attend_expanded %[[Q]], %[[R2]], %[[C]] <"kv_b.weight", {{.*}}, tensor<27x8xf8E4M3FN>> nope 4 scale 0.76499777{{.*}} as (tensor<?x3x6xf32>, tensor<?x3x2xf32>, !lm.cache<"latent">) -> tensor<?x3x5xf32>
    // CHECK-NOT: lm.mla.attend %
    %o = lm.mla.attend %q, %c "kv_b" nope 4 value 5 rope @rope
    %e = lm.mla.attend %q, %c "kv_b" nope 4 value 5 rope @rope schedule #lm.mla<code = library, form = expanded>
    lm.return ["hidden", "logits"] %o, %e
  }
}
