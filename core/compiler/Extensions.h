//===- Extensions.h - dialects and passes from libraries --------*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_EXTENSIONS_H
#define MODELC_CORE_COMPILER_EXTENSIONS_H

#include "absl/status/status.h"
#include "mlir/IR/DialectRegistry.h"

#include <string>

namespace modelc {

/// Loads a library with MLIR's dialect plugin entry point (`mlirGetDialectPluginInfo`) and makes its dialects known.
/// The library stays loaded. Errors name the path and what is wrong with it.
absl::Status loadDialectPlugin(const std::string &path, mlir::DialectRegistry &registry);

/// The same for a library of passes (`mlirGetPassPluginInfo`), which textual pipelines may then name.
absl::Status loadPassPlugin(const std::string &path);

/// Loads what a library has of both; InvalidArgument when it has neither.
absl::Status loadExtension(const std::string &path, mlir::DialectRegistry &registry);

} // namespace modelc

#endif // MODELC_CORE_COMPILER_EXTENSIONS_H
