//===- KernelCompile.cpp - kernel-compile ---------------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/codegen/Image.h"
#include "core/compiler/manifest/ManifestSource.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace modelc {
#define GEN_PASS_DEF_KERNELCOMPILE
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;

namespace {

class KernelCompile : public modelc::impl::KernelCompileBase<KernelCompile> {
public:
  using KernelCompileBase::KernelCompileBase;
  explicit KernelCompile(std::string manifest) : source(std::move(manifest)) {}

  LogicalResult initialize(MLIRContext *context) override { return source.load(manifestFile, context); }

  void runOnOperation() override {
    WalkResult result = getOperation().walk([&](kernel::CodeOp code) {
      if (code.getImage())
        return WalkResult::skip();
      return succeeded(codegen::compileToImage(code, source->target)) ? WalkResult::skip() : WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  ManifestSource source;
};

} // namespace

std::unique_ptr<Pass> modelc::createKernelCompile(std::string manifest) {
  return std::make_unique<KernelCompile>(std::move(manifest));
}
