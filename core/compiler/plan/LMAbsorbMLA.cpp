//===- AbsorbMLA.cpp - lm-absorb-mla --------------------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/plan/Build.h"

#include <cmath>

namespace modelc {
#define GEN_PASS_DEF_LMABSORBMLA
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

// score = q_nope·(W_UK c) + q_rope·r = (W_UKᵀ q_nope)·c + q_rope·r, and Σ a (W_UV c) = W_UV (Σ a c): per head two small
// products with kv_b_proj's halves, and attention reads one latent for all heads.
static LogicalResult absorbOrExpand(MLAAttendOp op) {
  RopeTableOp rope = ropeTableOf(op, op.getRopeAttr());
  if (!rope)
    return failure();
  OpBuilder b(op);
  Location loc = op.getLoc();
  const int64_t nope = sizeOf(op.getNope()), value = sizeOf(op.getValue()), dim = sizeOf(rope.getDim());
  auto q = cast<RankedTensorType>(op.getQ().getType());
  if (q.getRank() != 3 || q.getDimSize(2) != nope + dim)
    return op.emitOpError("(C1) q is ") << q << "; want [?, heads, " << nope + dim << "]";
  auto weight = dyn_cast<WeightAttr>(op.getWeight());
  if (!weight)
    return op.emitOpError("has an unresolved weight; run lm-resolve first");
  auto num = [&](int64_t n) -> Attribute { return b.getI64IntegerAttr(n); };

  auto ropedQuery = build<RopeOp>(b, loc, {op.getQ()},
                                  {{"inv_freq", b.getDenseF32ArrayAttr(inverseFrequencies(rope))},
                                   {"first", num(nope)},
                                   {"dim", num(dim)},
                                   {"pairs", b.getStringAttr("interleaved")}});
  const double scale = attentionFactor(rope) / std::sqrt(double(nope + dim));
  if (op.getSchedule() && op.getSchedule()->getForm() == Form::Expanded) {
    auto expanded = build<MLAAttendExpandedOp>(b, loc, {op.getQ(), ropedQuery.getOut(), op.getCache(), op.getSel()},
                                               {{"weight", weight},
                                                {"nope", num(nope)},
                                                {"scale", b.getF64FloatAttr(scale)},
                                                {"format", formatOf(op.getCache())}});
    op.getOut().replaceAllUsesWith(expanded.getOut());
    op.erase();
    return success();
  }
  auto query = build<HeadLinearOp>(b, loc, {op.getQ()},
                                   {{"weight", weight},
                                    {"x_first", num(0)},
                                    {"x_count", num(nope)},
                                    {"first", num(0)},
                                    {"count", num(nope)},
                                    {"transposed", b.getUnitAttr()}});
  auto attend = build<MLAAttendLatentOp>(b, loc, {query.getOut(), ropedQuery.getOut(), op.getCache(), op.getSel()},
                                         {{"scale", b.getF64FloatAttr(scale)},
                                          {"format", formatOf(op.getCache())},
                                          {kSchedule, op.getScheduleAttr()}});
  auto out = build<HeadLinearOp>(b, loc, {attend.getOut()},
                                 {{"weight", weight},
                                  {"x_first", num(0)},
                                  {"x_count", num(weight.getType().getDimSize(1))},
                                  {"first", num(nope)},
                                  {"count", num(value)}});
  op.getOut().replaceAllUsesWith(out.getOut());
  op.erase();
  return success();
}

namespace {
struct LMAbsorbMLA : modelc::impl::LMAbsorbMLABase<LMAbsorbMLA> {
  void runOnOperation() override {
    if (failed(checkResolved(getOperation())))
      return signalPassFailure();
    SmallVector<MLAAttendOp> ops;
    getOperation().walk([&](MLAAttendOp op) { ops.push_back(op); });
    for (MLAAttendOp op : ops)
      if (failed(absorbOrExpand(op)))
        return signalPassFailure();
  }
};
} // namespace
