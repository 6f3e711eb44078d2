#include "plugins/conformance/placed.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"

namespace modelc::conformance {
namespace {

constexpr size_t kGuard = 64;
constexpr std::byte kGuardByte{0xa5};

std::vector<std::byte> Guarded(const HostTensor& t) {
  std::vector<std::byte> bytes(t.bytes.size() + 2 * kGuard, kGuardByte);
  std::copy(t.bytes.begin(), t.bytes.end(), bytes.begin() + kGuard);
  return bytes;
}

}  // namespace

absl::StatusOr<Placed> Placed::Upload(Device& device, const Tensors& tensors) {
  Placed placed;
  for (const HostTensor& t : tensors) {
    modelc_tensor view{};
    DeviceBuffer buffer, scale;
    if (!t.left_out) {
      MODELC_ASSIGN_OR_RETURN(buffer, device.Alloc(t.bytes.size() + 2 * kGuard));
      view.buffer = buffer.get();
      view.offset = kGuard;
      view.dtype = t.dtype;
      view.rank = static_cast<uint32_t>(t.shape.size());
      std::copy(t.shape.begin(), t.shape.end(), view.shape);
      if (!t.scale.empty()) {
        const uint64_t scale_bytes = t.scale.size() * sizeof(float);
        MODELC_ASSIGN_OR_RETURN(scale, device.Alloc(scale_bytes));
        MODELC_RETURN_IF_ERROR(device.Upload(scale, 0, t.scale.data(), scale_bytes));
        view.scale = scale.get();
      }
    }
    placed.buffers_.push_back(std::move(buffer));
    placed.scales_.push_back(std::move(scale));
    placed.views_.push_back(view);
  }
  MODELC_RETURN_IF_ERROR(placed.Restore(device, tensors));
  return placed;
}

absl::Status Placed::Restore(Device& device, const Tensors& tensors) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].left_out) continue;
    const std::vector<std::byte> bytes = Guarded(tensors[i]);
    MODELC_RETURN_IF_ERROR(device.Upload(buffers_[i], 0, bytes.data(), bytes.size()));
  }
  return absl::OkStatus();
}

absl::Status Placed::Download(Device& device, Tensors& tensors) const {
  for (size_t i = 0; i < tensors.size(); ++i) {
    HostTensor& t = tensors[i];
    if (t.left_out) continue;
    std::vector<std::byte> bytes(t.bytes.size() + 2 * kGuard);
    MODELC_RETURN_IF_ERROR(device.Download(buffers_[i], 0, bytes.data(), bytes.size()));
    const auto begin = bytes.begin() + kGuard, end = bytes.end() - kGuard;
    const auto kept = [](std::byte b) { return b == kGuardByte; };
    if (!std::all_of(bytes.begin(), begin, kept) || !std::all_of(end, bytes.end(), kept)) {
      return absl::InternalError(absl::StrCat("wrote outside tensor ", i));
    }
    if (t.role == HostTensor::Role::kInput && !std::equal(begin, end, t.bytes.begin())) {
      return absl::InternalError(absl::StrCat("changed tensor ", i, ", an input"));
    }
    std::copy(begin, end, t.bytes.begin());
  }
  return absl::OkStatus();
}

absl::Status RunOnce(Device& device, const DeviceKernel& kernel, Tensors& tensors) {
  MODELC_ASSIGN_OR_RETURN(Placed placed, Placed::Upload(device, tensors));
  const modelc_command command = placed.Command(kernel);
  MODELC_RETURN_IF_ERROR(device.Submit({&command, 1}));
  return placed.Download(device, tensors);
}

}  // namespace modelc::conformance
