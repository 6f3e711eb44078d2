// A plugin's manifest: which kernels it has, for which ops, under which conditions (plugins/abi/manifest.md).
#ifndef MODELC_PLUGINS_MANIFEST_MANIFEST_H_
#define MODELC_PLUGINS_MANIFEST_MANIFEST_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"

namespace modelc {

// What a name in a `where` stands for: a size or number, or a word such as a dtype.
using WhereValue = std::variant<int64_t, std::string>;
using WhereLookup = std::function<std::optional<WhereValue>(std::string_view name)>;

// Evaluates a condition; a comparison with an unknown name is false. InvalidArgument points at what cannot be read.
absl::StatusOr<bool> EvaluateWhere(std::string_view where, const WhereLookup& lookup);

struct ManifestKernel {
  std::string name;
  std::string op;
  std::string where;  // empty: always
  int64_t rank = 0;
  std::vector<std::string> weights;  // dtypes of W it takes; empty: f8e4m3, bf16 and f32
};

// Whether a kernel takes an op of which `lookup` knows the values: its `weights` and its `where`.
bool Takes(const ManifestKernel& kernel, const WhereLookup& lookup);

// What code is generated for (manifest.md); without a triple: none.
struct CodegenTarget {
  std::string triple, cpu, features;
  int64_t vector_bytes = 0;
};

struct Manifest {
  std::vector<ManifestKernel> kernels;
  CodegenTarget target;
  bool HasOp(std::string_view op) const;
};

// Checks the schema: version, unique names, readable conditions.
absl::StatusOr<Manifest> ParseManifest(std::string_view json);

}  // namespace modelc

#endif  // MODELC_PLUGINS_MANIFEST_MANIFEST_H_
