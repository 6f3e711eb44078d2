// Instructions that some processors have: bytes of int8 pages are multiplied as they are, and kept keys moved together.
// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-generate{manifest=%inputs/codegen-vnni.json})' | FileCheck %s
// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-generate{manifest=%inputs/codegen-vnni.json},kernel-compile{manifest=%inputs/codegen-vnni.json})' | FileCheck %s --check-prefix=IMAGE
// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-generate{manifest=%inputs/codegen.json})' | FileCheck %s --check-prefix=PLAIN

// IMAGE-COUNT-3: target "x86-64-v4 +avx512vnni" image "
// PLAIN-NOT: llvm.call_intrinsic

// CHECK: kernel.code @mla_attend_latent
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
// CHECK: kernel.code @dsa_select
// CHECK: llvm.call_intrinsic "llvm.experimental.vector.compress"
// CHECK: kernel.code @dsa_logits
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
kernel.program @m limits [4, 4, 1, 1, 64, 8] parameters {hidden_size = 20} {
  kernel.cache @index layers 1 page_bytes 8448 format "i8"
  kernel.cache @latent layers 1 page_bytes 4864 format "i8"
  kernel.buffer @q f32 ["T", 4, 128]
  kernel.buffer @w f32 ["T", 4]
  kernel.buffer @s f32 ["T", "C"]
  kernel.buffer @i i32 ["T", 8]
  kernel.buffer @l f32 ["T", 4, 64]
  kernel.buffer @r f32 ["T", 4, 4]
  kernel.buffer @o f32 ["T", 4, 64]
  kernel.entry @step outputs {hidden = @o} {
    kernel.repeat 0 count 1 {
      kernel.launch "dsa.logits" kernel "generated" [@q, @w, "pos", "seq", "pages", @index, @s] results 1 static {scale = 0.5, format = "i8"}
      kernel.launch "dsa.select" kernel "generated" [@s, "pos", "seq", @i] results 1 static {k = 8}
      kernel.launch "mla.attend_latent" kernel "generated" [@l, @r, @i, "pos", "seq", "pages", @latent, @o] results 1 static {scale = 0.5, format = "i8"}
    }
  }
}
