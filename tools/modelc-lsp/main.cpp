// modelc-lsp: a language server for model files. Editors start it and speak the Language Server Protocol over its stdin and
// stdout; it knows the dialects of every level of a model, and those of libraries named with --load-dialect-plugin.
#include <iostream>
#include <vector>

#include "core/compiler/Extensions.h"
#include "core/compiler/Passes.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

namespace {

constexpr llvm::StringLiteral kPluginFlag = "--load-dialect-plugin=";

// Takes the plugins' flags off the command line, of which MLIR's server parses the rest.
absl::Status LoadPlugins(std::vector<char*>& arguments, mlir::DialectRegistry& registry) {
  std::vector<char*> rest;
  for (char* argument : arguments) {
    llvm::StringRef path = argument;
    if (!path.consume_front(kPluginFlag)) {
      rest.push_back(argument);
    } else if (absl::Status status = modelc::loadDialectPlugin(path.str(), registry); !status.ok()) {
      return status;
    }
  }
  arguments = std::move(rest);
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  mlir::DialectRegistry registry;
  modelc::registerDialects(registry);
  std::vector<char*> arguments(argv, argv + argc);
  if (absl::Status status = LoadPlugins(arguments, registry); !status.ok()) {
    std::cerr << "modelc-lsp: " << status.message() << "\n";
    return 2;
  }
  return mlir::failed(mlir::MlirLspServerMain(static_cast<int>(arguments.size()), arguments.data(), registry)) ? 1 : 0;
}
