//===- LMConditions.cpp - lm-conditions ---------------------------------------===//
#include "core/compiler/Passes.h"
#include "dialects/lm/LM.h"
#include "mlir/IR/Builders.h"

namespace modelc {
#define GEN_PASS_DEF_LMCONDITIONS
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

// The threshold under which nobody needs the op's results; null when somebody always does.
Attribute neededAbove(Operation &op) {
  if (isa<DSASelectOp, DSALogitsSelectOp>(op))
    return Builder(op.getContext()).getI64IntegerAttr(sizeOf(op.getAttr("top")));
  Attribute above;
  for (Operation *user : op.getUsers()) {
    Attribute users = user->getBlock() == op.getBlock() ? user->getAttr("above") : Attribute();
    if (!users || (above && users != above))
      return {};
    above = users;
  }
  return above;
}

struct LMConditions : modelc::impl::LMConditionsBase<LMConditions> {
  void runOnOperation() override {
    if (failed(checkResolved(getOperation())))
      return signalPassFailure();
    getOperation().walk([&](Block *block) {
      // Users come after makers, so one backward sweep is enough.
      for (Operation &op : llvm::reverse(*block))
        if (isPrimitive(&op) && !isa<DSAAppendOp, MLAAppendOp>(op))
          if (Attribute above = neededAbove(op))
            op.setAttr("above", above);
    });
  }
};

} // namespace
