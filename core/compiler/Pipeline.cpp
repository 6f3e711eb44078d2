//===- Pipeline.cpp - the passes in order ---------------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/codegen/Image.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/lm/LM.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace modelc {

#define GEN_PASS_REGISTRATION
#include "core/compiler/Passes.h.inc"

std::vector<PipelineStep> buildPipeline(const CompileOptions &options) {
  std::vector<PipelineStep> steps;
  auto add = [&](std::unique_ptr<Pass> pass) { steps.push_back({pass->getArgument(), std::move(pass)}); };
  // 1. Which model exactly: sizes, and the weights it will find.
  add(createLMResolve(options.configs, options.checkpoint));
  add(createLMVaryAttention(options.attention));
  // 2. What to compute: attention in latent space, then primitives alone.
  add(createLMAbsorbMLA());
  add(createLMPlan());
  // 3. In which precision. Before fusion, as it puts ops between others.
  add(createLMQuantize({options.weights_format, options.numerics, options.kv_dtype}));
  // 4. How, and with which kernels. Reference runs are compared value by value, so scores stay visible there.
  add(createLMSchedule(options.manifest, options.generate, options.tuned));
  add(createLMSplitKeys());
  add(createLMFuse(options.manifest, /*keepScores=*/options.numerics == "reference"));
  add(createLMSelectKernels(options.manifest, options.backend, options.generate));
  // 5. When.
  add(createLMConditions());
  // 6. Where in memory.
  add(createLMToKernel({options.max_rows, options.max_sequences, options.max_context}));
  add(createKernelFuse(options.manifest, options.generate));
  add(createKernelPlanMemory());
  // 7. Code for what has no kernel.
  add(createKernelGenerate(options.manifest));
  add(createKernelCompile(options.manifest));
  return steps;
}

void registerPasses() { registerModelcPasses(); }

void registerDialects(DialectRegistry &registry) {
  registry.insert<lm::LMDialect, kernel::KernelDialect>();
  codegen::registerLowering(registry);
}

} // namespace modelc
