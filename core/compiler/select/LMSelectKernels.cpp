//===- LMSelectKernels.cpp - lm-select-kernels ----------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/manifest/ManifestSource.h"
#include "dialects/lm/LM.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringSet.h"

namespace modelc {
#define GEN_PASS_DEF_LMSELECTKERNELS
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

std::string dtypeName(Type type) {
  if (isa<Float8E4M3FNType>(type))
    return "f8e4m3";
  return type.isBF16() ? "bf16" : type.isF32() ? "f32" : "i32";
}

// A static dimension, counted from the last; nothing for one that is not there or dynamic.
std::optional<WhereValue> dimension(Type type, int fromLast) {
  auto tensor = dyn_cast_or_null<RankedTensorType>(type);
  if (!tensor || tensor.getRank() <= fromLast || tensor.isDynamicDim(tensor.getRank() - 1 - fromLast))
    return std::nullopt;
  return tensor.getDimSize(tensor.getRank() - 1 - fromLast);
}

// The letters ops.md gives an op's static dimensions.
std::optional<WhereValue> letter(Operation *op, char name, WeightAttr weight) {
  auto operand = [&](unsigned i, int fromLast) {
    return i < op->getNumOperands() ? dimension(op->getOperand(i).getType(), fromLast) : std::nullopt;
  };
  const RankedTensorType matrix = weight && weight.getType().getRank() > 1 ? weight.getType() : RankedTensorType();
  switch (name) {
  case 'K':
    return dimension(matrix, 0);
  case 'N':
  case 'F':
  case 'V':
    return dimension(matrix, 1);
  case 'L':
    return matrix ? dimension(matrix, 0) : operand(0, 0);
  case 'E':
    return isa<MoERouteOp>(op) ? operand(0, 0) : dimension(matrix, 2);
  case 'D':
  case 'H':
    return operand(0, 0);
  case 'h':
  case 'i':
    return operand(0, 1);
  case 'R':
    return operand(1, 0);
  case 'A':
    return isa<MoERouteOp>(op)     ? dimension(op->getResult(0).getType(), 0)
           : isa<MoECombineOp>(op) ? operand(1, 0)
                                   : operand(0, 0);
  default:
    return std::nullopt;
  }
}

// The names manifest.md defines, read off an op.
std::optional<WhereValue> valueOf(RowOpInterface op, std::string_view nameView) {
  StringRef name(nameView.data(), nameView.size());
  for (auto [attribute, value] : getKernelCall(op).attributes) {
    if (attribute != name)
      continue;
    if (auto number = dyn_cast<IntegerAttr>(value))
      return number.getInt();
    if (auto text = dyn_cast<StringAttr>(value))
      return text.getValue().str();
  }
  WeightAttr weight;
  for (StringRef attribute : {"weight", "gate", "bias"})
    if (!weight)
      weight = op->getAttrOfType<WeightAttr>(attribute);
  if (name == "W.dtype" && weight)
    return dtypeName(weight.getType().getElementType());
  return name.size() == 1 ? letter(op, name.front(), weight) : std::nullopt;
}

// The best-ranked kernel whose condition holds; null when there is none, and what the others wanted.
const ManifestKernel *choose(const Manifest &manifest, StringRef opName, const WhereLookup &lookup,
                             std::string &refused) {
  const ManifestKernel *best = nullptr;
  for (const ManifestKernel &kernel : manifest.kernels) {
    if (opName != kernel.op)
      continue;
    absl::StatusOr<bool> holds = EvaluateWhere(kernel.where, lookup);
    if (!holds.ok() || !*holds)
      refused += " kernel '" + kernel.name + "' wants " + kernel.where + ";";
    else if (!best || kernel.rank > best->rank)
      best = &kernel;
  }
  return best;
}

class LMSelectKernels : public modelc::impl::LMSelectKernelsBase<LMSelectKernels> {
public:
  using LMSelectKernelsBase::LMSelectKernelsBase;
  LMSelectKernels(std::string manifest, std::string name) : source(std::move(manifest)) { backend = std::move(name); }

  LogicalResult initialize(MLIRContext *context) override { return source.load(manifestFile, context); }

  void runOnOperation() override {
    llvm::StringSet<> reported;
    bool complete = true;
    getOperation().walk([&](RowOpInterface op) { complete &= succeeded(select(op, reported)); });
    // Copies appear only in lm-to-kernel.
    std::string refused;
    auto nothing = [](std::string_view) { return std::nullopt; };
    if (const ManifestKernel *copy = choose(*source, "copy", nothing, refused))
      for (ModelOp model : getOperation().getOps<ModelOp>())
        model->setAttr("copy_kernel", StringAttr::get(&getContext(), copy->name));
    if (!complete)
      signalPassFailure();
  }

private:
  LogicalResult select(RowOpInterface op, llvm::StringSet<> &reported) {
    if (!isPrimitive(op))
      return op->emitOpError("is a composite; run lm-absorb-mla and lm-plan first");
    StringRef name = op->getName().stripDialect();
    std::string refused;
    auto lookup = [&](std::string_view word) { return valueOf(op, word); };
    if (const ManifestKernel *kernel = choose(*source, name, lookup, refused)) {
      op->setAttr("kernel", StringAttr::get(op->getContext(), kernel->name));
      return success();
    }
    if (reported.insert((name + refused).str()).second)
      op->emitOpError("has no kernel on backend '")
          << backend << "';" << (refused.empty() ? " its manifest lists none for this op;" : refused)
          << " write one for op '" << name << "' (plugins/abi/ops.md)";
    return failure();
  }

  ManifestSource source;
};

} // namespace

std::unique_ptr<Pass> modelc::createLMSelectKernels(std::string manifest, std::string backend) {
  return std::make_unique<LMSelectKernels>(std::move(manifest), std::move(backend));
}
