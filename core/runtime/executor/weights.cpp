#include "core/runtime/executor/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/runtime/executor/weight_format.h"
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

  // A weight of the program in its format, a few rows of every thread at a time: neither the checkpoint's matrices nor the
  // converted ones are held twice.
  absl::StatusOr<DeviceBuffer> Convert(const Source& values, const Source& scales, const Weight& weight) {
    constexpr uint64_t kThreadBytes = 4 << 20;  // converted by one thread before all are uploaded
    const int64_t k = weight.shape.back(), rows = weight.shape[weight.shape.size() - 2];
    const uint64_t row_bytes = static_cast<uint64_t>(RowBytes(*weight.format, k));
    MODELC_ASSIGN_OR_RETURN(DeviceBuffer buffer, device.Alloc(values.parts.size() * rows * row_bytes));
    const int64_t rows_each = std::max<int64_t>(1, static_cast<int64_t>(kThreadBytes / row_bytes));
    std::vector<std::byte> staging(std::min<uint64_t>(rows, Threads() * rows_each) * row_bytes);
    uint64_t offset = 0;
    for (size_t part = 0; part < values.parts.size(); ++part) {
      const StoredMatrix matrix{values.parts[part].data(), weight.dtype,
                                scales.parts.empty() ? nullptr : scales.parts[part].data(), k};
      for (int64_t first = 0; first < rows; first += Threads() * rows_each) {
        const int64_t last = std::min(rows, first + Threads() * rows_each);
        if (!ConvertChunk(matrix, first, last, *weight.format, staging.data())) {
          return absl::InvalidArgumentError(absl::StrCat("tensor '", values.names[part], "' holds a value that is not finite in rows ",
                                                         first, " to ", last - 1,
                                                         "; weights must be numbers, is the file damaged?"));
        }
        MODELC_RETURN_IF_ERROR(device.Upload(buffer, offset, staging.data(), (last - first) * row_bytes));
        MODELC_RETURN_IF_ERROR(device.Sync());
        offset += (last - first) * row_bytes;
        Advance((last - first) * k * ByteSize(weight.dtype));
      }
      checkpoint.Drop(values.names[part]);
    }
    return buffer;
  }

  int64_t Threads() const {
    const uint32_t of_device = device.info().host_memory ? device.info().threads : 0;
    return std::max<int64_t>(1, of_device ? of_device : std::thread::hardware_concurrency());
  }

  // Rows first … last - 1, an equal share by each thread. False where a value is not finite.
  bool ConvertChunk(const StoredMatrix& matrix, int64_t first, int64_t last, DType format, std::byte* out) const {
    const int64_t share = (last - first + Threads() - 1) / Threads();
    std::vector<char> finite((last - first + share - 1) / share);
    const auto convert = [&](int64_t i) {
      const int64_t begin = first + i * share;
      finite[i] = ConvertRows(matrix, begin, std::min(last, begin + share), format,
                              out + (begin - first) * RowBytes(format, matrix.k));
    };
    std::vector<std::thread> threads;
    for (int64_t i = 1; i < static_cast<int64_t>(finite.size()); ++i) {
      try {
        threads.emplace_back(convert, i);
      } catch (const std::system_error&) {  // no more threads: this one does it
        convert(i);
      }
    }
    convert(0);
    for (std::thread& thread : threads) thread.join();
    return std::all_of(finite.begin(), finite.end(), [](char f) { return f != 0; });
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
  uint64_t source_bytes = 0;
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
            source_bytes += wanted.values.bytes + wanted.scales.bytes;
            all.push_back(std::move(wanted));
          }
        }
      }
    }
  }

  Loader loader{checkpoint, device, progress, source_bytes};
  checkpoint.Prefetch();
  for (const Wanted& wanted : all) {
    const Weight& weight = program.weights[wanted.weight];
    modelc_tensor& tensor = bound.tensors_[{wanted.weight, wanted.layer}];
    MODELC_ASSIGN_OR_RETURN(DeviceBuffer values, weight.format ? loader.Convert(wanted.values, wanted.scales, weight)
                                                               : loader.Load(wanted.values, weight.dtype));
    tensor.buffer = values.get();
    bound.bytes_ += values.bytes();
    bound.buffers_.push_back(std::move(values));
    if (weight.format) {
      loader.Advance(wanted.scales.bytes);
    } else if (!weight.scale.empty()) {
      MODELC_ASSIGN_OR_RETURN(DeviceBuffer scales, loader.Load(wanted.scales, DType::kF32));
      tensor.scale = scales.get();
      bound.bytes_ += scales.bytes();
      bound.buffers_.push_back(std::move(scales));
    }
    tensor.dtype = static_cast<uint32_t>(weight.bound());
    tensor.rank = static_cast<uint32_t>(weight.shape.size());
    std::copy(weight.shape.begin(), weight.shape.end(), tensor.shape);
  }
  return bound;
}

const modelc_tensor& BoundWeights::Tensor(uint32_t weight, int64_t layer) const {
  return tensors_.at({weight, per_layer_[weight] ? layer : -1});
}

}  // namespace modelc
