//===- LMSelectKernels.cpp - lm-select-kernels ----------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/codegen/Kernels.h"
#include "core/compiler/codegen/Patterns.h"
#include "core/compiler/manifest/ManifestSource.h"
#include "dialects/lm/LM.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringExtras.h"
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
    return weight.getFormat() ? weight.getFormat().str() : dtypeName(weight.getType().getElementType());
  return name.size() == 1 ? letter(op, name.front(), weight) : std::nullopt;
}

// The op's best-ranked kernel, among those whose condition holds or among all.
const ManifestKernel *choose(const Manifest &manifest, StringRef opName,
                             llvm::function_ref<bool(const ManifestKernel &)> holds) {
  const ManifestKernel *best = nullptr;
  for (const ManifestKernel &kernel : manifest.kernels)
    if (opName == kernel.op && holds(kernel) && (!best || kernel.rank > best->rank))
      best = &kernel;
  return best;
}

// "W.dtype = bf16, K = 64": what the names in a condition stand for; a name without a value is left out.
std::string namedValues(StringRef where, const WhereLookup &lookup) {
  std::string text;
  llvm::StringSet<> seen;
  while (!where.empty()) {
    StringRef word = where.take_while([](char c) { return llvm::isAlnum(c) || c == '_' || c == '.'; });
    where = where.drop_front(std::max<size_t>(1, word.size()));
    if (word.empty() || !seen.insert(word).second)
      continue;
    if (std::optional<WhereValue> value = lookup({word.data(), word.size()}))
      text += (text.empty() ? "" : ", ") + word.str() + " = " +
              (std::holds_alternative<int64_t>(*value) ? std::to_string(std::get<int64_t>(*value))
                                                       : std::get<std::string>(*value));
  }
  return text;
}

class LMSelectKernels : public modelc::impl::LMSelectKernelsBase<LMSelectKernels> {
public:
  using LMSelectKernelsBase::LMSelectKernelsBase;
  LMSelectKernels(std::string manifest, std::string name, std::string ops) : source(std::move(manifest)) {
    backend = std::move(name);
    generate = std::move(ops);
  }

  LogicalResult initialize(MLIRContext *context) override {
    return failure(failed(source.load(manifestFile, context)) || failed(wanted.parse(generate, context)));
  }

  void runOnOperation() override {
    if (failed(checkResolved(getOperation())))
      return signalPassFailure();
    Gaps gaps;
    bool complete = true;
    getOperation().walk([&](RowOpInterface op) { complete &= succeeded(select(op, gaps)); });
    // Copies appear only in lm-to-kernel.
    auto unconditional = [](const ManifestKernel &kernel) { return kernel.where.empty(); };
    const ManifestKernel *copy = choose(*source, "copy", unconditional);
    const bool generated = !source->target.triple.empty() && (!copy || wanted.match("copy"));
    if (copy || generated)
      for (ModelOp model : getOperation().getOps<ModelOp>())
        model->setAttr("copy_kernel",
                       StringAttr::get(&getContext(), generated ? StringRef(kernel::kGenerated) : StringRef(copy->name)));
    if (!gaps.empty())
      report(gaps);
    if (!complete)
      signalPassFailure();
  }

private:
  // Ops without a kernel: the first of each name, and what the kernel that comes nearest wants of it, or nothing.
  struct Gap {
    Operation *op;
    std::string nearest;
  };
  using Gaps = llvm::MapVector<StringRef, Gap>;

  LogicalResult select(RowOpInterface op, Gaps &gaps) {
    if (!isPrimitive(op))
      return op->emitOpError("is a composite; run lm-absorb-mla and lm-plan first");
    StringRef name = op->getName().stripDialect();
    WhereLookup lookup = [&](std::string_view word) { return valueOf(op, word); };
    auto holds = [&](const ManifestKernel &kernel) { return Takes(kernel, lookup); };
    const std::optional<WhereValue> weight = lookup("W.dtype");
    const bool generated = !source->target.triple.empty() && codegen::canGenerate(name) &&
                           (!weight || codegen::canRead(std::get<std::string>(*weight)));
    const ManifestKernel *kernel = choose(*source, name, holds);
    if (isGenerated(op) && !generated)
      return op->emitOpError("has a schedule that asks for generated code, which backend '")
             << backend << "' does not take for it; write code = library, or leave the schedule out";
    if (generated && (!kernel || wanted.match(name) || isGenerated(op))) {
      op->setAttr("kernel", StringAttr::get(op->getContext(), kernel::kGenerated));
      return success();
    }
    if (kernel) {
      op->setAttr("kernel", StringAttr::get(op->getContext(), kernel->name));
      return success();
    }
    Gap gap{op, ""};
    if (const ManifestKernel *kernel = choose(*source, name, [](const ManifestKernel &) { return true; })) {
      // Where its condition holds it lacks the weight's format.
      const bool lacksFormat = EvaluateWhere(kernel->where, lookup).value_or(false);
      std::string wants = kernel->where, here = namedValues(lacksFormat ? "W.dtype" : wants, lookup);
      if (lacksFormat)
        wants = "weights in " + (kernel->weights.empty() ? "f8e4m3, bf16 or f32" : llvm::join(kernel->weights, ", "));
      gap.nearest = "its kernel '" + kernel->name + "' for '" + kernel->op + "' wants " + wants +
                    (here.empty() ? "" : ", here " + here);
    }
    gaps.insert({name, std::move(gap)});
    return failure();
  }

  void report(const Gaps &gaps) {
    constexpr size_t kShown = 6, kShownNearest = 3;
    SmallVector<std::string> absent, nearest;
    for (const auto &[name, gap] : gaps)
      if (gap.nearest.empty())
        absent.push_back("'" + name.str() + "'");
      else
        nearest.push_back(gap.nearest);
    auto cut = [](SmallVector<std::string> &list, size_t shown) {
      if (list.size() > shown) {
        list[shown] = std::to_string(list.size() - shown) + " more";
        list.resize(shown + 1);
      }
    };
    cut(absent, kShown);
    cut(nearest, kShownNearest);
    if (!absent.empty())
      nearest.insert(nearest.begin(), "it has no kernel for " + llvm::join(absent, ", "));
    gaps.front().second.op->emitError("backend '")
        << backend << "' cannot run this model: " << llvm::join(nearest, "; ")
        << "; write them (plugins/abi/ops.md), or choose another --backend";
  }

  ManifestSource source;
  codegen::Patterns wanted;
};

} // namespace

std::unique_ptr<Pass> modelc::createLMSelectKernels(std::string manifest, std::string backend, std::string generate) {
  return std::make_unique<LMSelectKernels>(std::move(manifest), std::move(backend), std::move(generate));
}
