// A dialect and the lowering of its op, loaded by modelc from a library. It knows the lm dialect by its ops' names alone, so it
// needs neither modelc's headers nor its build.
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "llvm/Config/llvm-config.h"

#include "ResearchDialect.h.inc"
#define GET_OP_CLASSES
#include "Research.h.inc"

#include "ResearchDialect.cpp.inc"
#define GET_OP_CLASSES
#include "Research.cpp.inc"

using namespace mlir;

void research::ResearchDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "Research.cpp.inc"
      >();
}

LogicalResult research::SelectRecentOp::verify() {
  for (auto [name, value] : {std::pair("recent", getRecent()), std::pair("block", getBlock())})
    if (int64_t(value) <= 0)
      return emitOpError("(C1) ") << name << " is " << int64_t(value) << "; want at least 1";
  return success();
}

namespace {

// An op of one operand and result, by name; the result has the operand's type, as all rows of a source file have.
Value create(OpBuilder &b, Location loc, StringRef name, Value operand, ArrayRef<NamedAttribute> attributes) {
  OperationState state(loc, name);
  state.addOperands(operand);
  state.addTypes(operand.getType());
  state.addAttributes(attributes);
  return b.create(state)->getResult(0);
}

struct LowerResearch : PassWrapper<LowerResearch, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(LowerResearch)

  StringRef getArgument() const override { return "lower-research"; }
  StringRef getDescription() const override { return "Make ops of the lm dialect of the research dialect's"; }

  void runOnOperation() override {
    SmallVector<research::SelectRecentOp> ops;
    getOperation().walk([&](research::SelectRecentOp op) { ops.push_back(op); });
    for (research::SelectRecentOp op : ops) {
      OpBuilder b(op);
      Value blocks = create(b, op.getLoc(), "lm.dsa.block_scores", op.getScore(),
                            b.getNamedAttr("block", op.getBlockAttr()));
      Value recent = create(b, op.getLoc(), "lm.dsa.window_scores", blocks,
                            b.getNamedAttr("window", op.getRecentAttr()));
      NamedAttrList attributes(op->getDiscardableAttrDictionary()); // a tap stays
      attributes.set("top", op.getTop());
      Value selected = create(b, op.getLoc(), "lm.dsa.select", recent, attributes);
      op.replaceAllUsesWith(selected);
      op.erase();
    }
  }
};

} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK DialectPluginLibraryInfo mlirGetDialectPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "research", LLVM_VERSION_STRING,
          [](DialectRegistry *registry) { registry->insert<research::ResearchDialect>(); }};
}

extern "C" LLVM_ATTRIBUTE_WEAK PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "research", LLVM_VERSION_STRING, [] { PassRegistration<LowerResearch>(); }};
}
