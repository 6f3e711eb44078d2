// RUN: modelc opt %s | FileCheck %s
// RUN: modelc opt %s | modelc opt | FileCheck %s

// CHECK-LABEL: lm.block @attention
lm.model @source {
  lm.rope_table @rope dim 4 theta 10000 yarn [1, 1, 1, 1, 0]
  lm.block @attention(%x) at "self_attn" {
    %c = lm.mla.latent %x "norm" latent 8 rope @rope eps 1.0e-6
    %k = lm.dsa.key %x "wk" "k_norm" dim 8 rope @rope eps 1.0e-6
    // CHECK: lm.dsa.score {{.*}} rope @rope schedule #lm.dsa<code = generated, rows = 4, pages = 2>
    %s = lm.dsa.score %x, %x, %k "wq_b" "weights_proj" heads 2 dim 8 rope @rope schedule #lm.dsa<pages = 2, code = generated, rows = 4>
    // CHECK: lm.dsa.select {{.*}} top 16 schedule #lm.dsa<code = generated, select = bits> {tap = ["topk_indices"]}
    %sel = lm.dsa.select %s top 16 schedule #lm.dsa<code = generated, select = bits> {tap = ["topk_indices"]}
    // CHECK: lm.dsa.select {{.*}} top 16 schedule #lm.dsa<code = library, fuse = false>
    %sel2 = lm.dsa.select %s top 16 schedule #lm.dsa<code = library, fuse = false>
    // CHECK: lm.dsa.select {{.*}} top 16 schedule #lm.dsa<code = generated, select = threshold, block = 64>
    %sel3 = lm.dsa.select %s top 16 schedule #lm.dsa<code = generated, select = threshold, block = 64>
    // CHECK: lm.dsa.select {{.*}} top 16 schedule #lm.dsa<code = generated, select = heap>
    %sel4 = lm.dsa.select %s top 16 schedule #lm.dsa<code = generated, select = heap>
    // CHECK: lm.dsa.select {{.*}} top 16 schedule #lm.dsa<code = generated, block = 16>
    %sel5 = lm.dsa.select %s top 16 schedule #lm.dsa<block = 16, select = blocks, code = generated>
    // CHECK: lm.mla.attend {{.*}} schedule #lm.mla<code = generated, keys = 16, heads = 8>
    %a = lm.mla.attend %x, %c, %sel "kv_b" nope 4 value 4 rope @rope schedule #lm.mla<code = generated, keys = 16, heads = 8>
    // CHECK: lm.mla.attend {{.*}} schedule #lm.mla<code = library, form = expanded>
    %a2 = lm.mla.attend %x, %c, %sel "kv_b" nope 4 value 4 rope @rope schedule #lm.mla<code = library, form = expanded>
    // CHECK: lm.mla.attend {{.*}} schedule #lm.mla<code = generated, split = 2, order = keys, gather = page, rows = 8>
    %a3 = lm.mla.attend %x, %c, %sel "kv_b" nope 4 value 4 rope @rope schedule #lm.mla<rows = 8, gather = page, order = keys, split = 2, code = generated>
    // What is the default is not printed.
    // CHECK: lm.mla.attend {{.*}} schedule #lm.mla<code = generated>
    %a4 = lm.mla.attend %x, %c, %sel "kv_b" nope 4 value 4 rope @rope schedule #lm.mla<code = generated, form = absorbed, order = rows, gather = row>
    // CHECK: lm.dsa.score {{.*}} schedule #lm.dsa<code = generated, order = keys>
    %s2 = lm.dsa.score %x, %x, %k "wq_b" "weights_proj" heads 2 dim 8 rope @rope schedule #lm.dsa<code = generated, order = keys>
    // CHECK: lm.moe.route {{.*}} normalize 1 schedule #lm.moe<code = library>
    %w, %e = lm.moe.route %a "bias" groups 2 pick 1 top 2 scale 1.0 normalize 1 schedule #lm.moe<code = library>
    lm.yield %a
  }
}
