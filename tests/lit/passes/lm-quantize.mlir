// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize{numerics=reference})' | FileCheck %s --check-prefix=REFERENCE
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize{numerics=deepseek},lm-quantize)' | FileCheck %s --check-prefix=DEEPSEEK
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize)' | FileCheck %s --check-prefix=FAST
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize{kv-dtype=bf16})' | FileCheck %s --check-prefix=BF16
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize{kv-dtype=i8})' | FileCheck %s --check-prefix=INT8
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-quantize{numerics=exact})' 2>&1 | FileCheck %s --check-prefix=WRONG
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-quantize{kv-dtype=f4})' 2>&1 | FileCheck %s --check-prefix=DTYPE

// WRONG: error: numerics 'exact' is not one of reference, deepseek, fast
// DTYPE: error: kv-dtype 'f4' is not one of f8, i8, bf16, f32
lm.model @m attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 8 as tensor<?x8xf32>
    // Inputs of FP8 linears are rounded in deepseek numerics; bf16 ones never.
    // REFERENCE: lm.linear {{.*}}f8E4M3FN>> to [8] act "none"
    // DEEPSEEK: lm.linear {{.*}}f8E4M3FN>> to [8] act "e4m3_1x128_pow2"
    // FAST: lm.linear {{.*}}f8E4M3FN>> to [8] act "none"
    %k = lm.linear %x <"a", "a_s", tensor<8x8xf8E4M3FN>> to [8] as (tensor<?x8xf32>) -> tensor<?x8xf32>
    // DEEPSEEK: lm.linear {{.*}}bf16>> to [2, 8] act "none"
    %q = lm.linear %x <"b", "", tensor<16x8xbf16>> to [2, 8] as (tensor<?x8xf32>) -> tensor<?x2x8xf32>
    // DEEPSEEK: lm.linear_silu_mul {{.*}} act "e4m3_1x128_pow2"
    %s = lm.linear_silu_mul %x <"g", "g_s", tensor<2x8xf8E4M3FN>> <"u", "u_s", tensor<2x8xf8E4M3FN>> inner 2 as (tensor<?x8xf32>) -> tensor<?x2xf32>
    // What is rounded to e4m3 is rotated first: by fast keys, in their pages; by deepseek keys, queries and latents.
    // REFERENCE-NOT: lm.hadamard
    // REFERENCE: lm.dsa.append {{.*}} format "f32"
    // REFERENCE: lm.dsa.logits {{.*}} format "f32"
    // REFERENCE: lm.mla.append {{.*}} format "f32"
    // REFERENCE: lm.mla.attend_latent {{.*}} format "f32"
    // BF16-NOT: lm.hadamard
    // BF16: lm.dsa.append {{.*}} format "bf16"
    // DEEPSEEK: %[[K:.*]] = lm.hadamard
    // DEEPSEEK: %[[RK:.*]] = lm.fake_quantize %[[K]]
    // DEEPSEEK: lm.dsa.append %[[RK]] format "f32"
    // DEEPSEEK: %[[Q:.*]] = lm.hadamard
    // DEEPSEEK: %[[R:.*]] = lm.fake_quantize %[[Q]]
    // DEEPSEEK: lm.dsa.logits %[[R]], {{.*}} format "f32"
    // DEEPSEEK-NOT: lm.hadamard
    // DEEPSEEK: %[[L:.*]] = lm.fake_quantize
    // DEEPSEEK: lm.mla.append %[[L]], {{.*}} format "f32"
    // FAST: %[[K:.*]] = lm.hadamard
    // FAST: lm.dsa.append %[[K]] format "f8"
    // FAST: %[[Q:.*]] = lm.hadamard
    // FAST: lm.dsa.logits %[[Q]], {{.*}} format "f8"
    // What int8 rounds is rotated too: latents, the queries that attend to them, and back what attention makes of them.
    // INT8: lm.dsa.append {{.*}} format "i8"
    // INT8: lm.dsa.logits {{.*}} format "i8"
    // INT8: %[[L:.*]] = lm.hadamard %[[X:[^ ]*]]
    // INT8: lm.mla.append %[[L]], %[[X]] format "i8"
    // INT8: %[[Q:.*]] = lm.hadamard %[[R:[^ ]*]]
    // INT8: %[[A:.*]] = lm.mla.attend_latent %[[Q]], %[[R]], {{.*}} format "i8"
    // INT8: %[[O:.*]] = lm.hadamard %[[A]]
    // INT8: lm.return ["hidden"] %[[O]]
    %i = lm.dsa.append %k as (tensor<?x8xf32>) -> !lm.cache<"index">
    %l = lm.dsa.logits %q, %s, %i scale 0.5 as (tensor<?x2x8xf32>, tensor<?x2xf32>, !lm.cache<"index">) -> tensor<?x?xf32>
    %c = lm.mla.append %x, %x as (tensor<?x8xf32>, tensor<?x8xf32>) -> !lm.cache<"latent">
    %a = lm.mla.attend_latent %q, %q, %c scale 0.125 as (tensor<?x2x8xf32>, tensor<?x2x8xf32>, !lm.cache<"latent">) -> tensor<?x2x8xf32>
    lm.return ["hidden"] %a : tensor<?x2x8xf32>
  }
}
