//===- KernelDialect.cpp - registration and checks ------------------------===//
#include "dialects/kernel/Kernel.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"

using namespace mlir;
using namespace modelc;
using namespace modelc::kernel;

#include "dialects/kernel/KernelDialect.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/kernel/Kernel.cpp.inc"

void KernelDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/kernel/Kernel.cpp.inc"
      >();
}

FailureOr<Dim> kernel::parseDim(Attribute attr) {
  Dim dim;
  if (auto number = dyn_cast<IntegerAttr>(attr)) {
    dim.factor = number.getInt();
    return dim;
  }
  auto text = dyn_cast<StringAttr>(attr);
  if (!text)
    return failure();
  StringRef size = text.getValue();
  if (size.contains('*')) {
    auto [factor, rest] = size.split('*');
    if (factor.getAsInteger(10, dim.factor) || dim.factor <= 0)
      return failure();
    size = rest;
  }
  for (int i = 0; i < kNumSizes; ++i) {
    std::string_view name = Name(static_cast<Size>(i));
    if (size == StringRef(name.data(), name.size())) {
      dim.dynamic = true;
      dim.size = static_cast<Size>(i);
      return dim;
    }
  }
  return failure();
}

Attribute kernel::dimAttr(MLIRContext *context, const Dim &dim) {
  Builder b(context);
  if (!dim.dynamic)
    return b.getI64IntegerAttr(dim.factor);
  std::string name(Name(dim.size));
  return b.getStringAttr(dim.factor == 1 ? name : std::to_string(dim.factor) + "*" + name);
}

std::optional<Input> kernel::parseInput(StringRef name) {
  constexpr StringLiteral names[] = {"ids", "pos", "seq", "pages", "wanted", "hidden"};
  for (auto [i, known] : llvm::enumerate(names))
    if (name == known)
      return static_cast<Input>(i);
  return std::nullopt;
}

LogicalResult ProgramOp::verify() {
  if (getLimits().size() != kNumSizes)
    return emitOpError("(C1) has ") << getLimits().size() << " limits; want one each for T N S P C M";
  return success();
}

LogicalResult BufferOp::verify() {
  for (Attribute dim : getDims())
    if (failed(parseDim(dim)))
      return emitOpError("(C1) dimension ")
             << dim << " is not a number, a size (T N S P C M) or a multiple such as \"8*T\"";
  if (!getType().isF32() && !getType().isInteger(32))
    return emitOpError("(C2) type is ") << getType() << "; want f32 or i32";
  return success();
}

LogicalResult WeightOp::verify() {
  if (!getFormat())
    return success();
  const auto format = ParseDType(*getFormat());
  if (!format || !IsWeightFormat(*format))
    return emitOpError("(C1) converts to '") << *getFormat() << "'; want bf16, int8 or int4";
  return success();
}

LogicalResult EntryOp::verify() {
  auto program = cast<ProgramOp>((*this)->getParentOp());
  for (NamedAttribute output : getOutputs()) {
    auto ref = dyn_cast<FlatSymbolRefAttr>(output.getValue());
    if (!ref || !isa_and_nonnull<BufferOp>(SymbolTable::lookupSymbolIn(program, ref)))
      return emitOpError("(C1) output ") << output.getName() << " is not a buffer of the program";
  }
  return success();
}

LogicalResult RepeatOp::verify() {
  if (int64_t(getFirst()) < 0 || int64_t(getCount()) < 1)
    return emitOpError("(C1) runs ") << int64_t(getCount()) << " layers from " << int64_t(getFirst());
  return success();
}

LogicalResult LaunchOp::verify() {
  auto program = (*this)->getParentOfType<ProgramOp>();
  for (Attribute tensor : getTensors()) {
    auto name = dyn_cast<StringAttr>(tensor);
    auto ref = dyn_cast<FlatSymbolRefAttr>(tensor);
    if (isa<UnitAttr>(tensor) || (name && parseInput(name.getValue())) ||
        (ref && program && SymbolTable::lookupSymbolIn(program, ref)))
      continue;
    return emitOpError("(C1) ") << tensor << " is neither a symbol of the program nor a step input";
  }
  if (int64_t(getResults()) < 0 || uint64_t(getResults()) > getTensors().size())
    return emitOpError("has ") << getTensors().size() << " tensors and " << getResults() << " results";
  if (getTap() && getTap()->size() > uint64_t(getResults()))
    return emitOpError("(C2) taps ") << getTap()->size() << " of " << getResults() << " results";
  return success();
}

LogicalResult CodeOp::verify() {
  auto isSize = [](Attribute attr) { return isa<IntegerAttr, StringAttr>(attr); };
  for (Attribute attr : getTensors()) {
    auto form = dyn_cast<ArrayAttr>(attr);
    if (!isa<UnitAttr>(attr) &&
        (!form || form.empty() || !isa<TypeAttr>(form[0]) || !llvm::all_of(form.getValue().drop_front(), isSize)))
      return emitOpError("(C1) tensor ") << attr << " is neither unit nor a type and sizes";
  }
  for (Attribute attr : getGrid()) {
    auto dim = dyn_cast<ArrayAttr>(attr);
    auto per = dim && dim.size() == 2 ? dyn_cast<IntegerAttr>(dim[1]) : IntegerAttr();
    if (!per || !isSize(dim[0]) || per.getInt() < 1)
      return emitOpError("(C2) grid dimension ") << attr << " is not [size, count]";
  }
  return success();
}
