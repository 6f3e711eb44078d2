//===- Kernel.h - the kernel dialect ----------------------------*- C++ -*-===//
#ifndef MODELC_DIALECTS_KERNEL_KERNEL_H
#define MODELC_DIALECTS_KERNEL_KERNEL_H

#include "core/program/program.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"

#include "dialects/kernel/KernelDialect.h.inc"
#define GET_OP_CLASSES
#include "dialects/kernel/Kernel.h.inc"

namespace modelc::kernel {

/// The name of the kernel of a launch that runs generated code.
constexpr llvm::StringLiteral kGenerated = "generated";

/// A buffer dimension: 7168, "T" or "8*T".
mlir::FailureOr<Dim> parseDim(mlir::Attribute attr);
mlir::Attribute dimAttr(mlir::MLIRContext *context, const Dim &dim);
/// A step input by name ("pos").
std::optional<Input> parseInput(llvm::StringRef name);

} // namespace modelc::kernel

#endif // MODELC_DIALECTS_KERNEL_KERNEL_H
