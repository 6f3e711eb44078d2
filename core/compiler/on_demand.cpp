// The functions of compiler.h, generate.h and opt.h for programs that do not link the compiler: the first call loads
// it.
#define BOOST_DLL_USE_STD_FS
#include "absl/strings/str_cat.h"
#include "core/compiler/library.h"
#include "core/support/status.h"
#include "core/support/strings.h"

#include <boost/dll/runtime_symbol_info.hpp>
#include <boost/dll/shared_library.hpp>

namespace modelc {
namespace {

// From beside the plugins; for the rest of the process's life, as LLVM does not bear being unloaded. The only place
// where Boost.DLL may throw.
absl::StatusOr<const CompilerLibrary *> Load() {
  std::filesystem::path path = "libmodelc-compiler.so";
  std::string problem;
  try {
    path = boost::dll::program_location().parent_path().parent_path() / "lib" / "modelc" / path;
    // Global, for libraries of passes that leave MLIR's symbols to their host.
    namespace load_mode = boost::dll::load_mode;
    auto &library = *new boost::dll::shared_library(path, load_mode::rtld_lazy | load_mode::rtld_global);
    const auto &compiler = library.get<const CompilerLibrary>("modelc_compiler");
    if (std::string_view(compiler.version) == MODELC_VERSION)
      return &compiler;
    problem = absl::StrCat("it is version ", compiler.version, ", this program ", MODELC_VERSION);
  } catch (const std::exception &e) {
    problem = e.what();
  }
  return absl::UnavailableError(
      absl::StrCat("cannot load the compiler '", path.string(), "': ", problem, "; install or build modelc again"));
}

absl::StatusOr<const CompilerLibrary *> Library() {
  static const auto *const library = new absl::StatusOr<const CompilerLibrary *>(Load());
  return *library;
}

} // namespace

absl::StatusOr<Program> CompileModel(std::string_view text, std::string_view file_name, const CompileOptions &options) {
  MODELC_ASSIGN_OR_RETURN(const CompilerLibrary *library, Library());
  return library->compile_model(text, file_name, options);
}

absl::StatusOr<Program> CompileModelFile(const std::filesystem::path &file, const CompileOptions &options) {
  MODELC_ASSIGN_OR_RETURN(const CompilerLibrary *library, Library());
  return library->compile_model_file(file, options);
}

absl::StatusOr<std::vector<TunedSchedule>> ScheduledOps(std::string_view text, std::string_view file_name,
                                                        const CompileOptions &options) {
  MODELC_ASSIGN_OR_RETURN(const CompilerLibrary *library, Library());
  return library->scheduled_ops(text, file_name, options);
}

absl::StatusOr<Code> GenerateCode(std::string_view manifest, const std::string &op, std::string_view attributes_json,
                                  const std::vector<TensorForm> &tensors) {
  MODELC_ASSIGN_OR_RETURN(const CompilerLibrary *library, Library());
  return library->generate_code(manifest, op, attributes_json, tensors);
}

absl::StatusOr<int> RunOpt(const OptOptions &options) {
  MODELC_ASSIGN_OR_RETURN(const CompilerLibrary *library, Library());
  return library->run_opt(options);
}

} // namespace modelc
