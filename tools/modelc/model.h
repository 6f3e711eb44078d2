// What every command that opens a model shares: the flags that name it, and opening it.
#ifndef MODELC_TOOLS_MODELC_MODEL_H_
#define MODELC_TOOLS_MODELC_MODEL_H_

#include <filesystem>
#include <memory>

#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/compiler/compiler.h"
#include "core/program/program.h"
#include "core/runtime/engine.h"
#include "core/text/tokenizer.h"
#include "plugins/loader/plugin.h"
#include "tools/modelc/command.h"

namespace modelc {

// MODEL (positional), --weights, --config and what else decides on the program.
void DeclareModelFlags(po::options_description& options, po::positional_options_description& positional);

// A .mlir file, and all that compiling it takes; `options` points into `checkpoint`.
struct ModelSource {
  std::string text, name;
  std::filesystem::path weights_dir;  // see WeightsDir
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Device> device;
  CompileOptions options;
};

// A model compiled for a device, its weights mapped but not yet bound.
struct OpenedModel {
  Program program;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Device> device;
  std::filesystem::path weights_dir;    // see WeightsDir
  double compile_seconds = 0;           // 0 for a file that 'modelc build' wrote
};
// Compiles a .mlir file, or reads what 'modelc build' wrote; flags that the latter has fixed are refused.
// kIfThere: a folder with a config.json alone will do; `checkpoint` is then null.
enum class Weights { kNeeded, kIfThere };
absl::StatusOr<OpenedModel> OpenModel(const po::variables_map& flags, Weights weights = Weights::kNeeded);
// The same before compiling, and without tuned schedules; a built file is refused.
absl::StatusOr<ModelSource> OpenSource(const po::variables_map& flags, Weights weights = Weights::kNeeded);
// The file of tuned schedules: --tuning, or the user's; empty for --tuning none.
std::filesystem::path TuningFile(const po::variables_map& flags);
absl::StatusOr<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::filesystem::path& weights_dir);
// Binds the weights behind a progress bar (on a terminal) and starts the engine.
absl::StatusOr<std::unique_ptr<Engine>> StartEngine(OpenedModel&, const po::variables_map& flags);

// From --backend, --plugin and --threads.
absl::StatusOr<std::unique_ptr<Device>> OpenDevice(const po::variables_map& flags);

// --weights, or the nano checkpoint.
std::filesystem::path WeightsDir(const po::variables_map& flags);

// Folder with models/ (the source tree's or the installed one's), found from the executable.
std::filesystem::path ModelsDir();

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MODEL_H_
