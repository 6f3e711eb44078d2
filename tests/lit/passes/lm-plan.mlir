// RUN: modelc opt %s --until lm-plan | FileCheck %s

// CHECK-LABEL: lm.entry @step
lm.model @m {
  lm.rope_table @rope dim 2 theta 10000 yarn [1, 1, 1, 1, 0]
  lm.entry @step {
    // CHECK: %[[X:.*]] = lm.input "hidden"
    %x = lm.input "hidden" width 12

    // The latent is the normed first part of the row, the key its roped rest: neighbours pair.
    // CHECK: %[[KV:.*]] = lm.linear %[[X]] <"kv.weight"
    // CHECK: %[[N:.*]] = lm.rms_norm %[[KV]] <"norm.weight", "", tensor<8xbf16>> eps {{.*}} first 0 width 8
    // CHECK: %[[R:.*]] = lm.rope %[[KV]] {{.*}} first 8 dim 2 pairs "interleaved" as
    // CHECK: lm.mla.append %[[N]], %[[R]]
    %kv = lm.linear %x "kv" to [10]
    %c = lm.mla.latent %kv "norm" latent 8 rope @rope eps 1.0e-6

    // The indexer ropes its first dimensions, in halves, and keeps the rest.
    // CHECK: %[[WK:.*]] = lm.linear %[[X]] <"wk.weight"
    // CHECK: %[[KN:.*]] = lm.layer_norm %[[WK]] <"k_norm.weight", {{.*}}> <"k_norm.bias", {{.*}}>
    // CHECK: %[[KR:.*]] = lm.rope %[[KN]] {{.*}} first 0 dim 2 pairs "half" keep
    // CHECK: %[[K:.*]] = lm.dsa.append %[[KR]]
    %k = lm.dsa.key %x "wk" "k_norm" dim 4 rope @rope eps 1.0e-6

    // 1/sqrt(heads * dim); the tap moves along.
    // CHECK: %[[Q:.*]] = lm.linear %[[X]] <"wq_b.weight", {{.*}}> to [4, 4]
    // CHECK: %[[W:.*]] = lm.linear %[[X]] <"weights_proj.weight", "", tensor<4x12xbf16>> to [4] unquantized
    // CHECK: %[[QR:.*]] = lm.rope %[[Q]] {{.*}} first 0 dim 2 pairs "half" keep
    // CHECK: lm.dsa.logits %[[QR]], %[[W]], %[[K]] scale 2.500000e-01 {tap = ["index_scores"]}
    %s = lm.dsa.score %x, %x, %k "wq_b" "weights_proj" heads 4 dim 4 rope @rope {tap = ["index_scores"]}
    %sel = lm.dsa.select %s top 16

    // CHECK: %[[G:.*]] = lm.linear_silu_mul %[[X]] <"ffn.gate_proj.weight", {{.*}}> <"ffn.up_proj.weight", {{.*}}> inner 32
    // CHECK: %[[B:.*]] = lm.linear %[[G]] <"ffn.down_proj.weight", {{.*}}tensor<12x32xf8E4M3FN>> to [12]
    %f = lm.ffn %x inner 32 at "ffn"

    // CHECK: %[[RW:.*]], %[[E:.*]] = lm.moe.route
    %g = lm.linear %x "gate" to [8] unquantized
    %w, %e = lm.moe.route %g "bias" groups 4 pick 2 top 3 scale 2.5 normalize 1
    // CHECK: %[[OFF:.*]], %[[ROWS:.*]], %[[SLOT:.*]] = lm.moe.dispatch %[[E]] experts 8
    // CHECK: %[[I:.*]] = lm.grouped_linear_silu_mul %[[X]], %[[ROWS]], %[[OFF]] <"experts.{expert}.gate_proj.weight", {{.*}}tensor<8x4x12xf8E4M3FN>>
    // CHECK: %[[D:.*]] = lm.grouped_linear %[[I]], %[[OFF]] <"experts.{expert}.down_proj.weight", {{.*}}tensor<8x12x4xf8E4M3FN>>
    // CHECK: lm.moe.combine %[[D]], %[[SLOT]], %[[RW]], %[[B]]
    %y = lm.moe.experts %x, %w, %e, %f "experts" experts 8 inner 4
    lm.return ["hidden"] %y
  }
}
