//===- LMStructureOps.td - models, parameters, blocks, layers ---*- tablegen -*-===//
#ifndef MODELC_DIALECTS_LM_STRUCTURE_OPS
#define MODELC_DIALECTS_LM_STRUCTURE_OPS

include "dialects/lm/LMBase.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"

def LM_ModelOp : LM_Op<"model", [IsolatedFromAbove, NoTerminator, SingleBlock, SymbolTable, Symbol]> {
  let summary = "A model: parameters, blocks and entry functions";
  let description = [{
    `expects` lists config keys that must have a given value for the file to describe the checkpoint at hand; a config that
    says otherwise is refused.

        lm.model @deepseek_v3_2 expects {hidden_act = "silu"} {
          lm.param @hidden_size = 7168
          lm.entry @step { ... }
        }
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, OptionalAttr<DictionaryAttr>:$expects);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name (`expects` $expects^)? attr-dict-with-keyword $body";
}

def LM_ParamOp : LM_Op<"param", [Symbol, HasParent<"ModelOp">]> {
  let summary = "A named number of the model";
  let description = [{
    With a default, which a config.json key of the same name (or the one after `from`, dots descending into objects)
    overrides; or computed from two other parameters. A config that lacks the key is refused, unless `else` says what then holds.

        lm.param @hidden_size = 7168
        lm.param @rope_factor = 40.0 from "rope_scaling.factor" else 1.0
        lm.param @qk_head_dim = @qk_nope_head_dim + @qk_rope_head_dim

    (C1) a computed parameter names two parameters and `+` or `*`   (C2) a computed parameter has no `from`
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, LM_Size:$value, OptionalAttr<StrAttr>:$combine,
                       OptionalAttr<LM_Size>:$rhs, OptionalAttr<StrAttr>:$from, OptionalAttr<LM_Size>:$otherwise);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def LM_RopeTableOp : LM_Op<"rope_table", [Symbol, HasParent<"ModelOp">]> {
  let summary = "Rotary position embedding, with YaRN scaling where given";
  let description = [{
    Frequencies theta^(-2i/dim); with `yarn`, divided by `factor` below the ramp between `beta_fast` and `beta_slow` rotations over
    `original` positions (YaRN; `rope_scaling` of config.json). Attention over it multiplies its scale by
    (0.1 * mscale_all_dim * ln(factor) + 1)^2 when factor > 1.

        lm.rope_table @rope dim @qk_rope_head_dim theta @rope_theta yarn [@factor, @original, @beta_fast, @beta_slow, @mscale_all_dim]

    (C1) five YaRN numbers   (C2) dim is even and positive
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, LM_Size:$dim, LM_Size:$theta, OptionalAttr<LM_Sizes>:$yarn);
  let assemblyFormat = "$sym_name `dim` custom<Size>($dim) `theta` custom<Size>($theta) (`yarn` $yarn^)? attr-dict";
  let hasVerifier = 1;
}

def LM_BlockOp : LM_Op<"block", [Symbol, HasParent<"ModelOp">, IsolatedFromAbove, SingleBlock]> {
  let summary = "A named piece of a layer, called with `lm.call`";
  let description = [{
    Names in its body are relative to `at`. `lm-resolve` inlines calls.

        lm.block @dense_ffn(%x) at "mlp" {
          %y = lm.ffn %x inner @intermediate_size
          lm.yield %y
        }
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$scope);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
}

def LM_CallOp : LM_Op<"call"> {
  let summary = "Use a block";
  let description = [{`%y = lm.call @attention(%x)`. (C1) the block exists and takes as many values (C2) and yields as many}];
  let arguments = (ins FlatSymbolRefAttr:$callee, Variadic<LM_Rows>:$operands_);
  let results = (outs Variadic<LM_Rows>:$results_);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def LM_YieldOp : LM_Op<"yield", [Terminator, ParentOneOf<["BlockOp", "LayersOp"]>]> {
  let summary = "The values of a block or of a layer";
  let arguments = (ins Variadic<AnyType>:$values);
  let hasCustomAssemblyFormat = 1;
}

def LM_LayersOp : LM_Op<"layers", [SingleBlock, RecursiveMemoryEffects]> {
  let summary = "A run of layers of one kind";
  let description = [{
    Runs its body for layer = from ... to - 1; `{layer}` in `at` and in weight names is that number. The body is compiled once
    however many layers there are. Carried values start at the operands; with one layer at most there may be none, and
    the results are what the body yields.

        %y = lm.layers (%h = %x) from 0 to @first_k_dense_replace at "model.layers.{layer}" { ... lm.yield %z }

    (C1) body arguments match the operands   (C2) as many values are yielded as there are results
    (C3) 0 <= from <= to   (C4) more than one layer: yielded types equal the carried ones
  }];
  let arguments = (ins Variadic<LM_Rows>:$init, LM_Size:$from, LM_Size:$to, StrAttr:$scope);
  let results = (outs Variadic<LM_Rows>:$results_);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def LM_EntryOp : LM_Op<"entry", [Symbol, HasParent<"ModelOp">, SingleBlock]> {
  let summary = "A function a runtime calls";
  let description = [{
    `step`: ids to logits and final hidden states. `draft`: hidden states of t and ids of t+1 to logits of t+2 (multi-token
    prediction). An entry with `when @param` is dropped when that parameter is 0.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, OptionalAttr<LM_Size>:$when);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name (`when` custom<Size>($when)^)? attr-dict-with-keyword $body";
}

def LM_ReturnOp : LM_Op<"return", [Terminator, HasParent<"EntryOp">]> {
  let summary = "The named results of an entry";
  let description = [{`lm.return ["logits", "hidden"] %l, %h`. (C1) one name per value}];
  let arguments = (ins StrArrayAttr:$names, Variadic<LM_Rows>:$values);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def LM_InputOp : LM_Op<"input", [Pure]> {
  let summary = "What the host gives a step: `ids` or `hidden`";
  let description = [{(C1) the kind is ids or hidden (C2) hidden has a width}];
  let arguments = (ins StrAttr:$kind, OptionalAttr<LM_Size>:$width);
  let results = (outs LM_Rows:$out);
  let assemblyFormat = "$kind (`width` custom<Size>($width)^)? attr-dict custom<RowTypes>(type($out))";
  let hasVerifier = 1;
}

#endif  // MODELC_DIALECTS_LM_STRUCTURE_OPS
