// RUN: modelc opt %s --pass-pipeline='builtin.module(lm-to-kernel{max-rows=8 max-sequences=2 max-context=100})' | FileCheck %s

// T N S P C M: two pages hold 100 tokens, three experts a row.
// CHECK: kernel.program @m limits [8, 8, 2, 2, 100, 24]
lm.model @m attributes {copy_kernel = "copy_rows",
                        parameters = {max_position_embeddings = 128, num_experts_per_tok = 3}} {
  // A weight of the layers is declared once, with {layer} in its name. Caches reach to the last layer.
  // CHECK-DAG: kernel.cache @latent layers 5 page_bytes 2048 format "f32"
  // CHECK-DAG: kernel.weight @w0 "table"
  // CHECK-DAG: kernel.weight @w1 "layers.{layer}.w" scale "s" : tensor<4x4xf8E4M3FN>
  // CHECK-DAG: kernel.constant @c0 [1.000000e+00]
  // CHECK-LABEL: kernel.entry @step
  // CHECK-SAME:    outputs {hidden = @[[X:b0]], logits = @[[L:.*]]}
  lm.entry @step {
    %ids = lm.input "ids" as tensor<?xi32>
    // CHECK: kernel.repeat 0 count 1
    // CHECK-NEXT: kernel.launch "embed" kernel "e" ["ids", @w0, @[[X]]] results 1
    %x = lm.embed %ids <"table", "", tensor<9x4xf32>> to [9, 4] {kernel = "e"} as (tensor<?xi32>) -> tensor<?x4xf32>
    // CHECK: kernel.repeat 2 count 3
    %l = lm.layers (%h = %x : tensor<?x4xf32>) from 2 to 5 at "layers.{layer}" {
      // CHECK-NEXT: kernel.launch "linear" kernel "l" [@[[X]], @w1, @[[A:.*]]] results 1 static {act = "none"}
      %a = lm.linear %h <"layers.{layer}.w", "s", tensor<4x4xf8E4M3FN>> to [4] act "none" {kernel = "l"} as (tensor<?x4xf32>) -> tensor<?x4xf32>
      // Truth values are written whether set or not.
      // CHECK-NEXT: kernel.launch "rope" kernel "r" [@[[A]], "pos", @c0, @[[B:.*]]] results 1 static {dim = 2 : i64, first = 0 : i64, keep = true, pairs = "half"}
      %b = lm.rope %a array<f32: 1.0> first 0 dim 2 pairs "half" keep {kernel = "r"} as (tensor<?x4xf32>) -> tensor<?x4xf32>
      // CHECK-NEXT: kernel.launch "mla.append" kernel "m" [@[[B]], @[[B]], "pos", "seq", "pages", @latent] results 0
      %c = lm.mla.append %b, %b format "f32" {kernel = "m"} as (tensor<?x4xf32>, tensor<?x4xf32>) -> !lm.cache<"latent">
      // The last reader of what came in is before the last op, which writes over it: no copy.
      // CHECK-NEXT: kernel.launch "add" kernel "+" [@[[A]], @[[B]], @[[X]]] results 1 static {} tap ["hidden"]
      // CHECK-NEXT: }
      %y = lm.add %a, %b {kernel = "+", tap = ["hidden"]} as (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
      lm.yield %y : tensor<?x4xf32>
    }
    // CHECK: kernel.repeat 0 count 1
    // CHECK-NEXT: kernel.launch "take_rows" kernel "t" [@[[X]], "wanted", @[[L]]]
    %w = lm.take_rows %l {kernel = "t"} as (tensor<?x4xf32>) -> tensor<?x4xf32>
    lm.return ["logits", "hidden"] %w, %l : tensor<?x4xf32>, tensor<?x4xf32>
  }

  // What a layer makes while its input is still read cannot share its buffer.
  // CHECK-LABEL: kernel.entry @copies
  lm.entry @copies {
    // A step input is nobody's to write: the carried value starts as its copy.
    // CHECK: kernel.launch "copy" kernel "copy_rows" ["hidden", @[[H:.*]]] results 1
    %x = lm.input "hidden" width 4 as tensor<?x4xf32>
    // CHECK: kernel.repeat 0 count 2
    // CHECK-NEXT: kernel.launch "add" kernel "+" [@[[H]], @[[H]], @[[Y:.*]]] results 1
    // CHECK-NEXT: kernel.launch "copy" kernel "copy_rows" [@[[Y]], @[[H]]] results 1
    // CHECK-NEXT: {{^ *}$}}
    %l = lm.layers (%h = %x : tensor<?x4xf32>) from 0 to 2 at "" {
      %y = lm.add %h, %h {kernel = "+"} as (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
      lm.yield %y : tensor<?x4xf32>
    }
    lm.return ["hidden"] %l : tensor<?x4xf32>
  }

  // Two carried values that change places: one goes through a buffer of its own.
  // CHECK-LABEL: kernel.entry @swap
  lm.entry @swap {
    %x = lm.input "hidden" width 4 as tensor<?x4xf32>
    %a = lm.hadamard %x {kernel = "h"} as (tensor<?x4xf32>) -> tensor<?x4xf32>
    %b = lm.hadamard %a {kernel = "h"} as (tensor<?x4xf32>) -> tensor<?x4xf32>
    // CHECK: "hadamard" kernel "h" ["hidden", @[[A0:.*]]]
    // CHECK: "hadamard" kernel "h" [@[[A0]], @[[B:.*]]]
    // The first is read before the layers, too, but by then is theirs alone to write: it is copied.
    // CHECK: "copy" kernel "copy_rows" [@[[A0]], @[[A:.*]]]
    // CHECK: kernel.repeat 0 count 2
    // CHECK-NEXT: "copy" kernel "copy_rows" [@[[B]], @[[T1:.*]]] results 1
    // CHECK-NEXT: "copy" kernel "copy_rows" [@[[A]], @[[T2:.*]]] results 1
    // CHECK-NEXT: "copy" kernel "copy_rows" [@[[T1]], @[[A]]] results 1
    // CHECK-NEXT: "copy" kernel "copy_rows" [@[[T2]], @[[B]]] results 1
    %l:2 = lm.layers (%p = %a : tensor<?x4xf32>, %q = %b : tensor<?x4xf32>) from 0 to 2 at "" {
      lm.yield %q, %p : tensor<?x4xf32>, tensor<?x4xf32>
    }
    lm.return ["hidden"] %l#0 : tensor<?x4xf32>
  }

  // What comes out of no layer is still what went in, which others read: it is copied before layers write over it.
  // CHECK-LABEL: kernel.entry @shared
  lm.entry @shared {
    %x = lm.input "hidden" width 4 as tensor<?x4xf32>
    // CHECK: "hadamard" kernel "h" ["hidden", @[[A:.*]]]
    %a = lm.hadamard %x {kernel = "h"} as (tensor<?x4xf32>) -> tensor<?x4xf32>
    %none = lm.layers (%h = %a : tensor<?x4xf32>) from 0 to 0 at "" {
      lm.yield %h : tensor<?x4xf32>
    }
    // CHECK: "copy" kernel "copy_rows" [@[[A]], @[[H:.*]]]
    %l = lm.layers (%h = %none : tensor<?x4xf32>) from 0 to 2 at "" {
      %y = lm.hadamard %h {kernel = "h"} as (tensor<?x4xf32>) -> tensor<?x4xf32>
      lm.yield %y : tensor<?x4xf32>
    }
    // CHECK: "add" kernel "+" [@[[H]], @[[A]], @{{.*}}]
    %r = lm.add %l, %a {kernel = "+"} as (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
    lm.return ["hidden"] %r : tensor<?x4xf32>
  }

  // Attention over a scheduled selection: all positions where it did not run.
  // CHECK-LABEL: kernel.entry @sparse
  lm.entry @sparse {
    %x = lm.input "hidden" width 4 as tensor<?x4xf32>
    %q = lm.linear %x <"q", "", tensor<8x4xf32>> to [2, 4] act "none" {kernel = "l"} as (tensor<?x4xf32>) -> tensor<?x2x4xf32>
    %s = lm.input "hidden" width 4 as tensor<?x?xf32>
    // CHECK: "dsa.select" kernel "s" ["hidden", "pos", "seq", @[[I:.*]]] results 1 static {k = 4 : i64} above 4
    %i = lm.dsa.select %s top 4 {kernel = "s", above = 4} as (tensor<?x?xf32>) -> tensor<?x4xi32>
    %c = lm.mla.append %x, %x format "f32" {kernel = "m"} as (tensor<?x4xf32>, tensor<?x4xf32>) -> !lm.cache<"latent">
    // CHECK: "mla.attend_latent" kernel "a" [@[[Q:.*]], @[[Q]], @[[I]], "pos", "seq", "pages", @latent, @[[O:.*]]] results 1 {{.*}} above 4
    // CHECK-NEXT: "mla.attend_latent" kernel "a" [@[[Q]], @[[Q]], unit, "pos", "seq", "pages", @latent, @[[O]]] results 1 {{.*}} at_most 4
    %a = lm.mla.attend_latent %q, %q, %c, %i scale 0.125 format "f32" {kernel = "a"} as (tensor<?x2x4xf32>, tensor<?x2x4xf32>, !lm.cache<"latent">, tensor<?x4xi32>) -> tensor<?x2x4xf32>
    lm.return ["hidden"] %a : tensor<?x2x4xf32>
  }

  // Experts' rows are counted in M, whoever reads them.
  // CHECK: kernel.buffer @{{.*}} i32 [9]
  // CHECK-NEXT: kernel.buffer @{{.*}} i32 ["M"]
  // CHECK-NEXT: kernel.buffer @{{.*}} i32 ["T", 3]
  // CHECK: kernel.buffer @{{.*}} f32 ["M", 5]
  // CHECK: kernel.buffer @{{.*}} f32 ["M", 4]
  // CHECK-NEXT: kernel.buffer @{{.*}} f32 ["T", 4]
  lm.entry @experts {
    %x = lm.input "hidden" width 4 as tensor<?x4xf32>
    %w = lm.input "hidden" width 3 as tensor<?x3xf32>
    %e = lm.input "hidden" width 3 as tensor<?x3xi32>
    %o, %r, %s = lm.moe.dispatch %e experts 8 {kernel = "d"} as (tensor<?x3xi32>) -> (tensor<9xi32>, tensor<?xi32>, tensor<?x3xi32>)
    %i = lm.grouped_linear_silu_mul %x, %r, %o <"g", "", tensor<8x5x4xf32>> <"u", "", tensor<8x5x4xf32>> act "none" {kernel = "g"} as (tensor<?x4xf32>, tensor<?xi32>, tensor<9xi32>) -> tensor<?x5xf32>
    %d = lm.grouped_linear %i, %o <"d", "", tensor<8x4x5xf32>> act "none" {kernel = "g"} as (tensor<?x5xf32>, tensor<9xi32>) -> tensor<?x4xf32>
    %y = lm.moe.combine %d, %s, %w {kernel = "c"} as (tensor<?x4xf32>, tensor<?x3xi32>, tensor<?x3xf32>) -> tensor<?x4xf32>
    lm.return ["hidden"] %y : tensor<?x4xf32>
  }
}
