//===- Passes.h - the compiler's passes and their order ---------*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_PASSES_H
#define MODELC_CORE_COMPILER_PASSES_H

#include "core/compiler/compiler.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace mlir {
class DialectRegistry;
} // namespace mlir

namespace modelc {

#define GEN_PASS_DECL
#include "core/compiler/Passes.h.inc"

/// The passes that read files when they are written as text (`lm-resolve{config=...}`), given what those files hold.
/// `checkpoint` may be null and must outlive the pass.
std::unique_ptr<mlir::Pass> createLMResolve(std::vector<std::string> configs, const TensorIndex *checkpoint);
/// `options` as a pipeline's text has them: "top=64 window=16".
std::unique_ptr<mlir::Pass> createLMVaryAttention(std::string options);
std::unique_ptr<mlir::Pass> createLMSchedule(std::string manifest, std::string generate,
                                             std::vector<TunedSchedule> tuned);
std::unique_ptr<mlir::Pass> createLMFuse(std::string manifest, bool keepScores);
std::unique_ptr<mlir::Pass> createLMSelectKernels(std::string manifest, std::string backend, std::string generate);
std::unique_ptr<mlir::Pass> createKernelFuse(std::string manifest, std::string generate);
std::unique_ptr<mlir::Pass> createKernelGenerate(std::string manifest);
std::unique_ptr<mlir::Pass> createKernelCompile(std::string manifest);

/// A pass of the pipeline, for those who stop or start in the middle.
struct PipelineStep {
  llvm::StringRef name; // "lm-resolve"
  std::unique_ptr<mlir::Pass> pass;
};
/// Every pass from a model to a program with planned memory, in order.
std::vector<PipelineStep> buildPipeline(const CompileOptions &options);

/// Makes the passes known to textual pipelines.
void registerPasses();
/// The dialects a model file, and everything it is lowered to, may use.
void registerDialects(mlir::DialectRegistry &registry);

/// The program a module holds after the last pass; fails with a diagnostic when it holds none or memory is not planned.
mlir::FailureOr<Program> exportProgram(mlir::ModuleOp module);

} // namespace modelc

#endif // MODELC_CORE_COMPILER_PASSES_H
