//===- Plan.cpp - lm-plan: composites to primitives -----------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/plan/Build.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

namespace modelc {
#define GEN_PASS_DEF_LMPLAN
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

struct Planner {
  OpBuilder b;
  Location loc;

  Attribute num(int64_t n) { return b.getI64IntegerAttr(n); }
  Attribute sizes(ArrayRef<int64_t> values) {
    SmallVector<Attribute> attrs;
    for (int64_t v : values)
      attrs.push_back(num(v));
    return b.getArrayAttr(attrs);
  }
  Value rope(Value x, RopeTableOp table, int64_t first, StringRef pairs, bool keep) {
    return build<RopeOp>(b, loc, {x},
                         {{"inv_freq", b.getDenseF32ArrayAttr(inverseFrequencies(table))},
                          {"first", num(first)},
                          {"dim", num(sizeOf(table.getDim()))},
                          {"pairs", b.getStringAttr(pairs)},
                          {"keep", keep ? Attribute(b.getUnitAttr()) : Attribute()}})
        .getOut();
  }

  LogicalResult latent(MLALatentOp op) {
    RopeTableOp table = ropeTableOf(op, op.getRopeAttr());
    if (!table)
      return failure();
    const int64_t latent = sizeOf(op.getLatent());
    auto x = cast<RankedTensorType>(op.getX().getType());
    if (x.getRank() != 2 || x.getDimSize(1) != latent + sizeOf(table.getDim()))
      return op.emitOpError("(C1) the row is ")
             << x << "; want latent " << latent << " + rope " << sizeOf(table.getDim());
    auto normed =
        build<RmsNormOp>(b, loc, {op.getX()},
                         {{"weight", op.getWeight()}, {"eps", op.getEps()}, {"first", num(0)}, {"width", num(latent)}});
    Value key = rope(op.getX(), table, latent, "interleaved", /*keep=*/false);
    auto append = build<MLAAppendOp>(b, loc, {normed.getOut(), key}, {{"format", op.getFormatAttr()}});
    op.getCache().replaceAllUsesWith(append.getCache());
    op.erase();
    return success();
  }

  LogicalResult key(DSAKeyOp op) {
    RopeTableOp table = ropeTableOf(op, op.getRopeAttr());
    if (!table)
      return failure();
    auto k = build<LinearOp>(b, loc, {op.getX()}, {{"weight", op.getWeight()}, {"to", b.getArrayAttr(op.getDim())}});
    auto normed = build<LayerNormOp>(
        b, loc, {k.getOut()},
        {{"weight", op.getNorm()}, {"bias", op.getBias().value_or(Attribute())}, {"eps", op.getEps()}});
    Value roped = rope(normed.getOut(), table, 0, op.getPairs().value_or("half"), /*keep=*/true);
    auto append = build<DSAAppendOp>(b, loc, {roped}, {{"format", op.getFormatAttr()}});
    op.getCache().replaceAllUsesWith(append.getCache());
    op.erase();
    return success();
  }

  LogicalResult score(DSAScoreOp op) {
    RopeTableOp table = ropeTableOf(op, op.getRopeAttr());
    if (!table)
      return failure();
    const int64_t heads = sizeOf(op.getHeads()), dim = sizeOf(op.getDim());
    auto q = build<LinearOp>(b, loc, {op.getQLatent()}, {{"weight", op.getWeight()}, {"to", sizes({heads, dim})}});
    auto w =
        build<LinearOp>(b, loc, {op.getX()},
                        {{"weight", op.getHeadsWeight()}, {"to", sizes({heads})}, {"unquantized", b.getUnitAttr()}});
    auto logits = build<DSALogitsOp>(
        b, loc, {rope(q.getOut(), table, 0, op.getPairs().value_or("half"), /*keep=*/true), w.getOut(), op.getCache()},
        {{"scale", b.getF64FloatAttr(1 / std::sqrt(double(heads) * double(dim)))},
         {"format", formatOf(op.getCache())},
         {kSchedule, op.getScheduleAttr()}});
    if (Attribute tap = op->getAttr("tap"))
      logits->setAttr("tap", tap);
    op.getScore().replaceAllUsesWith(logits.getScore());
    op.erase();
    return success();
  }

  LogicalResult ffn(FfnOp op) {
    auto inner = build<LinearSiluMulOp>(b, loc, {op.getX()},
                                        {{"gate", op.getGate().value_or(Attribute())},
                                         {"up", op.getUp().value_or(Attribute())},
                                         {"inner", op.getInner()}});
    auto width = cast<RankedTensorType>(op.getX().getType()).getDimSize(1);
    auto out = build<LinearOp>(b, loc, {inner.getOut()},
                               {{"weight", op.getDown().value_or(Attribute())}, {"to", sizes({width})}});
    op.getOut().replaceAllUsesWith(out.getOut());
    op.erase();
    return success();
  }

  LogicalResult experts(MoEExpertsOp op) {
    auto dispatch = build<MoEDispatchOp>(b, loc, {op.getExperts_()}, {{"experts", op.getExperts()}});
    auto inner = build<GroupedLinearSiluMulOp>(
        b, loc, {op.getX(), dispatch.getRows(), dispatch.getOffsets()},
        {{"gate", op.getGate().value_or(Attribute())}, {"up", op.getUp().value_or(Attribute())}});
    auto outer = build<GroupedLinearOp>(b, loc, {inner.getOut(), dispatch.getOffsets()},
                                        {{"weight", op.getDown().value_or(Attribute())}});
    auto combine = build<MoECombineOp>(b, loc, {outer.getOut(), dispatch.getSlot(), op.getWeights(), op.getBase()});
    op.getOut().replaceAllUsesWith(combine.getOut());
    op.erase();
    return success();
  }
};

struct LMPlan : modelc::impl::LMPlanBase<LMPlan> {
  void runOnOperation() override {
    if (failed(checkResolved(getOperation())))
      return signalPassFailure();
    SmallVector<Operation *> composites;
    getOperation().walk([&](Operation *op) {
      if (isa<MLALatentOp, DSAKeyOp, DSAScoreOp, FfnOp, MoEExpertsOp>(op))
        composites.push_back(op);
    });
    for (Operation *op : composites) {
      Planner planner{OpBuilder(op), op->getLoc()};
      LogicalResult result = llvm::TypeSwitch<Operation *, LogicalResult>(op)
                                 .Case([&](MLALatentOp o) { return planner.latent(o); })
                                 .Case([&](DSAKeyOp o) { return planner.key(o); })
                                 .Case([&](DSAScoreOp o) { return planner.score(o); })
                                 .Case([&](FfnOp o) { return planner.ffn(o); })
                                 .Case([&](MoEExpertsOp o) { return planner.experts(o); });
      if (failed(result))
        return signalPassFailure();
    }
  }
};

} // namespace
