//===- Patterns.h - which ops shall run generated code ----------*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_CODEGEN_PATTERNS_H
#define MODELC_CORE_COMPILER_CODEGEN_PATTERNS_H

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/GlobPattern.h"

namespace modelc::codegen {

/// Op names with wildcards and commas between: "dsa.*,moe.route".
class Patterns {
public:
  /// Fails with a diagnostic at a pattern that cannot be read, or that no op with generated code matches.
  llvm::LogicalResult parse(llvm::StringRef text, mlir::MLIRContext *context);
  bool match(llvm::StringRef op) const {
    return llvm::any_of(patterns, [&](const llvm::GlobPattern &pattern) { return pattern.match(op); });
  }

private:
  std::vector<llvm::GlobPattern> patterns;
};

} // namespace modelc::codegen

#endif // MODELC_CORE_COMPILER_CODEGEN_PATTERNS_H
