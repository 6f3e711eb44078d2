// A checkpoint folder in the published Hugging Face layout: config.json and memory-mapped safetensors, one file or
// shards with an index. Reading validates every header (bounds, overlaps, dtypes, sizes) before any tensor is handed
// out. Free of MLIR and of devices: the compiler asks it for names and shapes, the runtime for bytes.
// Thread-safe after Open.
#ifndef MODELC_CORE_CHECKPOINT_CHECKPOINT_H_
#define MODELC_CORE_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/support/dtype.h"

namespace modelc {

// What a file says of one tensor.
struct TensorInfo {
  DType dtype;
  std::vector<int64_t> shape;
};

// Names to types of a whole checkpoint; what the compiler checks a model against.
using TensorIndex = std::map<std::string, TensorInfo, std::less<>>;

class MappedFile;  // a read-only mapping

class Checkpoint {
 public:
  struct Tensor {
    TensorInfo info;
    absl::Span<const std::byte> bytes;  // lives as long as the checkpoint
  };

  // Opens DIR: `model.safetensors.index.json` with its shards, else `model.safetensors`, else every `*.safetensors`. Errors name the file,
  // the tensor and what is wrong. int64 tensors are allowed, but only ReadInts reads them: they are not in index().
  static absl::StatusOr<std::unique_ptr<Checkpoint>> Open(const std::filesystem::path& dir);
  // Opens one safetensors file.
  static absl::StatusOr<std::unique_ptr<Checkpoint>> OpenFile(const std::filesystem::path& file);

  ~Checkpoint();

  const std::filesystem::path& dir() const { return dir_; }
  const TensorIndex& index() const { return index_; }
  // NotFound names the nearest tensor name.
  absl::StatusOr<Tensor> Find(std::string_view name) const;
  // Values as float32 (from f32, bf16, f8e4m3 without scales) or as int64 (from i32, i64): small tensors of goldens.
  absl::StatusOr<std::vector<float>> ReadFloats(std::string_view name) const;
  absl::StatusOr<std::vector<int64_t>> ReadInts(std::string_view name) const;
  uint64_t total_bytes() const;
  // Reads ahead sequentially (madvise), in file order; call before a load.
  void Prefetch() const;
  // Gives back the memory of a tensor whose bytes were copied; touching them again reads the file.
  void Drop(std::string_view name) const;

 private:
  Checkpoint() = default;
  struct Entry;
  absl::Status AddFile(const std::filesystem::path& file);

  std::filesystem::path dir_;
  TensorIndex index_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::vector<std::unique_ptr<MappedFile>> files_;
};

}  // namespace modelc

#endif  // MODELC_CORE_CHECKPOINT_CHECKPOINT_H_
