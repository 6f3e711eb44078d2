// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-select-kernels{manifest=%inputs/choice.json})' | FileCheck %s

// The kernel for copies that lm-to-kernel may need is noted on the model.
// CHECK: lm.model @m attributes {copy_kernel = "copy_rows"
lm.model @m attributes {parameters = {}} {
  lm.entry @step {
    %x = lm.input "hidden" width 128 as tensor<?x128xf32>
    %y = lm.input "hidden" width 16 as tensor<?x16xf32>
    // CHECK: lm.linear {{.*}}tensor<8x128xbf16>{{.*}} {kernel = "any"}
    %a = lm.linear %x <"a", "", tensor<8x128xbf16>> to [8] act "none" as (tensor<?x128xf32>) -> tensor<?x8xf32>
    // CHECK: lm.linear {{.*}}tensor<8x128xf8E4M3FN>{{.*}} {kernel = "fp8"}
    %b = lm.linear %x <"b", "s", tensor<8x128xf8E4M3FN>> to [8] act "none" as (tensor<?x128xf32>) -> tensor<?x8xf32>
    // CHECK: lm.linear {{.*}}tensor<512x128xf8E4M3FN>{{.*}} {kernel = "fp8_wide"}
    %c = lm.linear %x <"c", "s", tensor<512x128xf8E4M3FN>> to [512] act "none" as (tensor<?x128xf32>) -> tensor<?x512xf32>
    // CHECK: lm.linear {{.*}} act "e4m3_1x128_pow2" {kernel = "fp8_wide"}
    %d = lm.linear %x <"d", "s", tensor<8x128xf8E4M3FN>> to [8] act "e4m3_1x128_pow2" as (tensor<?x128xf32>) -> tensor<?x8xf32>
    // A name the op does not have makes its comparison false, not the condition.
    // CHECK: lm.rms_norm {{.*}} {kernel = "norm16"}
    %e = lm.rms_norm %y <"n", "", tensor<16xf32>> eps 1.0e-6 as (tensor<?x16xf32>) -> tensor<?x16xf32>
    lm.return ["hidden"] %a : tensor<?x8xf32>
  }
}
