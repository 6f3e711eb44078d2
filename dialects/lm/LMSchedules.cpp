//===- LMSchedules.cpp - schedules: checks and what the compiler asks -----===//
#include "dialects/lm/LM.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace modelc::lm;

namespace {

using Error = llvm::function_ref<InFlightDiagnostic()>;

// 0 stands for an absent parameter.
LogicalResult within(Error emitError, StringRef constraint, StringRef name, int64_t value, int64_t low, int64_t high) {
  if (value == 0 || (value >= low && value <= high))
    return success();
  return emitError() << constraint << " " << name << " is " << value << "; want " << low << " to " << high;
}

} // namespace

LogicalResult DSAScheduleAttr::verify(Error emitError, CodeSource, BoolAttr, int64_t rows, int64_t pages, Order, Selection,
                                      int64_t block) {
  return success(succeeded(within(emitError, "(C1)", "rows", rows, 1, 64)) &&
                 succeeded(within(emitError, "(C1)", "pages", pages, 1, 64)) &&
                 succeeded(within(emitError, "(C2)", "block", block, 8, 65536)));
}

LogicalResult MLAScheduleAttr::verify(Error emitError, CodeSource code, Form form, int64_t split, Order, Gather, int64_t rows,
                                      int64_t keys, int64_t heads) {
  if (form == Form::Expanded && code == CodeSource::Generated)
    return emitError() << "(C4) form is expanded and code is generated; there is no such code, use code = library";
  return success(succeeded(within(emitError, "(C1)", "keys", keys, 1, 1024)) &&
                 succeeded(within(emitError, "(C2)", "heads", heads, 1, 256)) &&
                 succeeded(within(emitError, "(C3)", "split", split, 1, 64)) &&
                 succeeded(within(emitError, "(C3)", "rows", rows, 1, 64)));
}

bool modelc::lm::hasSchedule(Operation *op) { return isa<DSALogitsOp, DSASelectOp, MLAAttendLatentOp, MoERouteOp>(op); }

Attribute modelc::lm::makeSchedule(Operation *op, CodeSource code) {
  MLIRContext *context = op->getContext();
  if (isa<DSALogitsOp, DSASelectOp>(op))
    return DSAScheduleAttr::get(context, code, BoolAttr(), 0, 0, Order::Rows, Selection::Blocks, 0);
  if (isa<MLAAttendLatentOp>(op))
    return MLAScheduleAttr::get(context, code, Form::Absorbed, 0, Order::Rows, Gather::Row, 0, 0, 0);
  return MoEScheduleAttr::get(context, code);
}

bool modelc::lm::isGenerated(Attribute schedule) {
  return schedule && llvm::TypeSwitch<Attribute, bool>(schedule)
                         .Case<DSAScheduleAttr, MLAScheduleAttr, MoEScheduleAttr>(
                             [](auto s) { return s.getCode() == CodeSource::Generated; })
                         .Default([](Attribute) { return false; });
}

SmallVector<NamedAttribute> modelc::lm::codeParameters(Attribute schedule) {
  Builder b(schedule.getContext());
  SmallVector<NamedAttribute> out;
  auto add = [&](StringRef name, int64_t value) {
    if (value)
      out.push_back(b.getNamedAttr(name, b.getI64IntegerAttr(value)));
  };
  auto word = [&](StringRef name, StringRef value) { out.push_back(b.getNamedAttr(name, b.getStringAttr(value))); };
  if (auto dsa = dyn_cast<DSAScheduleAttr>(schedule)) {
    add("rows", dsa.getRows());
    add("pages", dsa.getPages());
    if (dsa.getOrder() != Order::Rows)
      word("order", stringifyOrder(dsa.getOrder()));
    if (dsa.getSelect() != Selection::Blocks)
      word("select", stringifySelection(dsa.getSelect()));
    add("block", dsa.getBlock());
  } else if (auto mla = dyn_cast<MLAScheduleAttr>(schedule)) {
    if (mla.getOrder() != Order::Rows)
      word("order", stringifyOrder(mla.getOrder()));
    if (mla.getGather() != Gather::Row)
      word("gather", stringifyGather(mla.getGather()));
    add("rows", mla.getRows());
    add("keys", mla.getKeys());
    add("heads", mla.getHeads());
  }
  return out;
}

std::string modelc::lm::shapeKey(Operation *op) {
  SmallVector<std::string> parts;
  for (Type type : op->getOperandTypes()) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor)
      continue;
    parts.push_back(llvm::join(llvm::map_range(tensor.getShape(),
                                               [](int64_t size) {
                                                 return ShapedType::isDynamic(size) ? std::string("?")
                                                                                    : std::to_string(size);
                                               }),
                               "x"));
  }
  for (StringRef name : {"format", "top", "groups", "pick"}) {
    Attribute value = op->getAttr(name);
    if (auto text = dyn_cast_or_null<StringAttr>(value))
      parts.push_back(name.str() + "=" + text.str());
    else if (value)
      parts.push_back(name.str() + "=" + std::to_string(sizeOf(value)));
  }
  return llvm::join(parts, " ");
}
