//===- Weights.h - which weights an op reads, and checking them -*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_RESOLVE_WEIGHTS_H
#define MODELC_CORE_COMPILER_RESOLVE_WEIGHTS_H

#include "core/compiler/compiler.h"
#include "dialects/lm/LM.h"

namespace modelc {

/// A weight an op reads: where its resolved attribute goes, its name below the scopes, and what it must look like.
struct WeightUse {
  llvm::StringRef attribute;
  std::string name;                 // full, with ".weight", {layer} and {expert} in it
  llvm::SmallVector<int64_t> shape; // with the expert dimension first
  bool quantizable = false;         // FP8 in a quantized checkpoint
};

/// Of a source op whose operands and sizes are resolved; `scope` ends with a dot or is empty.
llvm::SmallVector<WeightUse> weightsOf(mlir::Operation *op, llvm::StringRef scope);

/// Finds weights in a checkpoint (or decides their types without one) and collects everything that does not fit.
class WeightResolver {
public:
  WeightResolver(const TensorIndex *checkpoint, bool quantized, mlir::MLIRContext *context)
      : checkpoint(checkpoint), quantized(quantized), context(context) {}

  /// The attribute for layers first ... last - 1 (ignored by names without {layer}); null when something does not fit.
  lm::WeightAttr resolve(const WeightUse &use, int64_t firstLayer, int64_t lastLayer);
  /// Reports all problems found, at `op`; success when there were none.
  llvm::LogicalResult report(mlir::Operation *op);

private:
  void check(const std::string &name, llvm::ArrayRef<int64_t> shape, DType &dtype, bool &first, bool quantizable);

  const TensorIndex *checkpoint;
  bool quantized;
  mlir::MLIRContext *context;
  std::vector<std::string> problems;
};

} // namespace modelc

#endif // MODELC_CORE_COMPILER_RESOLVE_WEIGHTS_H
