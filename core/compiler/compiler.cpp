#include "core/compiler/compiler.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/compiler/Extensions.h"
#include "core/compiler/Passes.h"
#include "core/support/strings.h"
#include "dialects/lm/LM.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SHA256.h"

using namespace mlir;

namespace modelc {
namespace {

// "v3.2.mlir:12:5: "; nothing for a place that is not in a file.
std::string placeOf(Location loc) {
  auto file = loc->findInstanceOf<FileLineColLoc>();
  return file ? absl::StrCat(file.getFilename().str(), ":", file.getLine(), ":", file.getColumn(), ": ") : "";
}

// Of everything that makes a program what it is, each part after its length.
std::string hashOf(std::string_view model, const CompileOptions &options) {
  llvm::SHA256 hash;
  auto add = [&](std::string_view part) {
    hash.update(absl::StrCat(part.size(), ":"));
    hash.update(StringRef(part.data(), part.size()));
  };
  add(CompilerVersion());
  add(model);
  for (const std::string &config : options.configs)
    add(config);
  if (options.checkpoint)
    for (const auto &[name, info] : *options.checkpoint)
      add(absl::StrCat(name, " ", int(info.dtype), " ", absl::StrJoin(info.shape, ",")));
  for (const std::string &extension : options.extensions)
    if (auto library = llvm::MemoryBuffer::getFile(extension))
      add(std::string_view((*library)->getBufferStart(), (*library)->getBufferSize()));
  for (const std::string &text : {options.source_passes, options.manifest, options.backend, options.numerics,
                                  options.attention, options.kv_dtype, options.weights_format,
                                  options.generate})
    add(text);
  for (const TunedSchedule &tuned : options.tuned)
    add(absl::StrCat(tuned.op, " ", tuned.shape, " ", tuned.schedule));
  for (int64_t limit : {options.max_rows, options.max_sequences, options.max_context})
    add(absl::StrCat(limit));
  return llvm::toHex(llvm::ArrayRef<uint8_t>(hash.final()).take_front(16), /*LowerCase=*/true);
}

// A model file on its way through the passes. Diagnostics become the status.
class Compilation {
public:
  // Parses and runs the passes up to `last`, and it.
  absl::Status run(std::string_view text, std::string_view fileName, const CompileOptions &options, StringRef last) {
    registerDialects(registry);
    for (const std::string &extension : options.extensions)
      if (absl::Status status = loadExtension(extension, registry); !status.ok())
        return status;
    context.emplace(registry, MLIRContext::Threading::DISABLED);
    handler.emplace(&*context, [this](Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
        errors.push_back(placeOf(diagnostic.getLocation()) + diagnostic.str());
    });
    file = fileName;
    module = parseSourceString<ModuleOp>(StringRef(text.data(), text.size()), ParserConfig(&*context),
                                         StringRef(fileName.data(), fileName.size()));
    if (!module)
      return refused();
    PassManager passes(&*context);
    std::string unknown;
    llvm::raw_string_ostream stream(unknown);
    if (failed(parsePassPipeline(options.source_passes, passes, stream)))
      return absl::InvalidArgumentError(absl::StrCat("source passes '", options.source_passes, "': ", unknown));
    for (PipelineStep &step : buildPipeline(options)) {
      passes.addPass(std::move(step.pass));
      if (step.name == last)
        break;
    }
    return failed(passes.run(*module)) ? refused() : absl::OkStatus();
  }

  // What the diagnostics so far say.
  absl::Status refused() const {
    return absl::InvalidArgumentError(errors.empty() ? absl::StrCat(file, " does not compile")
                                                     : absl::StrJoin(errors, "\n"));
  }
  ModuleOp operator*() const { return *module; }

private:
  DialectRegistry registry;
  std::optional<MLIRContext> context;
  std::optional<ScopedDiagnosticHandler> handler;
  std::vector<std::string> errors;
  std::string file;
  OwningOpRef<ModuleOp> module;
};

} // namespace

absl::StatusOr<Program> CompileModel(std::string_view text, std::string_view fileName, const CompileOptions &options) {
  Compilation compilation;
  if (absl::Status status = compilation.run(text, fileName, options, /*last=*/""); !status.ok())
    return status;
  FailureOr<Program> program = exportProgram(*compilation);
  if (failed(program))
    return compilation.refused();
  program->backend = options.backend;
  program->numerics = options.numerics;
  program->hash = hashOf(text, options);
  return *std::move(program);
}

absl::StatusOr<std::vector<TunedSchedule>> ScheduledOps(std::string_view text, std::string_view fileName,
                                                        const CompileOptions &options) {
  Compilation compilation;
  if (absl::Status status = compilation.run(text, fileName, options, "lm-schedule"); !status.ok())
    return status;
  std::vector<TunedSchedule> ops;
  (*compilation).walk([&](Operation *op) {
    if (!lm::hasSchedule(op))
      return;
    TunedSchedule one;
    one.op = op->getName().stripDialect().str();
    one.shape = lm::shapeKey(op);
    llvm::raw_string_ostream(one.schedule) << op->getAttr(lm::kSchedule);
    if (llvm::none_of(ops, [&](const TunedSchedule &known) { return known.SameKey(one); }))
      ops.push_back(std::move(one));
  });
  return ops;
}

absl::StatusOr<Program> CompileModelFile(const std::filesystem::path &file, const CompileOptions &options) {
  auto text = llvm::MemoryBuffer::getFile(file.string());
  if (!text)
    return absl::NotFoundError(
        absl::StrCat("cannot read model file '", file.string(), "': ", text.getError().message()));
  StringRef model = (*text)->getBuffer();
  return CompileModel({model.data(), model.size()}, file.string(), options);
}

} // namespace modelc
