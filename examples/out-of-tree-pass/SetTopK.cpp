// A pass outside modelc's tree: changes how many positions sparse attention selects. It needs MLIR alone, as it finds ops by name.
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Config/llvm-config.h"

using namespace mlir;

namespace {

struct SetTopK : PassWrapper<SetTopK, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SetTopK)

  SetTopK() = default;
  SetTopK(const SetTopK &other) : PassWrapper(other) { k = other.k.getValue(); }

  StringRef getArgument() const override { return "set-topk"; }
  StringRef getDescription() const override { return "Give every lm.dsa.select of a source model this many positions"; }

  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      if (op->getName().getStringRef() == "lm.dsa.select")
        op->setAttr("top", Builder(op->getContext()).getI64IntegerAttr(k));
    });
  }

  Option<int64_t> k{*this, "k", llvm::cl::desc("Positions to keep"), llvm::cl::init(2048)};
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "set-topk", LLVM_VERSION_STRING, [] { PassRegistration<SetTopK>(); }};
}
