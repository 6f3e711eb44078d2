//===- LMVaryAttention.cpp - lm-vary-attention ----------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/plan/Build.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

namespace modelc {
#define GEN_PASS_DEF_LMVARYATTENTION
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

// Removes an op whose results nobody uses, and what fed it alone.
void eraseUnused(Operation *first) {
  llvm::SetVector<Operation *> pending;
  pending.insert(first);
  while (!pending.empty()) {
    Operation *op = pending.pop_back_val();
    if (!op || !op->use_empty() || !isa<RowOpInterface>(op))
      continue;
    for (Value operand : op->getOperands())
      pending.insert(operand.getDefiningOp());
    op->erase();
  }
}

DSASelectOp selectIn(LayersOp layers) {
  auto selects = layers.getBody().front().getOps<DSASelectOp>();
  return selects.empty() ? DSASelectOp() : *selects.begin();
}

struct LMVaryAttention : modelc::impl::LMVaryAttentionBase<LMVaryAttention> {
  using LMVaryAttentionBase::LMVaryAttentionBase;
  explicit LMVaryAttention(std::string options) : text(std::move(options)) {}

  LogicalResult initialize(MLIRContext *context) override {
    if (text.empty())
      return success();
    return initializeOptions(text, [&](const Twine &what) -> LogicalResult {
      return emitError(UnknownLoc::get(context)) << "attention '" << text << "': " << StringRef(what.str()).trim();
    });
  }

  void runOnOperation() override {
    if (failed(checkOptions()))
      return signalPassFailure();
    SmallVector<DSASelectOp> selects;
    getOperation().walk([&](DSASelectOp op) { selects.push_back(op); });
    if (selects.empty() && (dense || top || block || window || reuse || !indexFormat.empty())) {
      getOperation().emitError("lm-vary-attention: the model has no lm.dsa.select to vary");
      return signalPassFailure();
    }
    for (DSASelectOp select : selects)
      vary(select);
    if (expanded)
      getOperation().walk([&](MLAAttendOp op) {
        op.setScheduleAttr(MLAScheduleAttr::get(&getContext(), CodeSource::Library, Form::Expanded, 0, Order::Rows,
                                                Gather::Row, 0, 0, 0));
      });
    if (!latentFormat.empty())
      getOperation().walk([&](MLALatentOp op) { op.setFormat(latentFormat.getValue()); });
    if (reuse > 1)
      getOperation().walk([&](EntryOp entry) {
        if (entry.getSymName() == "step")
          shareSelections(entry);
      });
  }

private:
  LogicalResult checkOptions() {
    for (auto [name, value] : {std::pair<StringRef, int64_t>("top", top), {"block", block}, {"window", window}})
      if (value < 0 || value > 65536)
        return getOperation().emitError("lm-vary-attention: ") << name << " is " << value << "; want 1 to 65536";
    if (reuse < 0)
      return getOperation().emitError("lm-vary-attention: reuse is ")
             << reuse << "; want the layers that share, from 1";
    for (auto [name, value] :
         {std::pair<StringRef, StringRef>("index-format", indexFormat), {"latent-format", latentFormat}})
      if (!value.empty() && !isCacheFormat(value))
        return getOperation().emitError("lm-vary-attention: ")
               << name << " is '" << value << "'; want f8, i8, bf16 or f32";
    if (dense && (top || block || window || reuse || !indexFormat.empty()))
      return getOperation().emitError("lm-vary-attention: dense attention selects nothing; drop the other options");
    return success();
  }

  void vary(DSASelectOp select) {
    OpBuilder b(select);
    if (dense) {
      for (Operation *user : llvm::make_early_inc_range(select->getUsers()))
        if (auto attend = dyn_cast<MLAAttendOp>(user))
          attend.getSelMutable().clear();
      return eraseUnused(select);
    }
    if (top) {
      select.setTopAttr(b.getI64IntegerAttr(top));
      SmallVector<Type> types;
      if (succeeded(inferResultTypes(select, types)))
        select.getIndices().setType(types.front());
    }
    if (!indexFormat.empty())
      if (auto score = select.getScore().getDefiningOp<DSAScoreOp>())
        if (auto key = score.getCache().getDefiningOp<DSAKeyOp>())
          key.setFormat(indexFormat.getValue());
    Value score = select.getScore();
    if (block)
      score = build<DSABlockScoresOp>(b, select.getLoc(), {score}, {{"block", b.getI64IntegerAttr(block)}}).getOut();
    if (window)
      score = build<DSAWindowScoresOp>(b, select.getLoc(), {score}, {{"window", b.getI64IntegerAttr(window)}}).getOut();
    select->setOperand(0, score);
  }

  // Every `reuse`-th layer selects, counted over the whole entry; those behind it attend to what it selected. As their
  // bodies then differ, layers become runs of one each.
  void shareSelections(EntryOp entry) {
    Value selection;
    for (LayersOp layers : llvm::make_early_inc_range(entry.getBody().front().getOps<LayersOp>()))
      if (selectIn(layers))
        unroll(layers, selection);
  }

  void unroll(LayersOp layers, Value &selection) {
    OpBuilder b(layers);
    SmallVector<Value> carried(layers.getInit());
    Block &body = layers.getBody().front();
    for (int64_t layer = sizeOf(layers.getFrom()), end = sizeOf(layers.getTo()); layer < end; ++layer) {
      const bool selects = layer % reuse == 0 || !selection;
      SmallVector<Type> types(body.getTerminator()->getOperandTypes());
      if (selects)
        types.push_back(selectIn(layers).getIndices().getType());
      auto one = LayersOp::create(b, layers.getLoc(), types, ValueRange(), b.getI64IntegerAttr(layer),
                                  b.getI64IntegerAttr(layer + 1), layers.getScopeAttr());
      OpBuilder inner = OpBuilder::atBlockEnd(&one.getBody().emplaceBlock());
      IRMapping map;
      map.map(body.getArguments(), carried);
      for (Operation &op : body)
        inner.clone(op, map);
      DSASelectOp select = selectIn(one);
      if (selects) {
        Operation *yield = one.getBody().front().getTerminator();
        yield->insertOperands(yield->getNumOperands(), select.getIndices());
        selection = one.getResults().back();
      } else {
        select.getIndices().replaceAllUsesWith(selection);
        eraseUnused(select);
      }
      carried.assign(one.getResults().begin(), one.getResults().begin() + layers.getNumResults());
    }
    layers.replaceAllUsesWith(carried);
    layers.erase();
  }

  std::string text; // the options, where they did not come with the pipeline
};

} // namespace

std::unique_ptr<Pass> modelc::createLMVaryAttention(std::string options) {
  return std::make_unique<LMVaryAttention>(std::move(options));
}
