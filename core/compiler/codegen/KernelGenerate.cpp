//===- KernelGenerate.cpp - kernel-generate -------------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/codegen/Kernels.h"
#include "core/compiler/manifest/ManifestSource.h"
#include "dialects/lm/LM.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace modelc {
#define GEN_PASS_DEF_KERNELGENERATE
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;

namespace {

// The forms of a program's tensors, as its declarations say them.
class Tensors {
public:
  explicit Tensors(kernel::ProgramOp program) : program(program), b(program.getContext()) {}

  codegen::KernelTensor of(Attribute operand) {
    if (auto input = dyn_cast<StringAttr>(operand))
      return ofInput(*kernel::parseInput(input.getValue()));
    auto ref = dyn_cast<FlatSymbolRefAttr>(operand);
    if (!ref)
      return {};
    Operation *declared = SymbolTable::lookupSymbolIn(program, ref);
    if (auto buffer = dyn_cast<kernel::BufferOp>(declared))
      return {buffer.getType(), llvm::to_vector(buffer.getDims())};
    if (auto weight = dyn_cast<kernel::WeightOp>(declared)) {
      auto type = cast<RankedTensorType>(weight.getType());
      if (weight.getFormat()) // the others were refused when kernels were selected
        return {b.getBF16Type(), sizes(type.getShape())};
      return {type.getElementType(), sizes(type.getShape()), isa<Float8E4M3FNType>(type.getElementType())};
    }
    if (auto constant = dyn_cast<kernel::ConstantOp>(declared))
      return {b.getF32Type(), sizes({int64_t(constant.getValues().size())})};
    auto cache = cast<kernel::CacheOp>(declared);
    return {b.getIntegerType(8, /*isSigned=*/false),
            {b.getStringAttr("pages"), b.getI64IntegerAttr(cache.getPageBytes())}};
  }

private:
  SmallVector<Attribute> sizes(ArrayRef<int64_t> shape) {
    return llvm::map_to_vector(shape, [&](int64_t size) { return Attribute(b.getI64IntegerAttr(size)); });
  }

  codegen::KernelTensor ofInput(Input input) {
    auto named = [&](StringRef name) { return Attribute(b.getStringAttr(name)); };
    Type i32 = b.getI32Type();
    switch (input) {
    case Input::kPages:
      return {i32, {named("S"), named("P")}};
    case Input::kWanted:
      return {i32, {named("N")}};
    case Input::kHidden: {
      Attribute hidden = program.getParameters().get("hidden_size");
      return {b.getF32Type(), {named("T"), b.getI64IntegerAttr(hidden ? lm::sizeOf(hidden) : 0)}};
    }
    default:
      return {i32, {named("T")}};
    }
  }

  kernel::ProgramOp program;
  Builder b;
};

class KernelGenerate : public modelc::impl::KernelGenerateBase<KernelGenerate> {
public:
  using KernelGenerateBase::KernelGenerateBase;
  explicit KernelGenerate(std::string manifest) : source(std::move(manifest)) {}

  LogicalResult initialize(MLIRContext *context) override { return source.load(manifestFile, context); }

  void runOnOperation() override {
    for (auto program : getOperation().getOps<kernel::ProgramOp>()) {
      known.clear();
      WalkResult result = program.walk([&](kernel::LaunchOp launch) {
        if (launch.getKernel() != kernel::kGenerated || launch.getCode())
          return WalkResult::advance();
        return succeeded(generate(program, launch)) ? WalkResult::advance() : WalkResult::interrupt();
      });
      if (result.wasInterrupted())
        return signalPassFailure();
    }
  }

private:
  LogicalResult generate(kernel::ProgramOp program, kernel::LaunchOp launch) {
    if (source->target.triple.empty())
      return launch.emitOpError("wants generated code, which the device does not take (its manifest's codegen)");
    Tensors tensors(program);
    codegen::KernelRequest request{launch.getOp().str(), launch.getStatics(), {}};
    SmallVector<Attribute> key{launch.getOpAttr(), launch.getStatics()};
    for (Attribute operand : launch.getTensors()) {
      request.tensors.push_back(tensors.of(operand));
      const codegen::KernelTensor &tensor = request.tensors.back();
      key.push_back(tensor.element ? Attribute(TypeAttr::get(tensor.element)) : Attribute(operand));
      key.push_back(ArrayAttr::get(&getContext(), tensor.dims));
    }
    FlatSymbolRefAttr &code = known[ArrayAttr::get(&getContext(), key)];
    if (!code) {
      OpBuilder b(&program.getBody().front(), program.getBody().front().begin());
      std::string name = launch.getOp().str() + "_" + std::to_string(known.size() - 1);
      std::replace(name.begin(), name.end(), '.', '_');
      const auto target = codegen::VectorTarget::of(source->target);
      auto made = codegen::generateKernel(b, launch.getLoc(), name, request, target);
      if (failed(made))
        return failure();
      code = FlatSymbolRefAttr::get(made->getSymNameAttr());
    }
    launch.setCodeAttr(code);
    return success();
  }

  ManifestSource source;
  DenseMap<Attribute, FlatSymbolRefAttr> known; // by op, attributes and tensors
};

} // namespace

std::unique_ptr<Pass> modelc::createKernelGenerate(std::string manifest) {
  return std::make_unique<KernelGenerate>(std::move(manifest));
}
