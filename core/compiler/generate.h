// The code of one op by itself, without a model: for checking generated code against kernels. Free of MLIR.
#ifndef MODELC_CORE_COMPILER_GENERATE_H_
#define MODELC_CORE_COMPILER_GENERATE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/program/program.h"

namespace modelc {

// A tensor of a launch: dtype as in manifest.md (empty: left out), and sizes, numbers or names for what is known at run
// time alone.
struct TensorForm {
  std::string dtype;
  std::vector<std::string> dims;
};

// Compiles op `op` of ops.md for a device with this manifest. Unimplemented where there is no generated code for the
// op, or the device takes none; InvalidArgument where there is none for such tensors or attributes.
absl::StatusOr<Code> GenerateCode(std::string_view manifest, const std::string &op, std::string_view attributes_json,
                                  const std::vector<TensorForm> &tensors);

} // namespace modelc

#endif // MODELC_CORE_COMPILER_GENERATE_H_
