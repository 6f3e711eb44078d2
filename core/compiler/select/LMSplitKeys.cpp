//===- LMSplitKeys.cpp - lm-split-keys ------------------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/plan/Build.h"

namespace modelc {
#define GEN_PASS_DEF_LMSPLITKEYS
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

void split(MLAAttendLatentOp op, MLAScheduleAttr schedule) {
  OpBuilder b(op);
  auto parts = build<MLAAttendPartsOp>(b, op.getLoc(), op->getOperands(),
                                       {{"parts", b.getI64IntegerAttr(schedule.getSplit())},
                                        {"scale", op.getScaleAttr()},
                                        {"format", op.getFormatAttr()},
                                        {kSchedule, schedule}});
  auto merged = build<MLAMergePartsOp>(b, op.getLoc(), {parts.getOut()}, {{"tap", op->getAttr("tap")}});
  op.getOut().replaceAllUsesWith(merged.getOut());
  op.erase();
}

struct LMSplitKeys : modelc::impl::LMSplitKeysBase<LMSplitKeys> {
  void runOnOperation() override {
    if (failed(checkResolved(getOperation())))
      return signalPassFailure();
    getOperation().walk([](MLAAttendLatentOp op) {
      if (auto schedule = op.getSchedule(); isGenerated(op) && schedule->getSplit() > 1)
        split(op, *schedule);
    });
  }
};

} // namespace
