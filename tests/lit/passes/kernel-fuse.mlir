// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-fuse{manifest=%inputs/codegen.json})' | FileCheck %s
// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-fuse{manifest=%inputs/codegen.json generate=dsa.*})' | FileCheck %s --check-prefix=NONE
// RUN: modelc opt %s --pass-pipeline='builtin.module(kernel-fuse{manifest=%inputs/choice.json})' | FileCheck %s --check-prefix=NONE

// NONE-NOT: "fused"
kernel.program @m limits [4, 4, 1, 1, 16, 4] parameters {} {
  kernel.constant @c0 [1.0, 0.5]
  kernel.weight @w0 "n" scale "" : tensor<8xf32>
  // What stays inside a chain needs no buffer.
  // CHECK: kernel.buffer @x
  // CHECK-NOT: kernel.buffer @r
  // CHECK-NOT: kernel.buffer @h
  // CHECK: kernel.buffer @q
  kernel.buffer @x f32 ["T", 2, 8]
  kernel.buffer @r f32 ["T", 2, 8]
  kernel.buffer @h f32 ["T", 2, 8]
  kernel.buffer @q f32 ["T", 2, 8]
  kernel.buffer @a f32 ["T", 8]
  kernel.buffer @s f32 ["T", 8]
  kernel.buffer @n f32 ["T", 8]
  kernel.buffer @o f32 ["T", 8]
  kernel.entry @step outputs {hidden = @a} {
    kernel.repeat 0 count 1 {
      kernel.launch "copy" kernel "copy" ["hidden", @x] results 1 static {}
      // CHECK: kernel.launch "fused" kernel "generated" [@x, "pos", @c0, @q] results 1
      // CHECK-SAME: {attributes = {dim = 4 : i64, first = 0 : i64, keep = true, pairs = "half"}, op = "rope", tensors = array<i64: 0, 1, 2, -1>}
      // CHECK-SAME: {attributes = {}, op = "hadamard", tensors = array<i64: -1, -2>}
      // CHECK-SAME: {attributes = {}, op = "fake_quantize", tensors = array<i64: -2, 3>}
      kernel.launch "rope" kernel "my_rope" [@x, "pos", @c0, @r] results 1 static {first = 0, dim = 4, pairs = "half", keep = true}
      kernel.launch "hadamard" kernel "my_hadamard" [@r, @h] results 1 static {}
      kernel.launch "fake_quantize" kernel "generated" [@h, @q] results 1 static {}

      // A launch may have a result that others want; the chain goes through its last one.
      // CHECK: kernel.launch "fused" kernel "generated" [@a, "hidden", @w0, @s, @o] results 2
      // CHECK-SAME: op = "add_rms_norm", tensors = array<i64: 0, 1, 2, 3, -1>
      // CHECK-SAME: op = "fake_quantize", tensors = array<i64: -1, 4>
      kernel.launch "copy" kernel "copy" ["hidden", @a] results 1 static {}
      kernel.launch "add_rms_norm" kernel "norm" [@a, "hidden", @w0, @s, @n] results 2 static {eps = 1.0e-6}
      kernel.launch "fake_quantize" kernel "generated" [@n, @o] results 1 static {}
      kernel.launch "linear" kernel "linear" [@s, @o, @q, @a] results 1 static {}
    }
  }
}
