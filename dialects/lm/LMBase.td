//===- LMBase.td - the lm dialect, its types and attributes ----*- tablegen -*-===//
#ifndef MODELC_DIALECTS_LM_BASE
#define MODELC_DIALECTS_LM_BASE

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/OpBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def LM_Dialect : Dialect {
  let name = "lm";
  let cppNamespace = "::modelc::lm";
  let summary = "Language models with latent attention, sparse selection and mixtures of experts";
  let description = [{
    A file holds one `lm.model`: named sizes (`lm.param`), blocks, and entry functions. Values are batches of *rows*, one
    row per token in flight, so no op mentions batch or sequence: attention ops find them through the cache handle.
    Weight names are the checkpoint's, relative to the scopes (`at "..."`) around them.

    The same ops serve two levels. In *source* form values have type `!lm.rows` and sizes are parameters. `lm-resolve` turns
    values into ranked tensors (leading dimension `?`: the rows), parameters into numbers and names into `#lm.weight`
    attributes checked against the checkpoint. Composite ops (`lm.mla.latent`, `lm.mla.attend`, `lm.dsa.key`, `lm.dsa.score`,
    `lm.moe.experts`, `lm.ffn`) are then replaced by *primitives*, each a row of plugins/abi/ops.md.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

class LM_Type<string name, string typeMnemonic> : TypeDef<LM_Dialect, name> { let mnemonic = typeMnemonic; }
class LM_Attr<string name, string attrMnemonic> : AttrDef<LM_Dialect, name> { let mnemonic = attrMnemonic; }

def LM_RowsType : LM_Type<"Rows", "rows"> {
  let summary = "Rows of a shape not yet resolved";
  let description = [{One row per token in flight; `lm-resolve` gives it a shape and an element type.}];
}

def LM_CacheType : LM_Type<"Cache", "cache"> {
  let summary = "Handle of one layer's pages of a cache: `latent` or `index`";
  let description = [{
    Stands for the effect of an append, so that a reader comes after its writer. The pages' bytes are fixed by
    plugins/abi/cache.md.
  }];
  let parameters = (ins StringRefParameter<"latent or index">:$kind);
  let assemblyFormat = "`<` $kind `>`";
  let genVerifyDecl = 1;
}

def LM_WeightAttr : LM_Attr<"Weight", "weight"> {
  let summary = "A tensor of the checkpoint, found and checked";
  let description = [{
    `name` may hold `{layer}` (the number of the layer around it) and `{expert}` (all experts stacked along a new first
    dimension). `scale` names the float32 scales of 128x128 blocks, or is empty. `format` (set by `lm-quantize`: bf16, int8 or
    int4) is what the weight is converted to when it is loaded, and what kernels then read.

        #lm.weight<"model.layers.{layer}.mlp.gate.weight", "", tensor<256x7168xbf16>>
        #lm.weight<"model.layers.{layer}.self_attn.o_proj.weight", "…weight_scale_inv", tensor<7168x16384xf8E4M3FN>, "int8">

    Ops write it without `#lm.weight`.
  }];
  let parameters = (ins StringRefParameter<>:$name, StringRefParameter<>:$scale, "::mlir::RankedTensorType":$type,
                        OptionalParameter<"::mlir::StringAttr">:$format);
  let assemblyFormat = "`<` $name `,` $scale `,` $type (`,` $format^)? `>`";
  let genVerifyDecl = 1;
}

def LM_Rows : AnyTypeOf<[LM_RowsType, AnyRankedTensor], "rows or a ranked tensor">;
def LM_LatentCache : Type<CPred<"::llvm::isa<CacheType>($_self) && ::llvm::cast<CacheType>($_self).getKind() == \"latent\"">,
                          "latent cache handle">, BuildableType<"::modelc::lm::CacheType::get($_builder.getContext(), \"latent\")">;
def LM_IndexCache : Type<CPred<"::llvm::isa<CacheType>($_self) && ::llvm::cast<CacheType>($_self).getKind() == \"index\"">,
                         "index cache handle">, BuildableType<"::modelc::lm::CacheType::get($_builder.getContext(), \"index\")">;

/// A number, or the name of a parameter that holds one.
def LM_Size : Attr<CPred<"::llvm::isa<::mlir::IntegerAttr, ::mlir::FloatAttr, ::mlir::FlatSymbolRefAttr>($_self)">,
                   "a number or a parameter"> { let storageType = "::mlir::Attribute"; let returnType = "::mlir::Attribute"; let convertFromStorage = "$_self"; }
def LM_Sizes : TypedArrayAttrBase<LM_Size, "sizes">;
/// A name in the checkpoint, relative to its scopes, or what it resolved to.
def LM_Weight : Attr<CPred<"::llvm::isa<::mlir::StringAttr, ::modelc::lm::WeightAttr>($_self)">, "a weight's name"> {
  let storageType = "::mlir::Attribute"; let returnType = "::mlir::Attribute"; let convertFromStorage = "$_self"; }

class LM_Op<string mnemonic, list<Trait> traits = []> : Op<LM_Dialect, mnemonic, traits>;

#endif  // MODELC_DIALECTS_LM_BASE
