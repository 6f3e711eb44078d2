#include "core/checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/checkpoint/mapped_file.h"
#include "core/checkpoint/safetensors.h"
#include "core/support/floats.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "nlohmann/json.hpp"

namespace modelc {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kIndexFile[] = "model.safetensors.index.json";
constexpr char kSingleFile[] = "model.safetensors";

// tensor name → shard file name, from the index file.
absl::StatusOr<std::map<std::string, std::string>> ReadShardMap(const fs::path& path) {
  MODELC_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  const auto* begin = reinterpret_cast<const char*>(file->bytes().data());
  const json document = json::parse(begin, begin + file->bytes().size(), nullptr, /*allow_exceptions=*/false);
  const auto fail = [&](std::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("'", path.string(), "': ", Absl(what)));
  };
  if (!document.is_object() || !document.contains("weight_map") || !document["weight_map"].is_object()) {
    return fail("is no JSON object with a 'weight_map'");
  }
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, value] : document["weight_map"].items()) {
    if (!value.is_string()) return fail(absl::StrCat("the shard of tensor '", tensor, "' is no string"));
    const std::string& shard = value.get_ref<const std::string&>();
    // A checkpoint comes from strangers: its index may name files of its own folder only.
    if (shard.empty() || shard == "." || shard == ".." || shard.find_first_of(std::string_view("/\\\0", 3)) != shard.npos) {
      return fail(absl::StrCat("tensor '", tensor, "' is in '", shard, "', which is not a file name in the same folder"));
    }
    shards[tensor] = shard;
  }
  if (shards.empty()) return fail("names no tensor");
  return shards;
}

// The files of a folder without an index, in order of their names.
absl::StatusOr<std::set<fs::path>> FindFiles(const fs::path& dir) {
  std::error_code error;
  if (fs::exists(dir / kSingleFile, error)) return std::set<fs::path>{dir / kSingleFile};
  std::set<fs::path> files;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".safetensors") files.insert(it->path());
  }
  if (error) return absl::UnavailableError(absl::StrCat("cannot list '", dir.string(), "': ", error.message()));
  if (files.empty()) return absl::NotFoundError(absl::StrCat("'", dir.string(), "' holds no .safetensors file"));
  return files;
}

// The name that shares most with `name` at both ends: what differs is usually one component in the middle.
std::string_view Nearest(std::string_view name, const TensorIndex& index) {
  std::string_view best;
  size_t best_shared = 0;
  for (const auto& [candidate, info] : index) {
    const size_t prefix = std::mismatch(name.begin(), name.end(), candidate.begin(), candidate.end()).first - name.begin();
    const size_t suffix =
        std::mismatch(name.rbegin(), name.rend(), candidate.rbegin(), candidate.rend()).first - name.rbegin();
    if (prefix + suffix > best_shared) {
      best = candidate;
      best_shared = prefix + suffix;
    }
  }
  return best;
}

template <typename T>
T Load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

}  // namespace

struct Checkpoint::Entry {
  const MappedFile* file;
  std::optional<DType> dtype;  // nullopt: int64
  absl::Span<const std::byte> bytes;
};

Checkpoint::~Checkpoint() = default;

absl::Status Checkpoint::AddFile(const fs::path& path) {
  MODELC_ASSIGN_OR_RETURN(std::unique_ptr<MappedFile> file, MappedFile::Open(path));
  absl::StatusOr<std::vector<SafetensorsEntry>> header = ReadSafetensorsHeader(file->bytes());
  if (!header.ok()) {
    return absl::Status(header.status().code(), absl::StrCat("'", path.string(), "': ", header.status().message()));
  }
  for (SafetensorsEntry& tensor : *header) {
    const absl::Span<const std::byte> bytes = file->bytes().subspan(tensor.offset, tensor.bytes);
    const auto [it, added] = entries_.emplace(tensor.name, Entry{file.get(), tensor.dtype, bytes});
    if (!added) {
      return absl::InvalidArgumentError(absl::StrCat("tensor '", tensor.name, "' is both in '",
                                                     it->second.file->path().string(), "' and in '", path.string(), "'"));
    }
    if (tensor.dtype) index_[tensor.name] = TensorInfo{*tensor.dtype, std::move(tensor.shape)};
  }
  files_.push_back(std::move(file));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::OpenFile(const fs::path& file) {
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint());
  checkpoint->dir_ = file.parent_path();
  MODELC_RETURN_IF_ERROR(checkpoint->AddFile(file));
  return checkpoint;
}

absl::StatusOr<std::unique_ptr<Checkpoint>> Checkpoint::Open(const fs::path& dir) {
  std::error_code error;
  if (!fs::is_directory(dir, error)) {
    return absl::NotFoundError(absl::StrCat("'", dir.string(), "' is not a checkpoint folder"));
  }
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint());
  checkpoint->dir_ = dir;
  const fs::path index_file = dir / kIndexFile;
  if (!fs::exists(index_file, error)) {
    MODELC_ASSIGN_OR_RETURN(const std::set<fs::path> files, FindFiles(dir));
    for (const fs::path& file : files) MODELC_RETURN_IF_ERROR(checkpoint->AddFile(file));
    return checkpoint;
  }
  MODELC_ASSIGN_OR_RETURN(const auto shards, ReadShardMap(index_file));
  std::set<std::string> files;
  for (const auto& [tensor, shard] : shards) files.insert(shard);
  for (const std::string& file : files) MODELC_RETURN_IF_ERROR(checkpoint->AddFile(dir / file));
  for (const auto& [tensor, shard] : shards) {
    const auto it = checkpoint->entries_.find(tensor);
    if (it == checkpoint->entries_.end() || it->second.file->path().filename() != shard) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", index_file.string(), "' says that tensor '", tensor, "' is in '", shard, "'; it is ",
                       it == checkpoint->entries_.end() ? "nowhere"
                                                        : absl::StrCat("in '", it->second.file->path().filename().string(), "'")));
    }
  }
  return checkpoint;
}

absl::StatusOr<Checkpoint::Tensor> Checkpoint::Find(std::string_view name) const {
  const auto info = index_.find(name);
  if (info != index_.end()) return Tensor{info->second, entries_.find(name)->second.bytes};
  if (entries_.find(name) != entries_.end()) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", Absl(name), "' holds int64, which no weight may"));
  }
  return absl::NotFoundError(absl::StrCat("tensor '", Absl(name), "' is not in '", dir_.string(), "'; nearest name: '",
                                          Absl(Nearest(name, index_)), "'"));
}

absl::StatusOr<std::vector<float>> Checkpoint::ReadFloats(std::string_view name) const {
  MODELC_ASSIGN_OR_RETURN(const Tensor tensor, Find(name));
  const DType dtype = tensor.info.dtype;
  if (dtype == DType::kI32 || dtype == DType::kU8) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", Absl(name), "' holds ", Absl(Name(dtype)), ", not floats"));
  }
  std::vector<float> values(tensor.bytes.size() / ByteSize(dtype));
  const std::byte* from = tensor.bytes.data();
  for (size_t i = 0; i < values.size(); ++i, from += ByteSize(dtype)) {
    values[i] = dtype == DType::kF32    ? Load<float>(from)
                : dtype == DType::kBF16 ? FromBF16(Load<uint16_t>(from))
                                        : FromF8E4M3(Load<uint8_t>(from));
  }
  return values;
}

absl::StatusOr<std::vector<int64_t>> Checkpoint::ReadInts(std::string_view name) const {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return Find(name).status();
  const std::optional<DType> dtype = it->second.dtype;
  if (dtype && *dtype != DType::kI32) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", Absl(name), "' holds ", Absl(Name(*dtype)), ", not integers"));
  }
  const size_t size = dtype ? sizeof(int32_t) : sizeof(int64_t);
  std::vector<int64_t> values(it->second.bytes.size() / size);
  for (size_t i = 0; i < values.size(); ++i) {
    const std::byte* from = it->second.bytes.data() + i * size;
    values[i] = dtype ? Load<int32_t>(from) : Load<int64_t>(from);
  }
  return values;
}

uint64_t Checkpoint::total_bytes() const {
  uint64_t total = 0;
  for (const auto& [name, entry] : entries_) total += entry.bytes.size();
  return total;
}

void Checkpoint::Prefetch() const {
  for (const auto& file : files_) file->ReadAhead();
}

void Checkpoint::Drop(std::string_view name) const {
  if (const auto it = entries_.find(name); it != entries_.end()) it->second.file->Drop(it->second.bytes);
}

}  // namespace modelc
