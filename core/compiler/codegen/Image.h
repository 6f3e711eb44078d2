//===- Image.h - from a function to machine code ----------------*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_CODEGEN_IMAGE_H
#define MODELC_CORE_COMPILER_CODEGEN_IMAGE_H

#include "dialects/kernel/Kernel.h"
#include "plugins/manifest/manifest.h"

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace modelc::codegen {

/// What lowering to LLVM needs to know of the dialects; to be registered before a context runs passes.
void registerLowering(mlir::DialectRegistry &registry);

/// Compiles the function inside `code` for `target` and puts an image (plugins/abi/codegen.md) in its place. Fails with
/// a diagnostic where LLVM does not know the target, or the code would need something outside of itself.
llvm::LogicalResult compileToImage(kernel::CodeOp code, const CodegenTarget &target);

} // namespace modelc::codegen

#endif // MODELC_CORE_COMPILER_CODEGEN_IMAGE_H
