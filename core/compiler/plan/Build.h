//===- Build.h - making primitives with inferred types ----------*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_PLAN_BUILD_H
#define MODELC_CORE_COMPILER_PLAN_BUILD_H

#include "dialects/lm/LM.h"
#include "mlir/IR/Builders.h"

namespace modelc {

/// Creates an op over rows; its result types follow from the operands. Operands and attributes that are null are left
/// out. The shapes were checked by lm-resolve, so inference fails only where a model's own sizes contradict each other;
/// the op then carries the diagnostic and keeps the type `!lm.rows`, which the verifier after the pass refuses.
template <typename OpT>
OpT build(mlir::OpBuilder &b, mlir::Location loc, mlir::ValueRange operands,
          llvm::ArrayRef<std::pair<llvm::StringRef, mlir::Attribute>> attributes = {}) {
  mlir::OperationState state(loc, OpT::getOperationName());
  for (mlir::Value operand : operands)
    if (operand)
      state.addOperands(operand);
  for (auto [name, value] : attributes)
    if (value)
      state.addAttribute(name, value);
  for (char kind : OpT::spec().resultKinds)
    state.addTypes(kind == 'l'   ? mlir::Type(lm::CacheType::get(b.getContext(), "latent"))
                   : kind == 'i' ? mlir::Type(lm::CacheType::get(b.getContext(), "index"))
                                 : mlir::Type(lm::RowsType::get(b.getContext())));
  auto op = llvm::cast<OpT>(b.create(state));
  llvm::SmallVector<mlir::Type> types;
  if (llvm::succeeded(lm::inferResultTypes(op, types)))
    for (auto [result, type] : llvm::zip(op->getResults(), types))
      result.setType(type);
  return op;
}

/// YaRN inverse frequencies of a rope table (resolved), float32 as the published code computes them.
llvm::SmallVector<float> inverseFrequencies(lm::RopeTableOp table);
/// What YaRN multiplies the attention scale by.
double attentionFactor(lm::RopeTableOp table);
/// The table an op names; null with a diagnostic when there is none.
lm::RopeTableOp ropeTableOf(mlir::Operation *op, mlir::FlatSymbolRefAttr name);

/// What the op behind a cache handle says of the cache's pages; null where it leaves that to lm-quantize.
inline mlir::StringAttr formatOf(mlir::Value cache) {
  mlir::Operation *writer = cache.getDefiningOp();
  return writer ? writer->getAttrOfType<mlir::StringAttr>("format") : mlir::StringAttr();
}

} // namespace modelc

#endif // MODELC_CORE_COMPILER_PLAN_BUILD_H
