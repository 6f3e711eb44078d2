//===- LMLinearOps.td - embeddings, matrices, norms, positions --*- tablegen -*-===//
#ifndef MODELC_DIALECTS_LM_LINEAR_OPS
#define MODELC_DIALECTS_LM_LINEAR_OPS

include "dialects/lm/LMRowOps.td"

def LM_EmbedOp : LM_RowOp<"embed", "r", "weight to=", "r", "0 @weight", [Pure]> {
  let summary = "Rows of an embedding table";
  let description = [{`out[t] = table[ids[t]]`; `to [vocabulary, width]` is the table's shape.

        %x = lm.embed %ids "model.embed_tokens" to [@vocab_size, @hidden_size]

    (C1) `to` has two sizes}];
  let arguments = (ins LM_Rows:$ids, LM_Weight:$weight, LM_Sizes:$to);
  let results = (outs LM_Rows:$out);
}

def LM_LinearOp : LM_RowOp<"linear", "r", "weight to= unquantized! act=", "r", "0 @weight | act", [Pure]> {
  let summary = "Matrix product with a weight of the checkpoint";
  let description = [{`out[t] = W x[t]`, W [product of `to`, K], FP8 with 128x128 block scales, bf16 or f32 as the checkpoint has it.
    Several sizes in `to` shape each row, as in `[heads, width]`. A quantized model keeps `unquantized` ones in bf16.
    `act` (set by `lm-quantize`) rounds x to e4m3 in groups of 128 first.

        %q = lm.linear %qn "q_b_proj" to [@num_attention_heads, @qk_head_dim]

    (C1) `to` has one or two sizes   (C2) x has a static width   (C3) a resolved weight is [product of to, width of x]}];
  let arguments = (ins LM_Rows:$x, LM_Weight:$weight, LM_Sizes:$to, UnitAttr:$unquantized, OptionalAttr<StrAttr>:$act);
  let results = (outs LM_Rows:$out);
}

def LM_LinearSiluMulOp : LM_RowOp<"linear_silu_mul", "r", "gate up inner= act=", "r", "0 @gate @up | act", [Pure]> {
  let summary = "Gated unit: silu(Wg x) * (Wu x)";
  let description = [{Primitive of `lm.ffn`. (C1) both weights are [inner, width of x]}];
  let arguments = (ins LM_Rows:$x, LM_Weight:$gate, LM_Weight:$up, LM_Size:$inner, OptionalAttr<StrAttr>:$act);
  let results = (outs LM_Rows:$out);
}

def LM_FfnOp : LM_RowOp<"ffn", "r", "inner= at=", "r"> {
  let summary = "Gated feed-forward: down(silu(gate x) * (up x))";
  let description = [{Composite; weights `gate_proj`, `up_proj`, `down_proj` below `at` (empty: the scope itself).

        %y = lm.ffn %x inner @intermediate_size}];
  let arguments = (ins LM_Rows:$x, LM_Size:$inner, OptionalAttr<StrAttr>:$at, OptionalAttr<LM_Weight>:$gate,
                       OptionalAttr<LM_Weight>:$up, OptionalAttr<LM_Weight>:$down);
  let results = (outs LM_Rows:$out);
}

def LM_HeadLinearOp : LM_RowOp<"head_linear", "r", "weight x_first= x_count= first= count= transposed!", "r",
    "0 @weight | x_first x_count first count transposed!", [Pure]> {
  let summary = "One matrix per head, rows of a shared weight";
  let description = [{Per head, rows first ... first + count - 1 of its share of the weight: `Wh xh`, or `Whᵀ xh` when transposed; xh is
    x[t, h, x_first : x_first + x_count]. Both halves of `kv_b_proj` in absorbed MLA. (C1) x is [?, heads, width]
    (C2) the weight's rows divide by the heads (C3) the ranges lie inside (C4) x_count equals the contracted size}];
  let arguments = (ins LM_Rows:$x, LM_Weight:$weight, I64Attr:$x_first, I64Attr:$x_count, I64Attr:$first, I64Attr:$count,
                       UnitAttr:$transposed);
  let results = (outs LM_Rows:$out);
}

def LM_RmsNormOp : LM_RowOp<"rms_norm", "r", "weight eps= first= width=", "r", "0 @weight | eps first:0", [Pure]> {
  let summary = "Root-mean-square norm";
  let description = [{`out = x / sqrt(mean(x²) + eps) * w` over x[first : first + width]; the whole row by default.

        %n = lm.rms_norm %x "input_layernorm" eps @rms_norm_eps

    (C1) first + width lies inside the row}];
  let arguments = (ins LM_Rows:$x, LM_Weight:$weight, LM_Size:$eps, OptionalAttr<LM_Size>:$first, OptionalAttr<LM_Size>:$width);
  let results = (outs LM_Rows:$out);
}

def LM_AddRmsNormOp : LM_RowOp<"add_rms_norm", "rr", "weight eps=", "rr", "0 1 @weight | eps", [Pure]> {
  let summary = "Residual sum and its norm";
  let description = [{`sum = x + residual; out = rms_norm(sum)`. Made by `lm-fuse`. (C1) both operands have one shape}];
  let arguments = (ins LM_Rows:$x, LM_Rows:$residual, LM_Weight:$weight, LM_Size:$eps);
  let results = (outs LM_Rows:$sum, LM_Rows:$out);
}

def LM_LayerNormOp : LM_RowOp<"layer_norm", "r", "weight bias eps=", "r", "0 @weight @bias | eps", [Pure]> {
  let summary = "Layer norm with weight and bias";
  let arguments = (ins LM_Rows:$x, LM_Weight:$weight, LM_Weight:$bias, LM_Size:$eps);
  let results = (outs LM_Rows:$out);
}

def LM_AddOp : LM_RowOp<"add", "rr", "", "r", "0 1", [Pure]> {
  let summary = "Sum of two rows";
  let description = [{(C1) both operands have one shape}];
  let arguments = (ins LM_Rows:$a, LM_Rows:$b);
  let results = (outs LM_Rows:$out);
}

def LM_ConcatOp : LM_RowOp<"concat", "rr", "", "r", "0 1", [Pure]> {
  let summary = "Two rows end to end";
  let arguments = (ins LM_Rows:$a, LM_Rows:$b);
  let results = (outs LM_Rows:$out);
}

def LM_TakeRowsOp : LM_RowOp<"take_rows", "r", "", "r", "0 $wanted > N", [Pure]> {
  let summary = "The rows that want logits";
  let arguments = (ins LM_Rows:$x);
  let results = (outs LM_Rows:$out);
}

def LM_RopeOp : LM_RowOp<"rope", "r", "inv_freq first= dim= pairs= keep!", "r", "0 $pos #inv_freq | first dim pairs keep!", [Pure]> {
  let summary = "Rotary position embedding of part of each row";
  let description = [{Rotates x[..., first : first + dim] by position * inv_freq. MLA pairs neighbours (`interleaved`), the indexer pairs
    halves (`half`). `keep` copies the rest of the row, else the result is the rotated part. (C1) dim / 2 frequencies
    (C2) the range lies inside the row (C3) pairs is interleaved or half}];
  let arguments = (ins LM_Rows:$x, DenseF32ArrayAttr:$inv_freq, I64Attr:$first, I64Attr:$dim, StrAttr:$pairs, UnitAttr:$keep);
  let results = (outs LM_Rows:$out);
}

def LM_HadamardOp : LM_RowOp<"hadamard", "r", "", "r", "0", [Pure]> {
  let summary = "Orthonormal Walsh-Hadamard transform of the last dimension";
  let description = [{(C1) the last dimension is a power of two}];
  let arguments = (ins LM_Rows:$x);
  let results = (outs LM_Rows:$out);
}

def LM_FakeQuantizeOp : LM_RowOp<"fake_quantize", "r", "", "r", "0", [Pure]> {
  let summary = "Round trip through e4m3 in groups of 128 with power-of-two scales";
  let arguments = (ins LM_Rows:$x);
  let results = (outs LM_Rows:$out);
}

#endif  // MODELC_DIALECTS_LM_LINEAR_OPS
