//===- LMAttentionOps.td - latent attention and sparse selection -*- tablegen -*-===//
#ifndef MODELC_DIALECTS_LM_ATTENTION_OPS
#define MODELC_DIALECTS_LM_ATTENTION_OPS

include "dialects/lm/LMRowOps.td"
include "dialects/lm/LMSchedules.td"

def LM_MLALatentOp : LM_RowOp<"mla.latent", "r", "weight latent= rope= eps= format=", "l"> {
  let summary = "Append a row's latent and shared rope key to the cache (composite)";
  let description = [{Of `kv_a_proj_with_mqa`'s output: the first `latent` values are normed, the rest (the rope's dim) is roped in neighbour
    pairs; both go to the latent cache, whose pages hold `format`, where given, instead of what `lm-quantize` would choose.
    DeepSeek-V2, section 2.1.

        %c = lm.mla.latent %kv "kv_a_layernorm" latent @kv_lora_rank rope @rope eps @rms_norm_eps

    (C1) the row is latent + rope dim wide   (C2) format, where given, is f8, i8, bf16 or f32}];
  let arguments = (ins LM_Rows:$x, LM_Weight:$weight, LM_Size:$latent, FlatSymbolRefAttr:$rope, LM_Size:$eps,
                       OptionalAttr<StrAttr>:$format);
  let results = (outs LM_LatentCache:$cache);
}

def LM_MLAAttendOp : LM_RowOp<"mla.attend", "rlr?", "weight nope= value= rope= schedule=", "r"> {
  let summary = "Multi-head latent attention over the selected rows, or over all (composite)";
  let description = [{softmax(scale * (q_nope·W_UK c + q_rope·r)) W_UV c over the selected positions; `kv_b_proj` holds W_UK (nope rows) and
    W_UV (value rows) of each head. scale = (nope + rope)^-1/2 times YaRN's factor. Without a selection: every position seen.
    `lm-absorb-mla` moves W_UK to the query and W_UV behind the sum, so that attention reads latents alone.

        %o = lm.mla.attend %q, %c, %sel "kv_b_proj" nope @qk_nope_head_dim value @v_head_dim rope @rope

    (C1) q is [?, heads, nope + rope dim]}];
  let arguments = (ins LM_Rows:$q, LM_LatentCache:$cache, Optional<LM_Rows>:$sel, LM_Weight:$weight, LM_Size:$nope, LM_Size:$value,
                       FlatSymbolRefAttr:$rope, OptionalAttr<LM_MLASchedule>:$schedule);
  let results = (outs LM_Rows:$out);
}

def LM_MLAAppendOp : LM_RowOp<"mla.append", "rr", "format=", "l", "0 1 $pos $seq $pages %latent | format"> {
  let summary = "Write latent records";
  let description = [{(C1) format is f8, i8, bf16 or f32}];
  let arguments = (ins LM_Rows:$latent, LM_Rows:$key, OptionalAttr<StrAttr>:$format);
  let results = (outs LM_LatentCache:$cache);
}

def LM_MLAAttendLatentOp : LM_RowOp<"mla.attend_latent", "rrlr?", "scale= format= schedule=", "r",
    "0 1 3? $pos $seq $pages %latent | scale format"> {
  let summary = "Attention in latent space";
  let description = [{`out[t, h] = Σ_p softmax(scale * (q_lat·c_p + q_rope·r_p)) c_p` over the selected positions in ascending order. Against records
    of format i8, each q_lat[t, h] is rounded to int8 too, with a scale of its own.
    (C1) q_lat [?, heads, latent], q_rope [?, heads, rope]   (C2) sel is [?, k] of i32}];
  let arguments = (ins LM_Rows:$q_lat, LM_Rows:$q_rope, LM_LatentCache:$cache, Optional<LM_Rows>:$sel, F64Attr:$scale,
                       OptionalAttr<StrAttr>:$format, OptionalAttr<LM_MLASchedule>:$schedule);
  let results = (outs LM_Rows:$out);
}

def LM_MLAAttendExpandedOp : LM_RowOp<"mla.attend_expanded", "rrlr?", "weight nope= scale= format=", "r",
    "0 1 3? $pos $seq $pages %latent @weight | scale nope format"> {
  let summary = "Attention over keys and values of each head, made of latents";
  let description = [{`out[t, h] = Σ_p softmax(scale * (q_nope·W_UK c_p + q_rope·r_p)) W_UV c_p` over the selected positions in ascending order;
    q_nope is the first `nope` values of q[t, h], `weight` is kv_b_proj: of each head W_UK (nope rows), then W_UV.
    (C1) q [?, heads, at least nope], q_rope [?, heads, rope]   (C2) sel is [?, k] of i32   (C3) the weight's rows divide by the heads into
    more than nope each}];
  let arguments = (ins LM_Rows:$q, LM_Rows:$q_rope, LM_LatentCache:$cache, Optional<LM_Rows>:$sel, LM_Weight:$weight, LM_Size:$nope,
                       F64Attr:$scale, OptionalAttr<StrAttr>:$format);
  let results = (outs LM_Rows:$out);
}

def LM_MLAAttendPartsOp : LM_RowOp<"mla.attend_parts", "rrlr?", "parts= scale= format= schedule=", "r",
    "0 1 3? $pos $seq $pages %latent | scale parts format"> {
  let summary = "Attention in latent space, each row's keys in parts";
  let description = [{Made by `lm-split-keys`. Part i of n keys is keys i·⌈n/parts⌉ to (i+1)·⌈n/parts⌉ - 1 of `lm.mla.attend_latent`'s order;
    out[t, h, i] holds Σ e^(s - m) c_p of that part, then m, its largest score s (0 without keys), then Σ e^(s - m).
    (C1) and (C2) of `lm.mla.attend_latent`   (C3) parts is 1 to 64}];
  let arguments = (ins LM_Rows:$q_lat, LM_Rows:$q_rope, LM_LatentCache:$cache, Optional<LM_Rows>:$sel, I64Attr:$parts, F64Attr:$scale,
                       OptionalAttr<StrAttr>:$format, OptionalAttr<LM_MLASchedule>:$schedule);
  let results = (outs LM_Rows:$out);
}

def LM_MLAMergePartsOp : LM_RowOp<"mla.merge_parts", "r", "", "r", "0", [Pure]> {
  let summary = "Attention's result out of its parts";
  let description = [{out[t, h] of `lm.mla.attend_latent`, from what `lm.mla.attend_parts` gave. A row without keys gives zeros.
    (C1) x is [?, heads, parts, latent + 2]}];
  let arguments = (ins LM_Rows:$x);
  let results = (outs LM_Rows:$out);
}

def LM_DSAKeyOp : LM_RowOp<"dsa.key", "r", "weight norm dim= rope= pairs= eps= format=", "i"> {
  let summary = "Append a row's indexer key to the cache (composite)";
  let description = [{k = LayerNorm(wk x), roped on its first dimensions: in half-split pairs as DeepSeek-V3.2's lightning indexer does, or,
    with `pairs "interleaved"`, in neighbour pairs as GLM-5's does. `format` says what its pages hold, instead of what
    `lm-quantize` would choose.

        %k = lm.dsa.key %x "indexer.wk" "indexer.k_norm" dim @index_head_dim rope @rope eps 1.0e-6

    (C1) pairs, where given, is interleaved or half   (C2) format, where given, is f8, i8, bf16 or f32}];
  let arguments = (ins LM_Rows:$x, LM_Weight:$weight, LM_Weight:$norm, LM_Size:$dim, FlatSymbolRefAttr:$rope,
                       OptionalAttr<StrAttr>:$pairs, LM_Size:$eps, OptionalAttr<StrAttr>:$format,
                       OptionalAttr<LM_Weight>:$bias);
  let results = (outs LM_IndexCache:$cache);
}

def LM_DSAScoreOp : LM_RowOp<"dsa.score", "rri", "weight heads_weight heads= dim= rope= pairs= schedule=", "r"> {
  let summary = "Indexer scores of every position seen (composite)";
  let description = [{`score[t, c] = heads^-1/2 dim^-1/2 Σ_h w[t, h] relu(q[t, h]·k[c])`, q = wq_b q_latent roped in the same pairs
    as the keys (`lm.dsa.key`), w = weights_proj x.

        %s = lm.dsa.score %qn, %x, %k "indexer.wq_b" "indexer.weights_proj" heads @index_n_heads dim @index_head_dim rope @rope

    (C1) pairs, where given, is interleaved or half}];
  let arguments = (ins LM_Rows:$q_latent, LM_Rows:$x, LM_IndexCache:$cache, LM_Weight:$weight, LM_Weight:$heads_weight, LM_Size:$heads,
                       LM_Size:$dim, FlatSymbolRefAttr:$rope, OptionalAttr<StrAttr>:$pairs,
                       OptionalAttr<LM_DSASchedule>:$schedule);
  let results = (outs LM_Rows:$score);
}

def LM_DSAAppendOp : LM_RowOp<"dsa.append", "r", "format=", "i", "0 $pos $seq $pages %index | format"> {
  let summary = "Write indexer keys";
  let description = [{(C1) format is f8, i8, bf16 or f32}];
  let arguments = (ins LM_Rows:$key, OptionalAttr<StrAttr>:$format);
  let results = (outs LM_IndexCache:$cache);
}

def LM_DSALogitsOp : LM_RowOp<"dsa.logits", "rri", "scale= format= schedule=", "r", "0 1 $pos $seq $pages %index | scale format"> {
  let summary = "Indexer scores from roped queries and head weights";
  let description = [{`score[t, c] = scale Σ_h w[t, h] relu(q[t, h]·k[c])` for c <= pos[t]. The sum's order does not depend on the batch. Against keys
    of format i8, queries are rounded to int8 too, each with a scale of its own.
    (C1) q [?, heads, dim]   (C2) w [?, heads]}];
  let arguments = (ins LM_Rows:$q, LM_Rows:$w, LM_IndexCache:$cache, F64Attr:$scale, OptionalAttr<StrAttr>:$format,
                       OptionalAttr<LM_DSASchedule>:$schedule);
  let results = (outs LM_Rows:$score);
}

def LM_DSASelectOp : LM_RowOp<"dsa.select", "r", "top= schedule=", "r", "0 $pos $seq | k=top", [Pure]> {
  let summary = "Keep the best-scored positions of each row";
  let description = [{indices[t] = the `top` positions c <= pos[t] with the largest score, ascending; unused slots hold -1.

    The order is total: higher score first, then the lower position. Indexer scores are sums of ReLUs, so exact zeros are common
    and a tie at the last place is normal: the set must not depend on the batch, on padding, on threads or on the backend.
    -0 equals 0; NaN sorts last.

        %sel = lm.dsa.select %s top @index_topk

    (C1) 0 < top <= 65536}];
  let arguments = (ins LM_Rows:$score, LM_Size:$top, OptionalAttr<LM_DSASchedule>:$schedule);
  let results = (outs LM_Rows:$indices);
}

def LM_DSABlockScoresOp : LM_RowOp<"dsa.block_scores", "r", "block=", "r", "0 $pos $seq | block", [Pure]> {
  let summary = "Every position scored as the best of its block";
  let description = [{Blocks are runs of `block` positions from 0; the last one of a row ends at its own position. In front of `dsa.select` it
    makes the selection block-sparse: blocks are kept whole, the best first (the last place may hold part of one).

        %b = lm.dsa.block_scores %s block 16
        %sel = lm.dsa.select %b top @index_topk

    (C1) 0 < block <= 65536}];
  let arguments = (ins LM_Rows:$score, LM_Size:$block);
  let results = (outs LM_Rows:$out);
}

def LM_DSAWindowScoresOp : LM_RowOp<"dsa.window_scores", "r", "window=", "r", "0 $pos $seq | window", [Pure]> {
  let summary = "The newest positions scored above all others";
  let description = [{Scores of positions c > pos[t] - window become infinite, so that a `dsa.select` of at least `window` keeps them all and
    fills the rest with the best scored.

        %w = lm.dsa.window_scores %s window 32
        %sel = lm.dsa.select %w top @index_topk

    (C1) 0 < window <= 65536}];
  let arguments = (ins LM_Rows:$score, LM_Size:$window);
  let results = (outs LM_Rows:$out);
}

def LM_DSALogitsSelectOp : LM_RowOp<"dsa.logits_select", "rri", "scale= format= top=", "r",
    "0 1 $pos $seq $pages %index | scale format k=top"> {
  let summary = "`dsa.logits` and `dsa.select` without the scores in memory";
  let arguments = (ins LM_Rows:$q, LM_Rows:$w, LM_IndexCache:$cache, F64Attr:$scale, OptionalAttr<StrAttr>:$format, LM_Size:$top);
  let results = (outs LM_Rows:$indices);
}

#endif  // MODELC_DIALECTS_LM_ATTENTION_OPS
