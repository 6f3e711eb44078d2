//===- LM.h - the lm dialect ------------------------------------*- C++ -*-===//
//
// Ops, types and attributes (generated from the .td files beside it), and what is shared by all ops over rows: their
// textual form, their shapes and their launches.
//
//===----------------------------------------------------------------------===//
#ifndef MODELC_DIALECTS_LM_LM_H
#define MODELC_DIALECTS_LM_LM_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace modelc::lm {

/// How an op over rows is written and, for a primitive, launched; the letters are explained in LMRowOps.td.
struct RowOpSpec {
  llvm::StringLiteral operandKinds;
  llvm::StringLiteral clauses;
  llvm::StringLiteral resultKinds;
  llvm::StringLiteral kernel;
};

mlir::ParseResult parseRowOp(mlir::OpAsmParser &parser, mlir::OperationState &result, RowOpSpec spec);
void printRowOp(mlir::OpAsmPrinter &printer, mlir::Operation *op, RowOpSpec spec);
llvm::LogicalResult verifyRowOp(mlir::Operation *op, RowOpSpec spec);

} // namespace modelc::lm

#include "dialects/lm/LMDialect.h.inc"
#include "dialects/lm/LMEnums.h.inc"
#include "dialects/lm/LMInterfaces.h.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/lm/LMAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/lm/LMTypes.h.inc"
#define GET_OP_CLASSES
#include "dialects/lm/LM.h.inc"

namespace modelc::lm {

/// The result types an op's operand types, sizes and weights give: the one place that knows shapes. Operands and sizes
/// must be resolved. Fails with a diagnostic naming the constraint.
llvm::LogicalResult inferResultTypes(mlir::Operation *op, llvm::SmallVectorImpl<mlir::Type> &types);

/// One tensor of a launch, in the order of plugins/abi/ops.md.
struct KernelOperand {
  enum Kind { None, Value, Weight, Input, Constant, Cache } kind = None;
  mlir::Value value;    // Value; a Cache's handle needs none
  mlir::Attribute attr; // Weight (WeightAttr) or Constant (DenseF32ArrayAttr)
  llvm::StringRef name; // Input ("pos"), Cache ("latent")
};

/// A primitive's launch as its declaration says it.
struct KernelCall {
  llvm::StringRef op;                                                        // row of ops.md
  llvm::SmallVector<KernelOperand> operands;                                 // without results
  llvm::SmallVector<std::pair<llvm::StringRef, mlir::Attribute>> attributes; // ops.md's name, value
  llvm::SmallVector<char> resultRows; // leading size of each result: T N M, or - for a static one
};
/// True for ops that are rows of ops.md.
bool isPrimitive(mlir::Operation *op);
KernelCall getKernelCall(RowOpInterface op);

/// What a weight may be converted to when it is loaded.
inline bool isWeightFormat(llvm::StringRef format) { return format == "bf16" || format == "int8" || format == "int4"; }
/// What pages of a cache hold (plugins/abi/cache.md).
inline bool isCacheFormat(llvm::StringRef format) {
  return format == "f8" || format == "i8" || format == "bf16" || format == "f32";
}

/// The attribute that says how an op is computed (`#lm.dsa`, `#lm.mla`, `#lm.moe`).
constexpr llvm::StringLiteral kSchedule = "schedule";
/// True for primitives that have one.
bool hasSchedule(mlir::Operation *op);
/// The op's schedule with other code and all else left open: what an op without one starts from.
mlir::Attribute makeSchedule(mlir::Operation *op, CodeSource code);
/// True where a schedule asks for generated code; an op without one asks for none.
bool isGenerated(mlir::Attribute schedule);
inline bool isGenerated(mlir::Operation *op) { return isGenerated(op->getAttr(kSchedule)); }
/// What generated code has to know of a schedule, by the names of its parameters; absent ones are left out.
llvm::SmallVector<mlir::NamedAttribute> codeParameters(mlir::Attribute schedule);
/// What tells ops of a name apart for a schedule: static sizes of operands, and what of the attributes counts. The
/// op must have ranked types. "?x64x128 ?x64 format=f8"
std::string shapeKey(mlir::Operation *op);

/// Fails, with a diagnostic, where an op below `root` is still in source form: rows without shapes, sizes by name. For
/// passes behind lm-resolve.
mlir::LogicalResult checkResolved(mlir::Operation *root);

/// The number of a resolved size attribute.
inline int64_t sizeOf(mlir::Attribute attr) {
  if (auto i = llvm::dyn_cast<mlir::IntegerAttr>(attr))
    return i.getInt();
  return static_cast<int64_t>(llvm::cast<mlir::FloatAttr>(attr).getValueAsDouble());
}
/// The same as a double.
inline double numberOf(mlir::Attribute attr) {
  if (auto i = llvm::dyn_cast<mlir::IntegerAttr>(attr))
    return static_cast<double>(i.getInt());
  return llvm::cast<mlir::FloatAttr>(attr).getValueAsDouble();
}

} // namespace modelc::lm

#endif // MODELC_DIALECTS_LM_LM_H
