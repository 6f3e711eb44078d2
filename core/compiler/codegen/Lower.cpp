//===- Lower.cpp - a kernel's function in the LLVM dialect ----------------===//
#include "core/compiler/codegen/Lower.h"
#include "core/compiler/codegen/Image.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

constexpr int64_t kTensorShape = 2; // fields of modelc_code_tensor: data, scale, then four sizes

// The function the plugin calls: reads pointers and sizes from its table of modelc_code_tensor, and calls the kernel's
// with the descriptors a memref is taken apart into.
class Entry {
public:
  Entry(LLVM::LLVMFuncOp body, ArrayRef<Type> arguments, ArrayRef<int> tensorOf)
      : b(body.getLoc(), body.getContext()), body(body), arguments(arguments), tensorOf(tensorOf) {}

  void write() {
    Type pointer = LLVM::LLVMPointerType::get(b.getContext()), i64 = b.getI64Type();
    b.setInsertionPointAfter(body);
    auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), {pointer, i64, i64, pointer});
    auto entry = LLVM::LLVMFuncOp::create(b, kEntryName, type);
    Block *block = entry.addEntryBlock(b);
    b.setInsertionPointToStart(block);
    table = block->getArgument(0);
    for (size_t i = 0; i + 3 < arguments.size(); ++i)
      addMemory(cast<MemRefType>(arguments[i]), tensorOf[i], i > 0 && tensorOf[i] == tensorOf[i - 1]);
    values.push_back(block->getArgument(1));
    values.push_back(block->getArgument(2));
    Value scratch = block->getArgument(3), zero = number(0), one = number(1);
    values.append({scratch, scratch, zero, number(cast<IntegerAttr>(body->getAttr(kScratchAttr)).getInt()), one});
    LLVM::CallOp::create(b, body, values);
    LLVM::ReturnOp::create(b, ValueRange());
  }

private:
  Value number(int64_t n) { return LLVM::ConstantOp::create(b, b.getI64Type(), b.getI64IntegerAttr(n)); }

  Value field(int tensor, int64_t number, Type type) {
    constexpr int64_t kFields = kTensorShape + 4; // of eight bytes each
    Value at = LLVM::GEPOp::create(b, table.getType(), b.getI64Type(), table,
                                   ArrayRef<LLVM::GEPArg>{int32_t(tensor * kFields + number)});
    return LLVM::LoadOp::create(b, type, at);
  }

  void addMemory(MemRefType type, int tensor, bool scales) {
    Value data = field(tensor, scales ? 1 : 0, table.getType());
    values.append({data, data, number(0)});
    SmallVector<Value> sizes;
    for (int64_t d = 0; d < type.getRank(); ++d)
      sizes.push_back(type.isDynamicDim(d) ? field(tensor, kTensorShape + d, b.getI64Type())
                                           : number(type.getDimSize(d)));
    SmallVector<Value> strides(sizes.size());
    Value stride = number(1);
    for (size_t d = sizes.size(); d-- > 0;) {
      strides[d] = stride;
      if (d)
        stride = LLVM::MulOp::create(b, stride, sizes[d]);
    }
    llvm::append_range(values, sizes);
    llvm::append_range(values, strides);
  }

  ImplicitLocOpBuilder b;
  LLVM::LLVMFuncOp body;
  ArrayRef<Type> arguments;
  ArrayRef<int> tensorOf;
  Value table;
  SmallVector<Value> values;
};

} // namespace

void registerLowering(DialectRegistry &registry) {
  registry.insert<arith::ArithDialect, cf::ControlFlowDialect, func::FuncDialect, LLVM::LLVMDialect, math::MathDialect,
                  memref::MemRefDialect, scf::SCFDialect, vector::VectorDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

FailureOr<OwningOpRef<ModuleOp>> lowerToLLVM(kernel::CodeOp code) {
  auto function = *code.getBody().front().getOps<func::FuncOp>().begin();
  SmallVector<Type> arguments(function.getArgumentTypes());
  // A tensor's block scales follow it.
  SmallVector<int> tensorOf;
  for (auto [i, form] : llvm::enumerate(code.getTensors())) {
    auto parts = dyn_cast<ArrayAttr>(form);
    if (!parts)
      continue;
    tensorOf.push_back(i);
    if (isa<Float8E4M3FNType>(cast<TypeAttr>(parts[0]).getValue()))
      tensorOf.push_back(i);
  }
  if (tensorOf.size() + 3 != arguments.size())
    return code.emitOpError("has a function of ")
           << arguments.size() << " operands for " << tensorOf.size() << " tensors";

  OwningOpRef<ModuleOp> module = ModuleOp::create(code.getLoc());
  OpBuilder b(module->getBodyRegion());
  auto body = cast<func::FuncOp>(b.clone(*function));
  body.setName("body");
  body.setPrivate();
  body->setAttr(kScratchAttr, code.getScratchAttr());

  PassManager passes(code.getContext(), ModuleOp::getOperationName());
  passes.enableVerifier(false);
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createConvertMathToLLVMPass());
  passes.addPass(createFinalizeMemRefToLLVMConversionPass());
  passes.addPass(createArithToLLVMConversionPass());
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createConvertFuncToLLVMPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  if (failed(passes.run(*module)))
    return failure();
  auto lowered = *module->getOps<LLVM::LLVMFuncOp>().begin();
  lowered.setLinkage(LLVM::Linkage::Internal);
  lowered.setAlwaysInline(true);
  Entry(lowered, arguments, tensorOf).write();
  return std::move(module);
}

} // namespace modelc::codegen
