//===- LMShapes.cpp - the shape rules of every op over rows ---------------===//
#include "dialects/lm/LM.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace modelc::lm;

namespace {

constexpr int64_t kRows = ShapedType::kDynamic;

RankedTensorType rows(MLIRContext *context, ArrayRef<int64_t> widths, bool ints = false) {
  SmallVector<int64_t> shape{kRows};
  llvm::append_range(shape, widths);
  return RankedTensorType::get(shape, ints ? Type(IntegerType::get(context, 32)) : Type(Float32Type::get(context)));
}

ArrayRef<int64_t> shapeOf(Value value) { return cast<RankedTensorType>(value.getType()).getShape(); }

// Elements of one row.
int64_t widthOf(Value value) {
  int64_t width = 1;
  for (int64_t size : shapeOf(value).drop_front())
    width *= size;
  return width;
}

struct Infer {
  Operation *op;
  SmallVectorImpl<Type> &types;
  MLIRContext *context = op->getContext();

  LogicalResult add(ArrayRef<int64_t> widths, bool ints = false) {
    for (int64_t w : widths)
      if (w != kRows && (w <= 0 || w > (int64_t{1} << 40)))
        return op->emitOpError("has a row of size ") << w << "; sizes must be between 1 and 2^40";
    types.push_back(rows(context, widths, ints));
    return success();
  }
  LogicalResult same(Value v) {
    types.push_back(v.getType());
    return success();
  }
  LogicalResult cache(StringRef kind) {
    types.push_back(CacheType::get(context, kind));
    return success();
  }
  // A resolved weight must have this shape; unresolved names are checked by lm-resolve.
  LogicalResult weight(Attribute attr, ArrayRef<int64_t> shape, StringRef what) {
    auto resolved = dyn_cast_or_null<WeightAttr>(attr);
    if (!resolved || resolved.getType().getShape() == shape)
      return success();
    return op->emitOpError(what) << " weight '" << resolved.getName() << "' is " << resolved.getType() << ", want "
                                 << RankedTensorType::get(shape, resolved.getType().getElementType());
  }
  ArrayRef<int64_t> weightShape(Attribute attr) {
    auto resolved = dyn_cast_or_null<WeightAttr>(attr);
    return resolved ? resolved.getType().getShape() : ArrayRef<int64_t>();
  }
  LogicalResult equalShapes() {
    if (op->getOperand(0).getType() != op->getOperand(1).getType())
      return op->emitOpError("(C1) operands are ")
             << op->getOperand(0).getType() << " and " << op->getOperand(1).getType();
    return success();
  }

  // Sizes of a composite, whose primitives will need them.
  LogicalResult positive(std::initializer_list<std::pair<StringRef, Attribute>> sizes) {
    for (auto [name, size] : sizes)
      if (sizeOf(size) <= 0)
        return op->emitOpError("'") << name << "' is " << sizeOf(size) << "; want at least 1";
    return success();
  }

  LogicalResult linear(LinearOp o) {
    SmallVector<int64_t> to;
    int64_t n = 1;
    for (Attribute size : o.getTo()) {
      to.push_back(sizeOf(size));
      if (to.back() <= 0 || __builtin_mul_overflow(n, to.back(), &n))
        return o.emitOpError("(C1) 'to' has a size of ") << to.back() << "; want at least 1";
    }
    if (to.empty() || to.size() > 2)
      return o.emitOpError("(C1) 'to' has ") << to.size() << " sizes; want one or two";
    if (ShapedType::isDynamicShape(shapeOf(o.getX()).drop_front()))
      return o.emitOpError("(C2) x is ") << o.getX().getType() << "; its width must be known";
    if (failed(weight(o.getWeight(), {n, widthOf(o.getX())}, "(C3)")))
      return failure();
    return add(to);
  }
  LogicalResult headLinear(HeadLinearOp o) {
    ArrayRef<int64_t> x = shapeOf(o.getX()), w = weightShape(o.getWeight());
    if (x.size() != 3)
      return o.emitOpError("(C1) x is ") << o.getX().getType() << "; want [?, heads, width]";
    if (w.size() != 2 || w[0] % x[1])
      return o.emitOpError("(C2) ") << x[1] << " heads do not divide the weight's rows";
    int64_t contracted = o.getTransposed() ? o.getCount() : w[1];
    if (int64_t(o.getXFirst()) < 0 || int64_t(o.getFirst()) < 0 ||
        int64_t(o.getXFirst() + o.getXCount()) > x[2] || int64_t(o.getFirst() + o.getCount()) > w[0] / x[1])
      return o.emitOpError("(C3) takes values or weight rows beyond the end");
    if (int64_t(o.getXCount()) != contracted)
      return o.emitOpError("(C4) takes ") << o.getXCount() << " values a head, the weight contracts " << contracted;
    return add({x[1], o.getTransposed() ? w[1] : int64_t(o.getCount())});
  }
  // Whole rows, not rows of heads.
  LogicalResult wholeRows() {
    for (Value operand : op->getOperands())
      if (shapeOf(operand).size() != 2)
        return op->emitOpError("takes ") << operand.getType() << "; want rows of one dimension, [?, width]";
    return success();
  }
  LogicalResult rmsNorm(RmsNormOp o) {
    if (failed(wholeRows()))
      return failure();
    int64_t row = widthOf(o.getX());
    int64_t first = o.getFirst() ? sizeOf(*o.getFirst()) : 0;
    int64_t width = o.getWidth() ? sizeOf(*o.getWidth()) : row - first;
    if (first < 0 || width <= 0 || first + width > row)
      return o.emitOpError("(C1) norms values ") << first << " to " << first + width << " of a row of " << row;
    if (failed(weight(o.getWeight(), {width}, "norm")))
      return failure();
    return add({width});
  }
  LogicalResult pairs(StringRef constraint, StringRef pairs) {
    if (pairs != "interleaved" && pairs != "half")
      return op->emitOpError(constraint) << " pairs is '" << pairs << "'; want interleaved or half";
    return success();
  }
  LogicalResult rope(RopeOp o) {
    ArrayRef<int64_t> x = shapeOf(o.getX());
    if (int64_t(o.getInvFreq().size()) * 2 != int64_t(o.getDim()))
      return o.emitOpError("(C1) has ") << o.getInvFreq().size() << " frequencies for dim " << o.getDim();
    if (x.size() < 2 || int64_t(o.getFirst()) < 0 || int64_t(o.getFirst() + o.getDim()) > x.back())
      return o.emitOpError("(C2) rotates values beyond the row's end");
    if (failed(pairs("(C3)", o.getPairs())))
      return failure();
    if (o.getKeep())
      return same(o.getX());
    SmallVector<int64_t> widths(x.drop_front());
    widths.back() = o.getDim();
    return add(widths);
  }
  LogicalResult select(Attribute top) {
    int64_t k = sizeOf(top);
    if (k <= 0 || k > 65536)
      return op->emitOpError("(C1) keeps ") << k << " positions; want 1 to 65536";
    return add({k}, /*ints=*/true);
  }
  LogicalResult rescore(Value score, StringRef name, Attribute size) {
    if (sizeOf(size) <= 0 || sizeOf(size) > 65536)
      return op->emitOpError("(C1) ") << name << " is " << sizeOf(size) << "; want 1 to 65536";
    return same(score);
  }
  LogicalResult scores(Value q, Value w) {
    if (shapeOf(q).size() != 3 || shapeOf(w).size() != 2 || shapeOf(q)[1] != shapeOf(w)[1])
      return op->emitOpError("(C1) q is ")
             << q.getType() << ", w is " << w.getType() << "; want [?, heads, dim] and [?, heads]";
    return success();
  }
  LogicalResult attention(Value query, Value queryRope, Value sel) {
    ArrayRef<int64_t> q = shapeOf(query), r = shapeOf(queryRope);
    if (q.size() != 3 || r.size() != 3 || q[1] != r[1])
      return op->emitOpError("(C1) the query is ")
             << query.getType() << ", q_rope is " << queryRope.getType() << "; want [?, heads, width] both";
    if (sel && shapeOf(sel).size() != 2)
      return op->emitOpError("(C2) sel is ") << sel.getType() << "; want [?, k]";
    return success();
  }
  LogicalResult attendExpanded(MLAAttendExpandedOp o) {
    if (failed(attention(o.getQ(), o.getQRope(), o.getSel())))
      return failure();
    const int64_t heads = shapeOf(o.getQ())[1], nope = sizeOf(o.getNope());
    if (nope < 1 || nope > shapeOf(o.getQ())[2])
      return o.emitOpError("(C1) takes ") << nope << " values of " << o.getQ().getType();
    ArrayRef<int64_t> w = weightShape(o.getWeight());
    if (w.size() != 2 || w[0] % heads || w[0] / heads <= nope)
      return o.emitOpError("(C3) the weight gives ") << heads << " heads no more than " << nope << " rows each";
    return add({heads, w[0] / heads - nope});
  }
  LogicalResult attendParts(MLAAttendPartsOp o) {
    if (failed(attention(o.getQLat(), o.getQRope(), o.getSel())))
      return failure();
    const int64_t parts = o.getParts();
    if (parts < 1 || parts > 64)
      return o.emitOpError("(C3) parts is ") << parts << "; want 1 to 64";
    ArrayRef<int64_t> q = shapeOf(o.getQLat());
    return add({q[1], parts, q[2] + 2});
  }
  LogicalResult mergeParts(MLAMergePartsOp o) {
    ArrayRef<int64_t> x = shapeOf(o.getX());
    if (x.size() != 4 || x[3] < 3)
      return o.emitOpError("(C1) x is ") << o.getX().getType() << "; want [?, heads, parts, latent + 2]";
    return add({x[1], x[3] - 2});
  }
  LogicalResult route(MoERouteOp o) {
    int64_t experts = widthOf(o.getLogits()), groups = sizeOf(o.getGroups()), pick = sizeOf(o.getPick()),
            top = sizeOf(o.getTop());
    if (groups <= 0 || experts % groups)
      return o.emitOpError("(C1) ") << groups << " groups do not divide " << experts << " experts";
    if (pick <= 0 || pick > groups)
      return o.emitOpError("(C2) picks ") << pick << " of " << groups << " groups";
    if (top <= 0 || top > pick * (experts / groups))
      return o.emitOpError("(C3) wants ") << top << " experts of " << pick * (experts / groups);
    if (failed(weight(o.getBias(), {experts}, "bias")) || failed(add({top})))
      return failure();
    return add({top}, /*ints=*/true);
  }
  LogicalResult attend(MLAAttendOp o) {
    ArrayRef<int64_t> q = shapeOf(o.getQ());
    if (q.size() != 3)
      return o.emitOpError("(C1) q is ") << o.getQ().getType() << "; want [?, heads, nope + rope dim]";
    if (failed(positive({{"nope", o.getNope()}})))
      return failure();
    return add({q[1], sizeOf(o.getValue())});
  }
  LogicalResult append(StringRef constraint, StringRef kind, std::optional<StringRef> format) {
    if (format && !isCacheFormat(*format))
      return op->emitOpError(constraint) << " format is '" << *format << "'; want f8, i8, bf16 or f32";
    return cache(kind);
  }
  LogicalResult dispatch(MoEDispatchOp o) {
    if (int64_t(o.getExperts()) <= 0)
      return o.emitOpError("'experts' is ") << int64_t(o.getExperts()) << "; want at least 1";
    types.push_back(RankedTensorType::get({int64_t(o.getExperts()) + 1}, IntegerType::get(context, 32)));
    types.push_back(rows(context, {}, /*ints=*/true));
    return same(o.getChosen());
  }

  LogicalResult run() {
    return llvm::TypeSwitch<Operation *, LogicalResult>(op)
        .Case([&](EmbedOp o) -> LogicalResult {
          if (o.getTo().size() != 2)
            return o.emitOpError("(C1) 'to' has ") << o.getTo().size() << " sizes; want [vocabulary, width]";
          int64_t v = sizeOf(o.getTo()[0]), h = sizeOf(o.getTo()[1]);
          return success(succeeded(weight(o.getWeight(), {v, h}, "table")) && succeeded(add({h})));
        })
        .Case([&](LinearOp o) { return linear(o); })
        .Case([&](LinearSiluMulOp o) -> LogicalResult {
          int64_t inner = sizeOf(o.getInner());
          if (failed(weight(o.getGate(), {inner, widthOf(o.getX())}, "(C1) gate")) ||
              failed(weight(o.getUp(), {inner, widthOf(o.getX())}, "(C1) up")))
            return failure();
          return add({inner});
        })
        .Case([&](FfnOp o) {
          return success(succeeded(positive({{"inner", o.getInner()}})) && succeeded(same(o.getX())));
        })
        .Case([&](HeadLinearOp o) { return headLinear(o); })
        .Case([&](RmsNormOp o) { return rmsNorm(o); })
        .Case([&](AddRmsNormOp o) -> LogicalResult {
          if (failed(wholeRows()) || failed(equalShapes()) ||
              failed(weight(o.getWeight(), {widthOf(o.getX())}, "norm")))
            return failure();
          return success(succeeded(same(o.getX())) && succeeded(same(o.getX())));
        })
        .Case([&](LayerNormOp o) -> LogicalResult {
          if (failed(wholeRows()) || failed(weight(o.getWeight(), {widthOf(o.getX())}, "norm")) ||
              failed(weight(o.getBias(), {widthOf(o.getX())}, "norm bias")))
            return failure();
          return same(o.getX());
        })
        .Case([&](AddOp o) { return success(succeeded(equalShapes()) && succeeded(same(o.getA()))); })
        .Case([&](ConcatOp o) {
          return success(succeeded(wholeRows()) && succeeded(add({widthOf(o.getA()) + widthOf(o.getB())})));
        })
        .Case<TakeRowsOp, HadamardOp, FakeQuantizeOp>([&](Operation *o) -> LogicalResult {
          int64_t last = shapeOf(o->getOperand(0)).back();
          if (isa<HadamardOp>(o) && (last & (last - 1)))
            return o->emitOpError("(C1) transforms ") << last << " values; want a power of two";
          return same(o->getOperand(0));
        })
        .Case([&](RopeOp o) { return rope(o); })
        .Case([&](MLALatentOp o) {
          return success(succeeded(positive({{"latent", o.getLatent()}})) &&
                         succeeded(append("(C2)", "latent", o.getFormat())));
        })
        .Case([&](DSAKeyOp o) {
          return success(succeeded(positive({{"dim", o.getDim()}})) &&
                         succeeded(pairs("(C1)", o.getPairs().value_or("half"))) &&
                         succeeded(append("(C2)", "index", o.getFormat())));
        })
        .Case([&](MLAAppendOp o) { return append("(C1)", "latent", o.getFormat()); })
        .Case([&](DSAAppendOp o) { return append("(C1)", "index", o.getFormat()); })
        .Case([&](MLAAttendOp o) { return attend(o); })
        .Case([&](MLAAttendLatentOp o) {
          return failed(attention(o.getQLat(), o.getQRope(), o.getSel())) ? failure() : same(o.getQLat());
        })
        .Case([&](MLAAttendExpandedOp o) { return attendExpanded(o); })
        .Case([&](MLAAttendPartsOp o) { return attendParts(o); })
        .Case([&](MLAMergePartsOp o) { return mergeParts(o); })
        .Case([&](DSAScoreOp o) {
          return success(succeeded(positive({{"heads", o.getHeads()}, {"dim", o.getDim()}})) &&
                         succeeded(pairs("(C1)", o.getPairs().value_or("half"))) && succeeded(add({kRows})));
        })
        .Case([&](DSALogitsOp o) { return success(succeeded(scores(o.getQ(), o.getW())) && succeeded(add({kRows}))); })
        .Case([&](DSABlockScoresOp o) { return rescore(o.getScore(), "block", o.getBlock()); })
        .Case([&](DSAWindowScoresOp o) { return rescore(o.getScore(), "window", o.getWindow()); })
        .Case([&](DSASelectOp o) { return select(o.getTop()); })
        .Case([&](DSALogitsSelectOp o) {
          return success(succeeded(scores(o.getQ(), o.getW())) && succeeded(select(o.getTop())));
        })
        .Case([&](MoERouteOp o) { return route(o); })
        .Case([&](MoEExpertsOp o) {
          return success(succeeded(positive({{"experts", o.getExperts()}, {"inner", o.getInner()}})) &&
                         succeeded(same(o.getX())));
        })
        .Case([&](MoEDispatchOp o) { return dispatch(o); })
        .Case([&](GroupedLinearSiluMulOp o) -> LogicalResult {
          ArrayRef<int64_t> w = weightShape(o.getGate());
          if (w.size() != 3 || w[2] != widthOf(o.getX()))
            return o.emitOpError("gate is not [experts, inner, ") << widthOf(o.getX()) << "]";
          return success(succeeded(weight(o.getUp(), w, "up")) && succeeded(add({w[1]})));
        })
        .Case([&](GroupedLinearOp o) -> LogicalResult {
          ArrayRef<int64_t> w = weightShape(o.getWeight());
          if (w.size() != 3 || w[2] != widthOf(o.getX()))
            return o.emitOpError("weight is not [experts, out, ") << widthOf(o.getX()) << "]";
          return add({w[1]});
        })
        .Case([&](MoECombineOp o) { return add({widthOf(o.getY())}); })
        .Default([&](Operation *o) -> LogicalResult { return o->emitOpError("has no shape rule"); });
  }
};

} // namespace

LogicalResult modelc::lm::inferResultTypes(Operation *op, SmallVectorImpl<Type> &types) {
  for (Value value : op->getOperands()) {
    auto tensor = dyn_cast<RankedTensorType>(value.getType());
    if (isa<RowsType>(value.getType()) || (tensor && tensor.getRank() == 0))
      return op->emitOpError("takes ") << value.getType() << "; want a tensor with rows as its leading dimension";
  }
  return Infer{op, types}.run();
}
