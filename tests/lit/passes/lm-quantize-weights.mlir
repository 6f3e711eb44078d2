// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize{weights-format=int8})' | FileCheck %s --check-prefixes=CHECK,INT8,INTS
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize{weights-format=int4})' | FileCheck %s --check-prefixes=CHECK,INT4,INTS
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize{weights-format=bf16 numerics=deepseek})' | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize{weights-format=f8})' | FileCheck %s --check-prefix=F8
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize{weights-format=int8})' | modelc opt - | FileCheck %s --check-prefix=INT8
// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-quantize{weights-format=int8},lm-quantize{weights-format=int4})' | FileCheck %s --check-prefix=INT8
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-quantize{weights-format=int2})' 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not modelc opt %s --pass-pipeline='builtin.module(lm-quantize{weights-format=int4 numerics=deepseek})' 2>&1 | FileCheck %s --check-prefix=NUMERICS

// The large matrices have another format; activations are rounded with the integer ones.
// UNKNOWN: error: weights-format 'int2' is not one of f8, bf16, int8, int4
// NUMERICS: error: weights-format 'int4' rounds activations to int8, which numerics 'deepseek' does not; use fast
// F8-NOT: "int
// F8-NOT: "bf16"
lm.model @m attributes {parameters = {vocab_size = 32}} {
  lm.entry @step {
    // CHECK: lm.embed {{.*}}tensor<32x8xbf16>> to
    %ids = lm.input "ids" as tensor<?xi32>
    %x = lm.embed %ids <"embed", "", tensor<32x8xbf16>> to [32, 8] as (tensor<?xi32>) -> tensor<?x8xf32>
    // INT8: lm.linear {{.*}}<"a", "a_s", tensor<8x8xf8E4M3FN>, "int8"> to [8] act "int8_1x128"
    // INT4: lm.linear {{.*}}<"a", "a_s", tensor<8x8xf8E4M3FN>, "int4"> to [8] act "int8_1x128"
    // BF16: lm.linear {{.*}}<"a", "a_s", tensor<8x8xf8E4M3FN>, "bf16"> to [8] act "e4m3_1x128_pow2"
    // F8: lm.linear {{.*}}<"a", "a_s", tensor<8x8xf8E4M3FN>> to [8] act "none"
    %a = lm.linear %x <"a", "a_s", tensor<8x8xf8E4M3FN>> to [8] as (tensor<?x8xf32>) -> tensor<?x8xf32>
    // A matrix of a checkpoint that is not quantized.
    // BF16: lm.linear {{.*}}<"q", "", tensor<16x8xbf16>> to [2, 8] act "none"
    // INT4: lm.linear {{.*}}<"q", "", tensor<16x8xbf16>, "int4"> to [2, 8] act "int8_1x128"
    %q = lm.linear %a <"q", "", tensor<16x8xbf16>> to [2, 8] as (tensor<?x8xf32>) -> tensor<?x2x8xf32>
    // A router.
    // CHECK: lm.linear {{.*}}<"gate", "", tensor<4x8xbf16>> to [4] unquantized act "none"
    %g = lm.linear %a <"gate", "", tensor<4x8xbf16>> to [4] unquantized as (tensor<?x8xf32>) -> tensor<?x4xf32>
    // INT8: lm.linear_silu_mul {{.*}}<"g", "g_s", tensor<2x8xf8E4M3FN>, "int8"> <"u", "u_s", tensor<2x8xf8E4M3FN>, "int8"> inner 2 act "int8_1x128"
    %s = lm.linear_silu_mul %a <"g", "g_s", tensor<2x8xf8E4M3FN>> <"u", "u_s", tensor<2x8xf8E4M3FN>> inner 2 as (tensor<?x8xf32>) -> tensor<?x2xf32>
    // INTS: lm.head_linear {{.*}}<"kv", "kv_s", tensor<8x8xf8E4M3FN>> x_first
    // BF16: lm.head_linear {{.*}}<"kv", "kv_s", tensor<8x8xf8E4M3FN>, "bf16"> x_first
    %h = lm.head_linear %q <"kv", "kv_s", tensor<8x8xf8E4M3FN>> x_first 0 x_count 8 first 0 count 4 as (tensor<?x2x8xf32>) -> tensor<?x2x4xf32>
    // The head, in int8 at least.
    // INTS: lm.linear {{.*}}<"head", "", tensor<32x8xbf16>, "int8"> to [32] unquantized act "int8_1x128"
    // BF16: lm.linear {{.*}}<"head", "", tensor<32x8xbf16>> to [32] unquantized act "none"
    %l = lm.linear %a <"head", "", tensor<32x8xbf16>> to [32] unquantized as (tensor<?x8xf32>) -> tensor<?x32xf32>
    lm.return ["logits"] %l : tensor<?x32xf32>
  }
}
