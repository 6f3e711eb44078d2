// modelc opt: runs passes over a model file and prints the IR, at any level.
#include <algorithm>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/compiler/Extensions.h"
#include "core/compiler/Passes.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "tools/modelc/commands.h"
#include "tools/modelc/model.h"

namespace modelc {
namespace {

constexpr int kMismatch = 1;  // --verify-diagnostics found other diagnostics than the file expects
constexpr int kBadInput = 2;  // the diagnostics are printed

std::vector<std::string> Texts(const po::variables_map& flags, const char* name) {
  return flags.count(name) ? flags[name].as<std::vector<std::string>>() : std::vector<std::string>();
}
bool Set(const po::variables_map& flags, const char* name) { return flags[name].as<bool>(); }

void Declare(po::options_description& options, po::positional_options_description& positional) {
  positional.add("file", 1);
  options.add_options()
      ("file", po::value<std::string>()->default_value("-"), "the IR; - reads standard input")
      ("until", po::value<std::string>()->default_value(""), "run the compiler's passes up to this one, and it")
      ("from", po::value<std::string>()->default_value(""), "start at this pass: the file is at the level before it")
      ("pass-pipeline", po::value<std::string>()->default_value(""), "run these passes instead: 'builtin.module(lm-plan,…)'")
      ("config", po::value<std::vector<std::string>>()->composing(), "a config.json; may be repeated, later ones override")
      ("weights", po::value<std::string>()->default_value(""), "checkpoint folder to check weights against")
      ("manifest", po::value<std::string>()->default_value(""), "the backend's manifest; without it: the plugin is asked")
      ("numerics", po::value<std::string>()->default_value("fast"), "reference, deepseek or fast")
      ("attention", po::value<std::string>()->default_value(""), "lm-vary-attention's options")
      ("kv-dtype", po::value<std::string>()->default_value(""), "cache pages: f8, bf16 or f32")
      ("generate", po::value<std::string>()->default_value("fused"), "ops to generate, with wildcards")
      ("tuning", po::value<std::string>()->default_value(""), "a record that modelc tune wrote")
      ("max-rows", po::value<int64_t>()->default_value(512), "rows in one step")
      ("max-sequences", po::value<int64_t>()->default_value(64), "sequences in one step")
      ("max-context", po::value<int64_t>()->default_value(0), "tokens a sequence may have; 0: the config's limit")
      ("split-input-file", po::bool_switch(), "the file holds several modules, between lines '// -----'")
      ("verify-diagnostics", po::bool_switch(), "check diagnostics against the file's 'expected-error' comments")
      ("load-pass-plugin", po::value<std::vector<std::string>>()->composing(), "a library with passes; may be repeated")
      ("load-dialect-plugin", po::value<std::vector<std::string>>()->composing(), "a library with a dialect; may be repeated")
      ("list-passes", po::bool_switch(), "list the passes there are")
      ("timing", po::bool_switch(), "print the time each pass takes on stderr")
      ("print-ir-after-all", po::bool_switch(), "print the IR after each pass that changed it, on stderr")
      ("crash-reproducer", po::value<std::string>()->default_value(""), "file for the IR and passes that failed")
      ("run-reproducer", po::bool_switch(), "run the passes a reproducer file names");
}

bool WantsManifest(llvm::StringRef pass) {
  return llvm::is_contained({"lm-schedule", "lm-fuse", "lm-select-kernels", "kernel-fuse", "kernel-generate", "kernel-compile"}, pass);
}

// Says in a pass's own options what the flags give it, so that a reproducer has them too.
absl::Status SetOptions(PipelineStep& step, const po::variables_map& flags) {
  std::string options;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) absl::StrAppend(&options, Absl(name), "=", value, " ");
  };
  if (step.name == "lm-resolve") {
    add("config", absl::StrJoin(Texts(flags, "config"), ","));
    add("weights", Text(flags, "weights"));
  } else if (WantsManifest(step.name)) {
    add("manifest", Text(flags, "manifest"));
    if (step.name == "lm-schedule") add("tuning", Text(flags, "tuning"));
  }
  if (options.empty()) return absl::OkStatus();
  std::string problem;
  const auto note = [&](const llvm::Twine& what) {
    problem = what.str();
    return llvm::failure();
  };
  if (failed(step.pass->initializeOptions(options, note))) return absl::InvalidArgumentError(problem);
  return absl::OkStatus();
}

// The passes between --from and --until; none without either.
absl::StatusOr<mlir::OpPassManager> Steps(const po::variables_map& flags) {
  CompileOptions options;
  options.numerics = Text(flags, "numerics");
  options.attention = Text(flags, "attention");
  options.kv_dtype = Text(flags, "kv-dtype");
  options.generate = Text(flags, "generate");
  options.max_rows = flags["max-rows"].as<int64_t>();
  options.max_sequences = flags["max-sequences"].as<int64_t>();
  options.max_context = flags["max-context"].as<int64_t>();
  if (!Text(flags, "backend").empty()) options.backend = Text(flags, "backend");

  const std::string from = Text(flags, "from"), until = Text(flags, "until");
  mlir::OpPassManager chosen(mlir::ModuleOp::getOperationName());
  if (from.empty() && until.empty()) return chosen;
  std::vector<PipelineStep> all = buildPipeline(options);
  const auto find = [&](const char* flag, const std::string& name, size_t otherwise) -> absl::StatusOr<size_t> {
    if (name.empty()) return otherwise;
    std::vector<std::string> names;
    for (const PipelineStep& step : all) {
      if (step.name == name) return names.size();
      names.push_back(step.name.str());
    }
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, " ", name, ": no such pass in the pipeline; it has ", absl::StrJoin(names, ", ")));
  };
  MODELC_ASSIGN_OR_RETURN(size_t first, find("from", from, 0));
  MODELC_ASSIGN_OR_RETURN(size_t last, find("until", until, all.size() - 1));
  if (first > last) return absl::InvalidArgumentError(absl::StrCat("--from ", from, " comes after --until ", until));
  const bool manifest = std::any_of(all.begin() + first, all.begin() + last + 1,
                                    [](const PipelineStep& step) { return WantsManifest(step.name); });
  if (Text(flags, "manifest").empty() && manifest) {
    MODELC_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, OpenDevice(flags));
    options.manifest = device->manifest();
    options.backend = std::string(device->plugin().name());
    all = buildPipeline(options);
  }
  for (size_t i = first; i <= last; ++i) {
    MODELC_RETURN_IF_ERROR(SetOptions(all[i], flags));
    chosen.addPass(std::move(all[i].pass));
  }
  return chosen;
}

absl::Status LoadPlugins(const po::variables_map& flags, mlir::DialectRegistry& registry) {
  for (const std::string& path : Texts(flags, "load-dialect-plugin")) MODELC_RETURN_IF_ERROR(loadDialectPlugin(path, registry));
  for (const std::string& path : Texts(flags, "load-pass-plugin")) MODELC_RETURN_IF_ERROR(loadPassPlugin(path));
  return absl::OkStatus();
}

absl::StatusOr<mlir::OpPassManager> Pipeline(const po::variables_map& flags) {
  const std::string text = Text(flags, "pass-pipeline");
  if (text.empty()) return Steps(flags);
  if (!Text(flags, "from").empty() || !Text(flags, "until").empty()) {
    return absl::InvalidArgumentError("give --pass-pipeline, or --from and --until, not both");
  }
  std::string problem;
  llvm::raw_string_ostream stream(problem);
  mlir::FailureOr<mlir::OpPassManager> parsed = mlir::parsePassPipeline(text, stream);
  if (failed(parsed)) return absl::InvalidArgumentError(absl::StrCat("--pass-pipeline: ", problem));
  return *std::move(parsed);
}

// Makes ready the pass manager that MlirOptMain runs over each module of the file.
void SetUp(mlir::PassManager& passes, const mlir::OpPassManager& pipeline, const po::variables_map& flags) {
  passes.getContext()->disableMultithreading();  // every pass runs on a whole module; printing asks for it
  if (!Set(flags, "run-reproducer")) static_cast<mlir::OpPassManager&>(passes) = pipeline;  // else the file names them
  if (Set(flags, "timing")) passes.enableTiming();
  if (Set(flags, "print-ir-after-all")) {
    passes.enableIRPrinting([](mlir::Pass*, mlir::Operation*) { return false; },
                            [](mlir::Pass*, mlir::Operation*) { return true; });
  }
  if (std::string file = Text(flags, "crash-reproducer"); !file.empty()) passes.enableCrashReproducerGeneration(file);
}

absl::StatusOr<int> Run(const po::variables_map& flags) {
  mlir::registerPassManagerCLOptions();  // MlirOptMain asks for them; nothing parses a command line with them
  registerPasses();
  mlir::DialectRegistry registry;
  registerDialects(registry);
  MODELC_RETURN_IF_ERROR(LoadPlugins(flags, registry));
  if (Set(flags, "list-passes")) {
    mlir::printRegisteredPasses();
    return 0;
  }
  MODELC_ASSIGN_OR_RETURN(mlir::OpPassManager pipeline, Pipeline(flags));
  std::string problem;
  std::unique_ptr<llvm::MemoryBuffer> input = mlir::openInputFile(Text(flags, "file"), &problem);
  if (!input) return absl::NotFoundError(problem);

  mlir::MlirOptMainConfig config;
  config.setPassPipelineSetupFn([&](mlir::PassManager& passes) {
    SetUp(passes, pipeline, flags);
    return llvm::success();
  });
  config.runReproducer(Set(flags, "run-reproducer"));
  if (Set(flags, "split-input-file")) config.splitInputFile();
  if (Set(flags, "verify-diagnostics")) config.verifyDiagnostics(mlir::SourceMgrDiagnosticVerifierHandler::Level::All);
  std::string output;
  llvm::raw_string_ostream stream(output);
  if (failed(mlir::MlirOptMain(stream, std::move(input), registry, config))) {
    return Set(flags, "verify-diagnostics") ? kMismatch : kBadInput;
  }
  std::fwrite(output.data(), 1, output.size(), stdout);
  return 0;
}

}  // namespace

const Command kOptCommand = {
    .name = "opt",
    .summary = "run compiler passes over a model file and print the IR",
    .help =
        "usage: modelc opt [FILE] [--from PASS] [--until PASS] [flags]\n\n"
        "Without passes the file is parsed, verified and printed. The output of --until PASS is a file like any other:\n"
        "edit it and go on with --from the next pass.\n\n"
        "  modelc opt models/v3.2.mlir --until lm-plan\n"
        "  modelc opt planned.mlir --from lm-quantize --until lm-schedule\n"
        "  modelc opt models/v3.2.mlir --until kernel-plan-memory --timing\n",
    .declare = Declare,
    .run = Run,
};

}  // namespace modelc
