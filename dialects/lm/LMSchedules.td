//===- LMSchedules.td - how an op is to be computed -------------*- tablegen -*-===//
//
// What a schedule says never changes what an op means: any schedule gives the op's result, in another time.
//
//===----------------------------------------------------------------------===//
#ifndef MODELC_DIALECTS_LM_SCHEDULES
#define MODELC_DIALECTS_LM_SCHEDULES

include "dialects/lm/LMBase.td"
include "mlir/IR/EnumAttr.td"

def LM_Code : I32EnumAttr<"CodeSource", "where an op's code comes from",
                          [I32EnumAttrCase<"Library", 0, "library">, I32EnumAttrCase<"Generated", 1, "generated">]> {
  let cppNamespace = "::modelc::lm";
  let genSpecializedAttr = 0;
}
def LM_Selection : I32EnumAttr<"Selection", "how the k best scores are found",
                               [I32EnumAttrCase<"Blocks", 0, "blocks">, I32EnumAttrCase<"Threshold", 1, "threshold">,
                           I32EnumAttrCase<"Bits", 2, "bits">, I32EnumAttrCase<"Heap", 3, "heap">]> {
  let cppNamespace = "::modelc::lm";
  let genSpecializedAttr = 0;
}
def LM_Order : I32EnumAttr<"Order", "which loop over work items is the outer one",
                           [I32EnumAttrCase<"Rows", 0, "rows">, I32EnumAttrCase<"Keys", 1, "keys">]> {
  let cppNamespace = "::modelc::lm";
  let genSpecializedAttr = 0;
}
def LM_Gather : I32EnumAttr<"Gather", "who shares records that are read",
                            [I32EnumAttrCase<"Row", 0, "row">, I32EnumAttrCase<"Page", 1, "page">]> {
  let cppNamespace = "::modelc::lm";
  let genSpecializedAttr = 0;
}
def LM_Form : I32EnumAttr<"Form", "what attention reads",
                          [I32EnumAttrCase<"Absorbed", 0, "absorbed">, I32EnumAttrCase<"Expanded", 1, "expanded">]> {
  let cppNamespace = "::modelc::lm";
  let genSpecializedAttr = 0;
}
def LM_CodeParameter : EnumParameter<LM_Code>;
def LM_OrderParameter : EnumParameter<LM_Order> { let defaultValue = "::modelc::lm::Order::Rows"; }
def LM_GatherParameter : EnumParameter<LM_Gather> { let defaultValue = "::modelc::lm::Gather::Row"; }
def LM_FormParameter : EnumParameter<LM_Form> { let defaultValue = "::modelc::lm::Form::Absorbed"; }
def LM_SelectionParameter : EnumParameter<LM_Selection> { let defaultValue = "::modelc::lm::Selection::Blocks"; }

class LM_Schedule<string name, string mnemonic> : LM_Attr<name # "Schedule", mnemonic> {
  let assemblyFormat = "`<` struct(params) `>`";
  let genVerifyDecl = 1;
}

def LM_DSASchedule : LM_Schedule<"DSA", "dsa"> {
  let summary = "Scores of the lightning indexer, and the selection after them";
  let description = [{
    `code` is `library` (a kernel of the plugin) or `generated`. `fuse = false` keeps scoring and selection two launches where a
    kernel could do both; generated code always is two. Of generated scores, `rows` rows share the keys of `pages` pages
    that one work item reads, and `order` says which items follow each other: those of the same `rows` (the default), whose queries stay in
    the cache, or those of the same `keys`. Of a generated selection, `select` is the algorithm: `threshold` (one pass keeps what is
    above a running threshold, which may rise every `block` scores), `blocks`, the default (the same after the maxima of blocks of
    `block` scores, or of larger ones that make 2k blocks: the k-th best maximum is a threshold to begin with, and blocks below it are
    passed by), `bits` (the k-th best is found bit by bit over all scores, then one pass keeps what reaches it) or `heap`
    (the k best so far in a heap, then one pass keeps what is not worse than its root).

        #lm.dsa<code = generated, rows = 8, pages = 16>

    A parameter that is absent is left to `lm-schedule`.

    (C1) rows and pages are 1 to 64   (C2) block is 8 to 65536}];
  let parameters = (ins LM_CodeParameter:$code, OptionalParameter<"::mlir::BoolAttr">:$fuse, OptionalParameter<"int64_t">:$rows,
                        OptionalParameter<"int64_t">:$pages, LM_OrderParameter:$order, LM_SelectionParameter:$select,
                        OptionalParameter<"int64_t">:$block);
}

def LM_MLASchedule : LM_Schedule<"MLA", "mla"> {
  let summary = "Attention over latents";
  let description = [{
    `form` says what attention reads: latents, with kv_b_proj absorbed into queries and results (`absorbed`, the default), or keys and
    values of each head, which a kernel makes of them (`expanded`). Expanding costs as much for one row as for all rows of a sequence
    in the step: it pays for long prompts in large steps, and never for decoding. `lm-absorb-mla` reads it.

    `code` as for `#lm.dsa`. Of generated code, `heads` heads of a row are one work item, which widens `keys` records at a time for all of them.
    `split` cuts each row's keys into so many parts, work items of their own, that a second launch merges (`lm-split-keys`);
    `order` says which items follow each other, the parts of a row (`rows`, the default) or the same part of all rows (`keys`). With
    `gather = page` an item is `rows` rows, which go through the positions together, `keys` of them at a time: a record that several rows
    want is read and widened once. With `gather = row`, the default, each row reads its own.

        #lm.mla<code = generated, keys = 64, heads = 32>
        #lm.mla<code = generated, gather = page, rows = 8>
        #lm.mla<code = library, form = expanded>

    (C1) keys is 1 to 1024   (C2) heads is 1 to 256   (C3) split and rows are 1 to 64   (C4) only the library attends expanded}];
  let parameters = (ins LM_CodeParameter:$code, LM_FormParameter:$form, OptionalParameter<"int64_t">:$split,
                        LM_OrderParameter:$order, LM_GatherParameter:$gather, OptionalParameter<"int64_t">:$rows,
                        OptionalParameter<"int64_t">:$keys, OptionalParameter<"int64_t">:$heads);
}

def LM_MoESchedule : LM_Schedule<"MoE", "moe"> {
  let summary = "Choice of experts";
  let description = [{`code` as for `#lm.dsa`.

        #lm.moe<code = generated>}];
  let parameters = (ins LM_CodeParameter:$code);
  let genVerifyDecl = 0;
}

#endif  // MODELC_DIALECTS_LM_SCHEDULES
