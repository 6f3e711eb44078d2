// modelc build: compiles a model for a device and writes the program, to be run later without compiling.
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/support/file.h"
#include "core/support/status.h"
#include "nlohmann/json.hpp"
#include "tools/modelc/commands.h"
#include "tools/modelc/model.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;

void Declare(po::options_description& options, po::positional_options_description& positional) {
  DeclareModelFlags(options, positional);
  options.add_options()("output,o", po::value<std::string>(), "the file to write");
}

absl::StatusOr<int> Run(const po::variables_map& flags) {
  if (!flags.count("output")) return absl::InvalidArgumentError("name the file to write: -o FILE");
  const fs::path output = flags["output"].as<std::string>();
  MODELC_ASSIGN_OR_RETURN(OpenedModel model, OpenModel(flags));
  std::error_code error;
  model.program.weights_folder = fs::canonical(model.weights_dir, error).string();
  const std::string text = Serialize(model.program);
  MODELC_RETURN_IF_ERROR(WriteFile(output, text));
  if (flags["json"].as<bool>()) {
    std::cout << nlohmann::json({{"file", output.string()},
                                 {"model", model.program.model},
                                 {"backend", model.program.backend},
                                 {"numerics", model.program.numerics},
                                 {"weights", model.program.weights_folder},
                                 {"hash", model.program.hash},
                                 {"compile_seconds", model.compile_seconds}})
                     .dump(1)
              << "\n";
  } else {
    std::cout << absl::StrFormat("%s: %s for %s, %s numerics, weights in %s; compiled in %.2f s\n", output.string(),
                                 model.program.model, model.program.backend, model.program.numerics,
                                 model.program.weights_folder, model.compile_seconds);
  }
  return 0;
}

}  // namespace

const Command kBuildCommand = {
    "build", "compile a model ahead of time",
    "usage: modelc build MODEL.mlir --weights DIR -o FILE\n\n"
    "Writes the compiled program and where its weights are; every command takes FILE in place of MODEL.mlir. The flags\n"
    "that shape a program (--config, --numerics, --weights-format, --kv-dtype, --max-*) are given here and hold from then on.",
    Declare, Run};

}  // namespace modelc
