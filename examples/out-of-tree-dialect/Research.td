//===- Research.td - a dialect outside modelc's tree ------------*- tablegen -*-===//
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Research_Dialect : Dialect {
  let name = "research";
  let cppNamespace = "::research";
  let summary = "Selection rules that modelc does not have";
}

def Research_SelectRecentOp : Op<Research_Dialect, "select_recent", [Pure, SameOperandsAndResultType]> {
  let summary = "The newest positions, and the best-scored of the others by blocks";
  let description = [{
    Of `top` positions the newest `recent` are always selected; the rest of the budget goes to whole blocks of `block` positions, best
    first. `lower-research` makes ops of the lm dialect of it.

        %sel = research.select_recent %s top @index_topk recent 32 block 16 : !lm.rows

    (C1) recent and block are positive
  }];
  let arguments = (ins AnyType:$score, AnyAttr:$top, I64Attr:$recent, I64Attr:$block);
  let results = (outs AnyType:$indices);
  let assemblyFormat = "$score `top` $top `recent` $recent `block` $block attr-dict `:` type($score)";
  let hasVerifier = 1;
}
