// The safetensors format: eight bytes of little-endian header length, a JSON header, then the tensors' bytes, which
// must be covered without holes or overlaps.
#ifndef MODELC_CORE_CHECKPOINT_SAFETENSORS_H_
#define MODELC_CORE_CHECKPOINT_SAFETENSORS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/support/dtype.h"

namespace modelc {

struct SafetensorsEntry {
  std::string name;
  std::optional<DType> dtype;  // nullopt: int64, which no program computes with
  std::vector<int64_t> shape;
  uint64_t offset = 0;         // from the start of the file
  uint64_t bytes = 0;
};

// Reads the header of a whole file's bytes and checks everything it claims against them. Entries come in file order.
// InvalidArgument says which tensor and what is wrong (not which file).
absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(absl::Span<const std::byte> file);

}  // namespace modelc

#endif  // MODELC_CORE_CHECKPOINT_SAFETENSORS_H_
