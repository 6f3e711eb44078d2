//===- Fuse.cpp - lm-fuse: the closed set of fusions ----------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/manifest/ManifestSource.h"
#include "core/compiler/plan/Build.h"

namespace modelc {
#define GEN_PASS_DEF_LMFUSE
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

// norm(a + b): the sum is kept, as the residual stream goes on.
void fuseAddNorm(RmsNormOp norm) {
  auto add = norm.getX().getDefiningOp<AddOp>();
  if (!add || add->getBlock() != norm->getBlock() || add->hasAttr("tap") || norm->hasAttr("tap") || norm.getFirst() ||
      norm.getWidth())
    return;
  // Other users of the sum must come after the place of the fused op.
  for (Operation *user : add->getUsers())
    if (user->getBlock() != norm->getBlock() || user->isBeforeInBlock(norm))
      return;
  OpBuilder b(norm);
  auto fused = build<AddRmsNormOp>(b, norm.getLoc(), {add.getA(), add.getB()},
                                   {{"weight", norm.getWeight()}, {"eps", norm.getEps()}});
  add.getOut().replaceAllUsesWith(fused.getSum());
  norm.getOut().replaceAllUsesWith(fused.getOut());
  norm.erase();
  add.erase();
}

bool apart(DSAScheduleAttr schedule) { return schedule && schedule.getFuse() && !schedule.getFuse().getValue(); }

void fuseSelect(DSASelectOp select) {
  auto logits = select.getScore().getDefiningOp<DSALogitsOp>();
  if (!logits || !logits->hasOneUse() || isGenerated(logits) || isGenerated(select) ||
      apart(logits.getScheduleAttr()) || apart(select.getScheduleAttr()))
    return;
  OpBuilder b(select);
  auto fused = build<DSALogitsSelectOp>(b, select.getLoc(), {logits.getQ(), logits.getW(), logits.getCache()},
                                        {{"scale", logits.getScaleAttr()},
                                         {"format", logits.getFormatAttr()},
                                         {"top", select.getTop()},
                                         {"tap", select->getAttr("tap")}});
  select.getIndices().replaceAllUsesWith(fused.getIndices());
  select.erase();
  logits.erase();
}

class LMFuse : public modelc::impl::LMFuseBase<LMFuse> {
public:
  using LMFuseBase::LMFuseBase;
  LMFuse(std::string manifest, bool keep) : source(std::move(manifest)) { keepScores = keep; }

  LogicalResult initialize(MLIRContext *context) override { return source.load(manifestFile, context); }

  void runOnOperation() override {
    SmallVector<RmsNormOp> norms;
    SmallVector<DSASelectOp> selects;
    getOperation().walk([&](RmsNormOp op) { norms.push_back(op); });
    getOperation().walk([&](DSASelectOp op) { selects.push_back(op); });
    if (source->HasOp("add_rms_norm"))
      llvm::for_each(norms, fuseAddNorm);
    if (source->HasOp("dsa.logits_select") && !keepScores)
      llvm::for_each(selects, fuseSelect);
  }

private:
  ManifestSource source;
};

} // namespace

std::unique_ptr<Pass> modelc::createLMFuse(std::string manifest, bool keepScores) {
  return std::make_unique<LMFuse>(std::move(manifest), keepScores);
}
