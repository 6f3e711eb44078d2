//===- Opt.cpp - passes over IR of any level ------------------------------===//

#include "core/compiler/opt.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/compiler/Extensions.h"
#include "core/compiler/Passes.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdio>

using namespace mlir;

namespace modelc {
namespace {

constexpr int kMismatch = 1; // verify_diagnostics found other diagnostics than the file expects
constexpr int kBadInput = 2; // the diagnostics are printed

bool wantsManifest(StringRef pass) {
  return llvm::is_contained(
      {"lm-schedule", "lm-fuse", "lm-select-kernels", "kernel-fuse", "kernel-generate", "kernel-compile"}, pass);
}

// Says in a pass's own options what the command line gives it, so that a reproducer has them too.
absl::Status setOptions(PipelineStep &step, const OptOptions &opt) {
  std::string options;
  auto add = [&](std::string_view name, const std::string &value) {
    if (!value.empty())
      absl::StrAppend(&options, Absl(name), "=", value, " ");
  };
  if (step.name == "lm-resolve") {
    add("config", absl::StrJoin(opt.compile.configs, ","));
    add("weights", opt.weights);
  } else if (wantsManifest(step.name)) {
    add("manifest", opt.manifest);
    if (step.name == "lm-schedule")
      add("tuning", opt.tuning);
  }
  if (options.empty())
    return absl::OkStatus();
  std::string problem;
  auto note = [&](const Twine &what) {
    problem = what.str();
    return failure();
  };
  if (failed(step.pass->initializeOptions(options, note)))
    return absl::InvalidArgumentError(problem);
  return absl::OkStatus();
}

// The passes between `from` and `until`; none without either.
absl::StatusOr<OpPassManager> stepsOf(const OptOptions &opt) {
  OpPassManager chosen(ModuleOp::getOperationName());
  if (opt.from.empty() && opt.until.empty())
    return chosen;
  CompileOptions options = opt.compile;
  options.configs.clear(); // lm-resolve is told the files
  std::vector<PipelineStep> all = buildPipeline(options);
  auto find = [&](const char *flag, const std::string &name, size_t otherwise) -> absl::StatusOr<size_t> {
    if (name.empty())
      return otherwise;
    std::vector<std::string> names;
    for (const PipelineStep &step : all) {
      if (step.name == name)
        return names.size();
      names.push_back(step.name.str());
    }
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, " ", name, ": no such pass in the pipeline; it has ", absl::StrJoin(names, ", ")));
  };
  MODELC_ASSIGN_OR_RETURN(size_t first, find("from", opt.from, 0));
  MODELC_ASSIGN_OR_RETURN(size_t last, find("until", opt.until, all.size() - 1));
  if (first > last)
    return absl::InvalidArgumentError(absl::StrCat("--from ", opt.from, " comes after --until ", opt.until));
  bool manifest = std::any_of(all.begin() + first, all.begin() + last + 1,
                              [](const PipelineStep &step) { return wantsManifest(step.name); });
  if (opt.manifest.empty() && manifest) {
    MODELC_ASSIGN_OR_RETURN(OptOptions::Target target, opt.target());
    options.manifest = target.manifest;
    options.backend = target.backend;
    all = buildPipeline(options);
  }
  for (size_t i = first; i <= last; ++i) {
    MODELC_RETURN_IF_ERROR(setOptions(all[i], opt));
    chosen.addPass(std::move(all[i].pass));
  }
  return chosen;
}

absl::StatusOr<OpPassManager> pipelineOf(const OptOptions &opt) {
  if (opt.pass_pipeline.empty())
    return stepsOf(opt);
  if (!opt.from.empty() || !opt.until.empty())
    return absl::InvalidArgumentError("give --pass-pipeline, or --from and --until, not both");
  std::string problem;
  llvm::raw_string_ostream stream(problem);
  FailureOr<OpPassManager> parsed = parsePassPipeline(opt.pass_pipeline, stream);
  if (failed(parsed))
    return absl::InvalidArgumentError(absl::StrCat("--pass-pipeline: ", problem));
  return *std::move(parsed);
}

// Makes ready the pass manager that MlirOptMain runs over each module of the file.
void setUp(PassManager &passes, const OpPassManager &pipeline, const OptOptions &opt) {
  passes.getContext()->disableMultithreading(); // every pass runs on a whole module; printing asks for it
  if (!opt.run_reproducer)
    static_cast<OpPassManager &>(passes) = pipeline; // else the file names them
  if (opt.timing)
    passes.enableTiming();
  if (opt.print_ir_after_all)
    passes.enableIRPrinting([](Pass *, Operation *) { return false; }, [](Pass *, Operation *) { return true; });
  if (!opt.crash_reproducer.empty())
    passes.enableCrashReproducerGeneration(opt.crash_reproducer);
}

} // namespace

absl::StatusOr<int> RunOpt(const OptOptions &opt) {
  registerPassManagerCLOptions(); // MlirOptMain asks for them; nothing parses a command line with them
  registerPasses();
  DialectRegistry registry;
  registerDialects(registry);
  for (const std::string &path : opt.dialect_plugins)
    MODELC_RETURN_IF_ERROR(loadDialectPlugin(path, registry));
  for (const std::string &path : opt.pass_plugins)
    MODELC_RETURN_IF_ERROR(loadPassPlugin(path));
  if (opt.list_passes) {
    printRegisteredPasses();
    return 0;
  }
  MODELC_ASSIGN_OR_RETURN(OpPassManager pipeline, pipelineOf(opt));
  std::string problem;
  std::unique_ptr<llvm::MemoryBuffer> input = openInputFile(opt.file, &problem);
  if (!input)
    return absl::NotFoundError(problem);

  MlirOptMainConfig config;
  config.setPassPipelineSetupFn([&](PassManager &passes) {
    setUp(passes, pipeline, opt);
    return success();
  });
  config.runReproducer(opt.run_reproducer);
  if (opt.split_input_file)
    config.splitInputFile();
  if (opt.verify_diagnostics)
    config.verifyDiagnostics(SourceMgrDiagnosticVerifierHandler::Level::All);
  std::string output;
  llvm::raw_string_ostream stream(output);
  if (failed(MlirOptMain(stream, std::move(input), registry, config)))
    return opt.verify_diagnostics ? kMismatch : kBadInput;
  std::fwrite(output.data(), 1, output.size(), stdout);
  return 0;
}

} // namespace modelc
