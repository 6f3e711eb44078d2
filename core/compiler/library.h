// The compiler as a library of its own, libmodelc-compiler.so: LLVM and MLIR take longer to load than a built program
// takes to start, so a process that compiles nothing does not load them. Free of MLIR.
#ifndef MODELC_CORE_COMPILER_LIBRARY_H_
#define MODELC_CORE_COMPILER_LIBRARY_H_

#include "core/compiler/compiler.h"
#include "core/compiler/generate.h"
#include "core/compiler/opt.h"

namespace modelc {

// What the library exports under the name `modelc_compiler`.
struct CompilerLibrary {
  const char *version; // MODELC_VERSION: the process's own, for these functions are C++
  decltype(&CompileModel) compile_model;
  decltype(&CompileModelFile) compile_model_file;
  decltype(&ScheduledOps) scheduled_ops;
  decltype(&GenerateCode) generate_code;
  decltype(&RunOpt) run_opt;
};

} // namespace modelc

#endif // MODELC_CORE_COMPILER_LIBRARY_H_
