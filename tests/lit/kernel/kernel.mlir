// RUN: modelc opt %s | FileCheck %s
// RUN: modelc opt %s | modelc opt | FileCheck %s

// CHECK-LABEL: kernel.program @m limits [8, 8, 2, 1, 64, 16] arena 256 live 256 parameters {index_topk = 4 : i64}
kernel.program @m limits [8, 8, 2, 1, 64, 16] arena 256 live 256 parameters {index_topk = 4} {
  // CHECK: kernel.cache @latent layers 2 page_bytes 41984 format "f8"
  kernel.cache @latent layers 2 page_bytes 41984 format "f8"
  // CHECK: kernel.weight @w0 "layers.{layer}.a" scale "layers.{layer}.a_scale" : tensor<4x8xf8E4M3FN>
  kernel.weight @w0 "layers.{layer}.a" scale "layers.{layer}.a_scale" : tensor<4x8xf8E4M3FN>
  // CHECK: kernel.weight @w1 "head" scale "" to "int8" : tensor<4x8xbf16>
  kernel.weight @w1 "head" scale "" to "int8" : tensor<4x8xbf16>
  // CHECK: kernel.constant @c0 [1.000000e+00, 5.000000e-01]
  kernel.constant @c0 [1.0, 0.5]
  // CHECK: kernel.buffer @b0 f32 ["T", 8] at 0 bytes 256
  kernel.buffer @b0 f32 ["T", 8] at 0 bytes 256
  // CHECK: kernel.buffer @b1 i32 ["2*T", "C"]
  kernel.buffer @b1 i32 ["2*T", "C"]
  // CHECK: kernel.code @k0 "copy" tensors {{\[\[}}f32, "T", 8], unit] grid {{\[\[}}"T", 2]] scratch 64 entry 16 target "x86-64-v3" image "\C3"
  kernel.code @k0 "copy" tensors [[f32, "T", 8], unit] grid [["T", 2]] scratch 64 entry 16 target "x86-64-v3" image "\C3" {}
  // CHECK: kernel.entry @step outputs {logits = @b0}
  kernel.entry @step outputs {logits = @b0} {
    // CHECK: kernel.repeat 1 count 2
    kernel.repeat 1 count 2 {
      // CHECK: kernel.launch "linear" kernel "fast" ["ids", @w0, unit, @latent, @b0] results 1 static {act = "none"} above 4 tap ["hidden"]
      kernel.launch "linear" kernel "fast" ["ids", @w0, unit, @latent, @b0] results 1 static {act = "none"} above 4 tap ["hidden"]
      // CHECK: kernel.launch "copy" kernel "generated" code @k0 [@b0, unit] results 0
      kernel.launch "copy" kernel "generated" code @k0 [@b0, unit] results 0 static {}
      // CHECK: kernel.launch "copy" kernel "copy" [@b0, @b1] results 1 static {} at_most 4
      kernel.launch "copy" kernel "copy" [@b0, @b1] results 1 static {} at_most 4
    }
  }
}
