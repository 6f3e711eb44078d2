//===- Lower.h - a kernel's function in the LLVM dialect --------*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_CODEGEN_LOWER_H
#define MODELC_CORE_COMPILER_CODEGEN_LOWER_H

#include "dialects/kernel/Kernel.h"
#include "mlir/IR/BuiltinOps.h"

namespace modelc::codegen {

constexpr llvm::StringLiteral kEntryName = "modelc_kernel"; // a modelc_code_fn
constexpr llvm::StringLiteral kScratchAttr = "modelc.scratch";

/// A module of the LLVM dialect with the entry and the function of `code`, which is to be inlined into it.
mlir::FailureOr<mlir::OwningOpRef<mlir::ModuleOp>> lowerToLLVM(kernel::CodeOp code);

} // namespace modelc::codegen

#endif // MODELC_CORE_COMPILER_CODEGEN_LOWER_H
