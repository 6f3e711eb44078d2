//===- LMRowOps.td - how ops over rows are declared -------------*- tablegen -*-===//
#ifndef MODELC_DIALECTS_LM_ROW_OPS
#define MODELC_DIALECTS_LM_ROW_OPS

include "dialects/lm/LMBase.td"

def LM_RowOpInterface : OpInterface<"RowOpInterface"> {
  let cppNamespace = "::modelc::lm";
  let description = [{An op over rows: its textual form and, for a primitive, its launch (see RowOpSpec).}];
  let methods = [InterfaceMethod<"The op's declaration.", "::modelc::lm::RowOpSpec", "getSpec", (ins),
                                 /*methodBody=*/[{ return ConcreteOp::spec(); }]>];
}

/// `operandKinds`, `resultKinds`: one letter a value: r rows, l latent handle, i index handle; `?` after one makes it optional.
/// `clauses`: attributes in the order they are written; `name` alone is positional, `name=` is written `name VALUE`,
/// `name!` is a flag.
/// `kernel` (primitives): tensors of the launch, results follow; then `|` static attributes, then `>` the leading size of each
/// result. A number is an operand (`?`: may be absent), @x a weight attribute, $x a step input, #x a constant, %x a cache.
/// Static attributes are written `name`, `name=attribute` where ops.md has another name, `name:0` with what an absent one
/// means, `name!` for a truth value.
class LM_RowOp<string mnemonic, string operandKinds, string clauses, string resultKinds, string kernel = "",
               list<Trait> traits = []>
    : LM_Op<mnemonic, !listconcat(traits, [LM_RowOpInterface])> {
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = "static ::modelc::lm::RowOpSpec spec() { return {\"" # operandKinds # "\", \"" # clauses # "\", \""
                              # resultKinds # "\", \"" # kernel # "\"}; }";
  let extraClassDefinition = [{
    ::mlir::ParseResult $cppClass::parse(::mlir::OpAsmParser &parser, ::mlir::OperationState &result) {
      return ::modelc::lm::parseRowOp(parser, result, spec());
    }
    void $cppClass::print(::mlir::OpAsmPrinter &printer) { ::modelc::lm::printRowOp(printer, *this, spec()); }
    ::llvm::LogicalResult $cppClass::verify() { return ::modelc::lm::verifyRowOp(*this, spec()); }
  }];
}

#endif  // MODELC_DIALECTS_LM_ROW_OPS
