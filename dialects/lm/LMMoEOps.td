//===- LMMoEOps.td - mixtures of experts ------------------------*- tablegen -*-===//
#ifndef MODELC_DIALECTS_LM_MOE_OPS
#define MODELC_DIALECTS_LM_MOE_OPS

include "dialects/lm/LMRowOps.td"
include "dialects/lm/LMSchedules.td"

def LM_MoERouteOp : LM_RowOp<"moe.route", "r", "bias groups= pick= top= scale= normalize= schedule=", "rr",
    "0 @bias | groups topk_group=pick scale normalize!", [Pure]> {
  let summary = "Group-limited choice of experts";
  let description = [{s = sigmoid(logits). The choice is by s + bias: a group's score is the sum of its two best, the best `pick` of `groups` groups
    stay, then the best `top` experts; ties go to the lower index. Weights are s of the chosen, normalized where `normalize` is not
    0, times `scale`. Experts ascend. DeepSeek-V3, section 2.1.2 (`noaux_tc`).

        %w, %e = lm.moe.route %g "gate.e_score_correction_bias" groups @n_group pick @topk_group top @num_experts_per_tok
                 scale @routed_scaling_factor normalize @norm_topk_prob

    (C1) groups divides the experts   (C2) pick <= groups   (C3) top <= pick * (experts / groups)}];
  let arguments = (ins LM_Rows:$logits, LM_Weight:$bias, LM_Size:$groups, LM_Size:$pick, LM_Size:$top, LM_Size:$scale,
                       LM_Size:$normalize, OptionalAttr<LM_MoESchedule>:$schedule);
  let results = (outs LM_Rows:$weights, LM_Rows:$experts);
}

def LM_MoEExpertsOp : LM_RowOp<"moe.experts", "rrrr?", "at experts= inner=", "r"> {
  let summary = "The chosen experts' feed-forwards, weighted, plus the shared expert's (composite)";
  let description = [{`out[t] = base[t] + Σ_a w[t, a] ffn_{e[t, a]}(x[t])`; weights `AT.{expert}.gate_proj`, `up_proj`, `down_proj`.

        %r = lm.moe.experts %x, %w, %e, %s "experts" experts @n_routed_experts inner @moe_intermediate_size}];
  let arguments = (ins LM_Rows:$x, LM_Rows:$weights, LM_Rows:$experts_, Optional<LM_Rows>:$base, StrAttr:$at, LM_Size:$experts, LM_Size:$inner,
                       OptionalAttr<LM_Weight>:$gate, OptionalAttr<LM_Weight>:$up, OptionalAttr<LM_Weight>:$down);
  let results = (outs LM_Rows:$out);
}

def LM_MoEDispatchOp : LM_RowOp<"moe.dispatch", "r", "experts=", "rrr", "0 | experts > -,M,T", [Pure]> {
  let summary = "Stable sort of (row, choice) by expert";
  let description = [{offsets[e] ... offsets[e+1] - 1 are expert e's places; rows[m] the row at place m; slot[t, a] the place of t's a-th choice.}];
  let arguments = (ins LM_Rows:$chosen, I64Attr:$experts);
  let results = (outs LM_Rows:$offsets, LM_Rows:$rows, LM_Rows:$slot);
}

def LM_GroupedLinearSiluMulOp : LM_RowOp<"grouped_linear_silu_mul", "rrr", "gate up act=", "r", "0 1 2 @gate @up | act > M", [Pure]> {
  let summary = "The experts' gated units over dispatched rows";
  let arguments = (ins LM_Rows:$x, LM_Rows:$rows, LM_Rows:$offsets, LM_Weight:$gate, LM_Weight:$up, OptionalAttr<StrAttr>:$act);
  let results = (outs LM_Rows:$out);
}

def LM_GroupedLinearOp : LM_RowOp<"grouped_linear", "rr", "weight act=", "r", "0 1 @weight | act > M", [Pure]> {
  let summary = "One matrix per expert over its segment of rows";
  let arguments = (ins LM_Rows:$x, LM_Rows:$offsets, LM_Weight:$weight, OptionalAttr<StrAttr>:$act);
  let results = (outs LM_Rows:$out);
}

def LM_MoECombineOp : LM_RowOp<"moe.combine", "rrrr?", "", "r", "0 1 2 3?", [Pure]> {
  let summary = "Weighted sum of the experts' answers, in order of choice, on top of `base`";
  let arguments = (ins LM_Rows:$y, LM_Rows:$slot, LM_Rows:$weights, Optional<LM_Rows>:$base);
  let results = (outs LM_Rows:$out);
}

#endif  // MODELC_DIALECTS_LM_MOE_OPS
