#include "core/runtime/executor/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/support/status.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

constexpr int64_t kScaleBlock = 128;

// The checkpoint's tensors behind one operand: one, or one for each expert.
struct Source {
  std::vector<std::string> names;
  std::vector<absl::Span<const std::byte>> parts;
  uint64_t bytes = 0;
};

std::string ShapeText(absl::Span<const int64_t> shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

absl::StatusOr<Source> FindSource(const Checkpoint& checkpoint, const std::string& name, DType dtype,
                                  absl::Span<const int64_t> shape, int64_t experts, int64_t layer) {
  Source source;
  const absl::Span<const int64_t> part_shape = experts > 0 ? shape.subspan(1) : shape;
  for (int64_t expert = 0; expert < std::max<int64_t>(1, experts); ++expert) {
    source.names.push_back(
        absl::StrReplaceAll(name, {{"{layer}", absl::StrCat(layer)}, {"{expert}", absl::StrCat(expert)}}));
    MODELC_ASSIGN_OR_RETURN(const Checkpoint::Tensor tensor, checkpoint.Find(source.names.back()));
    if (tensor.info.dtype != dtype || absl::MakeConstSpan(tensor.info.shape) != part_shape) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor '", source.names.back(), "' is ", Absl(Name(tensor.info.dtype)), ShapeText(tensor.info.shape),
          "; the program wants ", Absl(Name(dtype)), ShapeText(part_shape)));
    }
    source.parts.push_back(tensor.bytes);
    source.bytes += tensor.bytes.size();
  }
  return source;
}

absl::Status CheckScales(const Source& source) {
  for (size_t part = 0; part < source.parts.size(); ++part) {
    const absl::Span<const std::byte> bytes = source.parts[part];
    for (size_t i = 0; i < bytes.size(); i += sizeof(float)) {
      float scale;
      std::memcpy(&scale, bytes.data() + i, sizeof scale);
      if (!(std::isfinite(scale) && scale > 0)) {
        return absl::InvalidArgumentError(absl::StrCat("tensor '", source.names[part], "' holds the scale ", scale,
                                                       " at element ", i / sizeof scale,
                                                       "; scales must be finite and positive"));
      }
    }
  }
  return absl::OkStatus();
}

// Kernels do not look for e4m3's two NaNs, 0x7f and 0xff: they would compute with ±480. A pass over the bytes is what it
// takes to know; a device that copies them has them read anyway, and one that maps them has them in memory afterwards.
absl::Status CheckNumbers(const std::string& name, absl::Span<const std::byte> bytes) {
  constexpr size_t kChunk = 4096;
  const auto is_nan = [](std::byte b) { return (b & std::byte{0x7f}) == std::byte{0x7f}; };
  for (size_t begin = 0; begin < bytes.size(); begin += kChunk) {
    const auto chunk = bytes.subspan(begin, kChunk);
    bool found = false;
    for (const std::byte b : chunk) found |= is_nan(b);  // without a branch: sixteen and more at once
    if (!found) continue;
    const size_t at = begin + (std::find_if(chunk.begin(), chunk.end(), is_nan) - chunk.begin());
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", name, "' holds NaN at element ", at, "; weights must be numbers, is the file damaged?"));
  }
  return absl::OkStatus();
}

// One piece of memory in the order the program wants, fit for loads of the element type.
bool InPlace(const Source& source, DType dtype) {
  if (reinterpret_cast<uintptr_t>(source.parts[0].data()) % ByteSize(dtype) != 0) return false;
  for (size_t i = 1; i < source.parts.size(); ++i) {
    if (source.parts[i].data() != source.parts[i - 1].data() + source.parts[i - 1].size()) return false;
  }
  return true;
}

struct Loader {
  const Checkpoint& checkpoint;
  Device& device;
  const LoadProgress& progress;
  uint64_t total = 0;
  uint64_t done = 0;

  void Advance(uint64_t bytes) {
    done += bytes;
    if (progress) progress(done, total);
  }

  absl::StatusOr<DeviceBuffer> Load(const Source& source, DType dtype) {
    for (size_t i = 0; dtype == DType::kF8E4M3 && i < source.parts.size(); ++i) {
      MODELC_RETURN_IF_ERROR(CheckNumbers(source.names[i], source.parts[i]));
    }
    if (device.info().host_memory && InPlace(source, dtype)) {
      Advance(source.bytes);
      return device.Wrap(source.parts[0].data(), source.bytes);
    }
    MODELC_ASSIGN_OR_RETURN(DeviceBuffer buffer, device.Alloc(source.bytes));
    uint64_t offset = 0;
    for (size_t i = 0; i < source.parts.size(); ++i) {
      MODELC_RETURN_IF_ERROR(device.Upload(buffer, offset, source.parts[i].data(), source.parts[i].size()));
      MODELC_RETURN_IF_ERROR(device.Sync());
      checkpoint.Drop(source.names[i]);
      offset += source.parts[i].size();
      Advance(source.parts[i].size());
    }
    return buffer;
  }
};

}  // namespace

absl::StatusOr<BoundWeights> BoundWeights::Bind(const Program& program, const Checkpoint& checkpoint, Device& device,
                                                const LoadProgress& progress) {
  struct Wanted {
    uint32_t weight;
    int64_t layer;
    Source values, scales;
  };
  BoundWeights bound;
  for (const Weight& weight : program.weights) bound.per_layer_.push_back(weight.name.find("{layer}") != std::string::npos);

  // First every tensor is found and checked, so that an error comes before any copy.
  std::vector<Wanted> all;
  for (const Entry& entry : program.entries) {
    for (const Repeat& repeat : entry.body) {
      for (int64_t layer = repeat.first; layer < repeat.first + repeat.count; ++layer) {
        for (const Launch& launch : repeat.launches) {
          for (const Operand& operand : launch.operands) {
            if (operand.kind != Operand::Kind::kWeight) continue;
            const Weight& weight = program.weights[operand.index];
            const int64_t key_layer = bound.per_layer_[operand.index] ? layer : -1;
            if (!bound.tensors_.emplace(std::pair(operand.index, key_layer), modelc_tensor{}).second) continue;
            Wanted wanted{operand.index, key_layer, {}, {}};
            MODELC_ASSIGN_OR_RETURN(wanted.values, FindSource(checkpoint, weight.name, weight.dtype, weight.shape,
                                                              weight.experts, key_layer));
            if (!weight.scale.empty()) {
              std::vector<int64_t> shape = weight.shape;
              for (size_t d = shape.size() - 2; d < shape.size(); ++d) shape[d] = (shape[d] + kScaleBlock - 1) / kScaleBlock;
              MODELC_ASSIGN_OR_RETURN(
                  wanted.scales, FindSource(checkpoint, weight.scale, DType::kF32, shape, weight.experts, key_layer));
              MODELC_RETURN_IF_ERROR(CheckScales(wanted.scales));
            }
            bound.bytes_ += wanted.values.bytes + wanted.scales.bytes;
            all.push_back(std::move(wanted));
          }
        }
      }
    }
  }

  Loader loader{checkpoint, device, progress, bound.bytes_};
  checkpoint.Prefetch();
  for (const Wanted& wanted : all) {
    const Weight& weight = program.weights[wanted.weight];
    modelc_tensor& tensor = bound.tensors_[{wanted.weight, wanted.layer}];
    MODELC_ASSIGN_OR_RETURN(DeviceBuffer values, loader.Load(wanted.values, weight.dtype));
    tensor.buffer = values.get();
    bound.buffers_.push_back(std::move(values));
    if (!weight.scale.empty()) {
      MODELC_ASSIGN_OR_RETURN(DeviceBuffer scales, loader.Load(wanted.scales, DType::kF32));
      tensor.scale = scales.get();
      bound.buffers_.push_back(std::move(scales));
    }
    tensor.dtype = static_cast<uint32_t>(weight.dtype);
    tensor.rank = static_cast<uint32_t>(weight.shape.size());
    std::copy(weight.shape.begin(), weight.shape.end(), tensor.shape);
  }
  return bound;
}

const modelc_tensor& BoundWeights::Tensor(uint32_t weight, int64_t layer) const {
  return tensors_.at({weight, per_layer_[weight] ? layer : -1});
}

}  // namespace modelc
