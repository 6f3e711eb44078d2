//===- Resolve.cpp - lm-resolve -------------------------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/resolve/Parameters.h"
#include "core/compiler/resolve/Weights.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"

namespace modelc {
#define GEN_PASS_DEF_LMRESOLVE
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;
using namespace modelc::lm;

namespace {

constexpr llvm::StringLiteral kScope = "lm.scope"; // of an inlined op, below its layers' scope

// Sizes by number. Names of blocks and rope tables stay.
LogicalResult substituteParameters(ModelOp model, DictionaryAttr parameters) {
  LogicalResult result = success();
  auto number = [&](Operation *op, Attribute attr) -> Attribute {
    auto ref = dyn_cast<FlatSymbolRefAttr>(attr);
    if (!ref)
      return attr;
    if (Attribute value = parameters.get(ref.getValue()))
      return value;
    result = op->emitOpError("uses parameter ") << ref << ", which the model does not define";
    return attr;
  };
  model.walk([&](Operation *op) {
    if (isa<ParamOp>(op))
      return;
    for (NamedAttribute named : llvm::to_vector(op->getAttrs())) {
      StringRef name = named.getName();
      if (name == "callee" || name == "rope" || name == "sym_name" || name == "expects")
        continue;
      if (auto array = dyn_cast<ArrayAttr>(named.getValue())) {
        SmallVector<Attribute> values;
        for (Attribute element : array)
          values.push_back(number(op, element));
        op->setAttr(name, ArrayAttr::get(op->getContext(), values));
      } else {
        op->setAttr(name, number(op, named.getValue()));
      }
    }
  });
  return result;
}

std::string join(StringRef outer, StringRef inner) {
  if (outer.empty() || inner.empty())
    return (outer + inner).str();
  return (outer + "." + inner).str();
}

StringRef scopeOf(Operation *op) {
  auto attr = op->getAttrOfType<StringAttr>(kScope);
  return attr ? attr.getValue() : "";
}

// Replaces calls by their blocks' bodies until none is left; a block that calls itself is an error.
LogicalResult inlineCalls(ModelOp model, EntryOp entry) {
  constexpr int kMostCalls = 10000;
  for (int n = 0;; ++n) {
    CallOp call;
    entry.walk([&](CallOp found) {
      call = found;
      return WalkResult::interrupt();
    });
    if (!call)
      return success();
    if (n == kMostCalls)
      return call.emitOpError("is one of more than ") << kMostCalls << " calls; does a block call itself?";
    auto block = cast<BlockOp>(SymbolTable::lookupSymbolIn(model, call.getCalleeAttr()));
    std::string scope = join(scopeOf(call), block.getScope());
    OpBuilder b(call);
    IRMapping map;
    map.map(block.getBody().getArguments(), call.getOperands());
    for (Operation &op : block.getBody().front().without_terminator()) {
      Operation *clone = b.clone(op, map);
      std::string inner = join(scope, scopeOf(&op));
      if (!inner.empty())
        clone->setAttr(kScope, b.getStringAttr(inner));
    }
    Operation *yield = block.getBody().front().getTerminator();
    for (auto [result, value] : llvm::zip(call.getResults(), yield->getOperands()))
      result.replaceAllUsesWith(map.lookupOrDefault(value));
    call.erase();
  }
}

struct EntryResolver {
  WeightResolver &weights;

  LogicalResult run(Block &block, StringRef scope, int64_t firstLayer, int64_t lastLayer) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (auto layers = dyn_cast<LayersOp>(op)) {
        if (failed(runLayers(layers, scope)))
          return failure();
      } else if (auto input = dyn_cast<InputOp>(op)) {
        resolveInput(input);
      } else if (isa<RowOpInterface>(op)) {
        if (failed(runRowOp(&op, scope, firstLayer, lastLayer)))
          return failure();
      }
    }
    return success();
  }

  LogicalResult runLayers(LayersOp layers, StringRef outer) {
    int64_t from = sizeOf(layers.getFrom()), to = sizeOf(layers.getTo());
    for (auto [arg, init] : llvm::zip(layers.getBody().getArguments(), layers.getInit()))
      arg.setType(init.getType());
    layers.setScope(join(join(outer, scopeOf(layers)), layers.getScope()));
    layers->removeAttr(kScope);
    if (failed(run(layers.getBody().front(), layers.getScope(), from, to)))
      return failure();
    for (auto [result, value] : llvm::zip(layers.getResults(), layers.getBody().front().getTerminator()->getOperands()))
      result.setType(value.getType());
    return success();
  }

  void resolveInput(InputOp input) {
    Builder b(input.getContext());
    if (input.getKind() == "ids")
      input.getOut().setType(RankedTensorType::get({ShapedType::kDynamic}, b.getI32Type()));
    else
      input.getOut().setType(RankedTensorType::get({ShapedType::kDynamic, sizeOf(*input.getWidth())}, b.getF32Type()));
  }

  LogicalResult runRowOp(Operation *op, StringRef layerScope, int64_t firstLayer, int64_t lastLayer) {
    std::string scope = join(layerScope, scopeOf(op));
    if (!scope.empty())
      scope += ".";
    op->removeAttr(kScope);
    // Shapes first: they tell what the weights must look like.
    SmallVector<Type> types;
    if (failed(inferResultTypes(op, types)))
      return failure();
    for (auto [result, type] : llvm::zip(op->getResults(), types))
      result.setType(type);
    for (const WeightUse &use : weightsOf(op, scope))
      if (WeightAttr weight = weights.resolve(use, firstLayer, lastLayer))
        op->setAttr(use.attribute, weight);
    return success();
  }
};

class LMResolve : public modelc::impl::LMResolveBase<LMResolve> {
public:
  using LMResolveBase::LMResolveBase;
  LMResolve(std::vector<std::string> configs, const TensorIndex *checkpoint)
      : configs(std::move(configs)), index(checkpoint) {}

  LogicalResult initialize(MLIRContext *context) override {
    if (!configFiles.empty())
      configs.clear();
    for (const std::string &file : configFiles) {
      std::string error;
      std::unique_ptr<llvm::MemoryBuffer> text = openInputFile(file, &error);
      if (!text)
        return emitError(UnknownLoc::get(context)) << "config: " << error;
      configs.push_back(text->getBuffer().str());
    }
    if (weightsDir.empty())
      return success();
    absl::StatusOr<std::unique_ptr<Checkpoint>> opened = Checkpoint::Open(weightsDir.getValue());
    if (!opened.ok())
      return emitError(UnknownLoc::get(context)) << std::string(opened.status().message());
    checkpoint = *std::move(opened);
    index = &checkpoint->index();
    return success();
  }

  void runOnOperation() override {
    if (failed(resolve(getOperation())))
      signalPassFailure();
  }

private:
  LogicalResult resolve(ModuleOp module) {
    auto models = llvm::to_vector(module.getOps<ModelOp>());
    if (models.size() != 1)
      return module.emitError("the file holds ") << models.size() << " lm.model ops; want one";
    ModelOp model = models.front();
    if (model->hasAttr("parameters"))
      return success(); // already resolved
    absl::StatusOr<nlohmann::json> config = mergeConfigs(configs);
    if (!config.ok())
      return model.emitError(std::string(config.status().message()));
    FailureOr<DictionaryAttr> parameters = resolveParameters(model, *config);
    if (failed(parameters) || failed(substituteParameters(model, *parameters)))
      return failure();

    // Without a checkpoint to look at, FP8 is what the config says, or else the published form.
    const bool quantized = !configDescribes(model, *config) || !lookUp(*config, "quantization_config").is_null();
    WeightResolver weights(index, quantized, module.getContext());
    for (EntryOp entry : llvm::make_early_inc_range(model.getOps<EntryOp>())) {
      if (entry.getWhen() && numberOf(*entry.getWhen()) == 0) {
        entry.erase();
        continue;
      }
      if (failed(inlineCalls(model, entry)) || failed(EntryResolver{weights}.run(entry.getBody().front(), "", 0, 1)))
        return failure();
    }
    if (failed(weights.report(model)))
      return failure();
    for (Operation &op : llvm::make_early_inc_range(model.getBody().front()))
      if (isa<ParamOp, BlockOp>(op))
        op.erase();
    model.removeExpectsAttr();
    model->setAttr("parameters", *parameters);
    return success();
  }

  std::vector<std::string> configs;
  std::shared_ptr<Checkpoint> checkpoint; // opened here, when named as text
  const TensorIndex *index = nullptr;
};

} // namespace

std::unique_ptr<Pass> modelc::createLMResolve(std::vector<std::string> configs, const TensorIndex *checkpoint) {
  return std::make_unique<LMResolve>(std::move(configs), checkpoint);
}
