//===- Quantize.cpp - lm-quantize: numerics made explicit -----------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/plan/Build.h"
#include "core/support/dtype.h"

namespace modelc {
#define GEN_PASS_DEF_LMQUANTIZE
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

bool isFp8(Attribute weight) {
  auto attr = dyn_cast_or_null<WeightAttr>(weight);
  return attr && isa<Float8E4M3FNType>(attr.getType().getElementType());
}

// Puts an op of one operand and result in front of an operand: HadamardOp, FakeQuantizeOp.
template <typename OpTy> void putBefore(Operation *op, unsigned operand) {
  OpBuilder b(op);
  op->setOperand(operand, build<OpTy>(b, op->getLoc(), {op->getOperand(operand)}).getOut());
}

// Puts such an op behind an op's result.
template <typename OpTy> void putBehind(Operation *op) {
  OpBuilder b(op->getContext());
  b.setInsertionPointAfter(op);
  auto next = build<OpTy>(b, op->getLoc(), {op->getResult(0)});
  op->getResult(0).replaceAllUsesExcept(next.getOut(), next);
}

struct LMQuantize : modelc::impl::LMQuantizeBase<LMQuantize> {
  using LMQuantizeBase::LMQuantizeBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (failed(checkResolved(module)))
      return signalPassFailure();
    if (!llvm::is_contained({"reference", "deepseek", "fast"}, numerics)) {
      module.emitError("numerics '") << numerics << "' is not one of reference, deepseek, fast";
      return signalPassFailure();
    }
    std::string format = !kvDtype.empty() ? kvDtype.getValue() : numerics == "fast" ? "f8" : "f32";
    if (!isCacheFormat(format)) {
      module.emitError("kv-dtype '") << format << "' is not one of f8, i8, bf16, f32";
      return signalPassFailure();
    }
    if (weightsFormat != "f8" && !isWeightFormat(weightsFormat)) {
      module.emitError("weights-format '") << weightsFormat << "' is not one of f8, bf16, int8, int4";
      return signalPassFailure();
    }
    if (rounds(weightsFormat) && numerics != "fast") {
      module.emitError("weights-format '")
          << weightsFormat << "' rounds activations to int8, which numerics '" << numerics << "' does not; use fast";
      return signalPassFailure();
    }
    // kv_b_proj, which an expanded attention multiplies records with, knows no rotation.
    rotatesLatents = !module.walk([](MLAAttendExpandedOp) { return WalkResult::interrupt(); }).wasInterrupted();
    SmallVector<Operation *> ops;
    module.walk([&](Operation *op) { ops.push_back(op); });
    for (Operation *op : ops)
      quantize(op, format);
  }

private:
  bool rotatesLatents = true;

  static bool rounds(StringRef format) {
    const std::optional<DType> type = ParseDType(format);
    return type && IsGrouped(*type);
  }

  // What an op's weights are converted to; empty: nothing.
  StringRef formatOf(Operation *op) {
    const StringRef format = weightsFormat.getValue();
    auto linear = dyn_cast<LinearOp>(op);
    if (format == "f8")
      return "";
    if (isa<LinearSiluMulOp, GroupedLinearOp, GroupedLinearSiluMulOp>(op) || (linear && !linear.getUnquantized()))
      return format;
    if (isa<HeadLinearOp, MLAAttendExpandedOp>(op) && !rounds(format))
      return format;
    // Of what a quantized checkpoint keeps in bf16, the head alone is large.
    return linear && isHead(linear) && rounds(format) ? "int8" : "";
  }

  static bool isHead(LinearOp linear) {
    auto model = linear->getParentOfType<ModelOp>();
    auto parameters = model ? model->getAttrOfType<DictionaryAttr>("parameters") : DictionaryAttr();
    Attribute vocabulary = parameters ? parameters.get("vocab_size") : Attribute();
    return vocabulary && linear.getTo().size() == 1 && isa<IntegerAttr>(linear.getTo()[0]) &&
           sizeOf(linear.getTo()[0]) == sizeOf(vocabulary);
  }

  static int64_t width(Value rows) { return cast<RankedTensorType>(rows.getType()).getShape().back(); }

  // Notes the format on every weight of the op that is not in it anyway.
  static void convert(Operation *op, StringRef format) {
    for (StringRef name : {"weight", "gate", "up"}) {
      auto weight = op->getAttrOfType<WeightAttr>(name);
      if (weight && !weight.getFormat() && !(format == "bf16" && weight.getType().getElementType().isBF16()))
        op->setAttr(name, WeightAttr::get(op->getContext(), weight.getName(), weight.getScale(), weight.getType(),
                                          StringAttr::get(op->getContext(), format)));
    }
  }

  void quantize(Operation *op, StringRef format) {
    const bool deepseek = numerics == "deepseek";
    Builder b(op->getContext());
    if (isa<MLAAppendOp, MLAAttendLatentOp, MLAAttendExpandedOp, DSAAppendOp, DSALogitsOp>(op)) {
      if (auto own = op->getAttrOfType<StringAttr>("format"))
        format = own.getValue();
      op->setAttr("format", b.getStringAttr(format));
      // A rotation spreads outliers before keys are rounded to a byte; the products do not change by it.
      if ((format == "f8" || format == "i8" || deepseek) && isa<DSAAppendOp, DSALogitsOp>(op))
        putBefore<HadamardOp>(op, 0);
      // Latents in int8 have one scale for all, so they are rotated too, and what attention makes of them back.
      if (format == "i8" && rotatesLatents && isa<MLAAppendOp, MLAAttendLatentOp>(op) &&
          llvm::isPowerOf2_64(width(op->getOperand(0)))) {
        putBefore<HadamardOp>(op, 0);
        if (isa<MLAAttendLatentOp>(op))
          putBehind<HadamardOp>(op);
      }
      // Pages of i8 round keys and queries in their own way.
      if (deepseek && format != "i8" && isa<MLAAppendOp, DSAAppendOp, DSALogitsOp>(op))
        putBefore<FakeQuantizeOp>(op, 0);
    }
    const StringRef converted = op->hasAttr("act") ? "" : formatOf(op); // decided by an earlier run
    if (!converted.empty())
      convert(op, converted);
    if (isa<LinearOp, LinearSiluMulOp, GroupedLinearOp, GroupedLinearSiluMulOp>(op) && !op->hasAttr("act")) {
      Attribute weight = op->hasAttr("weight") ? op->getAttr("weight") : op->getAttr("gate");
      op->setAttr("act", b.getStringAttr(rounds(converted)           ? "int8_1x128"
                                         : deepseek && isFp8(weight) ? "e4m3_1x128_pow2"
                                                                     : "none"));
    }
  }
};

} // namespace
