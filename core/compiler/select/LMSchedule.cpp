//===- LMSchedule.cpp - lm-schedule ---------------------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/codegen/Kernels.h"
#include "core/compiler/codegen/Patterns.h"
#include "core/compiler/manifest/ManifestSource.h"
#include "dialects/lm/LM.h"
#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Builders.h"
#include "llvm/Support/MathExtras.h"

namespace modelc {
#define GEN_PASS_DEF_LMSCHEDULE
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

// What one worker works on should stay in its second-level cache, beside what streams through.
constexpr int64_t kTileBytes = 256 * 1024;

// The largest power of two of items that fit, from 1 to most.
int64_t fit(int64_t bytesEach, int64_t most) {
  const int64_t count = kTileBytes / std::max<int64_t>(1, bytesEach);
  return count < 1 ? 1 : std::min<int64_t>(most, llvm::bit_floor(static_cast<uint64_t>(count)));
}

int64_t orElse(int64_t given, int64_t otherwise) { return given ? given : otherwise; }

// Generated code's open parameters, from sizes.
Attribute complete(Operation *op, Attribute schedule) {
  MLIRContext *context = op->getContext();
  auto shape = cast<RankedTensorType>(op->getOperand(0).getType()).getShape();
  auto dsa = dyn_cast<DSAScheduleAttr>(schedule);
  if (dsa && dsa.getCode() == CodeSource::Generated && isa<DSALogitsOp>(op)) {
    // Few heads take a page's scores in no time: fewer pages make an item, so that a short context has work for all.
    constexpr int64_t kQueryBytesAPage = 512, kMostRows = 16, kLeastPages = 4;
    const int64_t query = 4 * shape[1] * shape[2];
    return DSAScheduleAttr::get(
        context, dsa.getCode(), dsa.getFuse(), orElse(dsa.getRows(), fit(query, kMostRows)),
        orElse(dsa.getPages(), std::clamp(query / kQueryBytesAPage, kLeastPages, +codegen::DefaultTiles::pages)),
        dsa.getOrder(), dsa.getSelect(), dsa.getBlock());
  }
  if (dsa && dsa.getCode() == CodeSource::Generated)
    return DSAScheduleAttr::get(context, dsa.getCode(), dsa.getFuse(), dsa.getRows(), dsa.getPages(), dsa.getOrder(), dsa.getSelect(),
                                orElse(dsa.getBlock(), dsa.getSelect() == Selection::Blocks
                                                           ? codegen::DefaultTiles::maximum
                                                           : codegen::DefaultTiles::block));
  auto mla = dyn_cast<MLAScheduleAttr>(schedule);
  if (mla && mla.getCode() == CodeSource::Generated) {
    const int64_t heads = orElse(mla.getHeads(), std::min(+codegen::DefaultTiles::heads, shape[1]));
    const int64_t rope = cast<RankedTensorType>(op->getOperand(1).getType()).getShape()[2];
    const int64_t rows = mla.getGather() == Gather::Page ? orElse(mla.getRows(), codegen::DefaultTiles::sharing) : 0;
    return MLAScheduleAttr::get(context, mla.getCode(), mla.getForm(), mla.getSplit(), mla.getOrder(), mla.getGather(), rows,
                                orElse(mla.getKeys(), fit(4 * (shape[2] + rope + heads), 1024)), heads);
  }
  return schedule;
}

class LMSchedule : public modelc::impl::LMScheduleBase<LMSchedule> {
public:
  using LMScheduleBase::LMScheduleBase;
  LMSchedule(std::string manifest, std::string ops, std::vector<TunedSchedule> schedules)
      : source(std::move(manifest)), tuned(std::move(schedules)) {
    generate = std::move(ops);
  }

  LogicalResult initialize(MLIRContext *context) override {
    if (!tuningFile.empty()) {
      absl::StatusOr<std::vector<TunedSchedule>> record = ReadTuning(tuningFile.getValue());
      if (!record.ok())
        return emitError(UnknownLoc::get(context)) << std::string(record.status().message());
      tuned = *std::move(record);
    }
    return failure(failed(source.load(manifestFile, context)) || failed(wanted.parse(generate, context)));
  }

  void runOnOperation() override {
    if (failed(checkResolved(getOperation())))
      return signalPassFailure();
    WalkResult result = getOperation().walk([&](Operation *op) {
      if (!hasSchedule(op))
        return WalkResult::advance();
      Attribute schedule = op->getAttr(kSchedule);
      if (!schedule && failed(choose(op, schedule)))
        return WalkResult::interrupt();
      op->setAttr(kSchedule, complete(op, schedule));
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

private:
  LogicalResult choose(Operation *op, Attribute &schedule) {
    StringRef name = op->getName().stripDialect();
    const bool possible = !source->target.triple.empty() && codegen::canGenerate(name);
    const bool asked = possible && wanted.match(name);
    const std::string shape = shapeKey(op);
    for (const TunedSchedule &entry : tuned) {
      if (entry.op != name || entry.shape != shape)
        continue;
      Attribute found = parseAttribute(entry.schedule, op->getContext());
      if (!found || found.getTypeID() != makeSchedule(op, CodeSource::Library).getTypeID())
        return op->emitOpError("has a tuning record with the schedule '")
               << entry.schedule << "', which is none of its kind; delete the record and run modelc tune again";
      if (isGenerated(found) ? possible : !asked) {
        schedule = found;
        return success();
      }
    }
    const bool kernel =
        source->HasOp(name.str()) || (isa<DSALogitsOp, DSASelectOp>(op) && source->HasOp("dsa.logits_select"));
    schedule = makeSchedule(op, asked || (possible && !kernel) ? CodeSource::Generated : CodeSource::Library);
    return success();
  }

  ManifestSource source;
  codegen::Patterns wanted;
  std::vector<TunedSchedule> tuned;
};

} // namespace

std::unique_ptr<Pass> modelc::createLMSchedule(std::string manifest, std::string generate,
                                               std::vector<TunedSchedule> tuned) {
  return std::make_unique<LMSchedule>(std::move(manifest), std::move(generate), std::move(tuned));
}
