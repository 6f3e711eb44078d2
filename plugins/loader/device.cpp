// RAII handles and the C++ face of an open device.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "plugins/loader/host.h"
#include "plugins/loader/plugin.h"

namespace modelc {

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& o) noexcept {
  std::swap(api_, o.api_);
  std::swap(handle_, o.handle_);
  std::swap(bytes_, o.bytes_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (handle_ != nullptr) api_->buffer_free(handle_);
}

DeviceKernel& DeviceKernel::operator=(DeviceKernel&& o) noexcept {
  std::swap(api_, o.api_);
  std::swap(handle_, o.handle_);
  return *this;
}

DeviceKernel::~DeviceKernel() {
  if (handle_ != nullptr) api_->kernel_free(handle_);
}

namespace {

// Turns a call that fills `out` into a StatusOr; success without a handle is the plugin's fault.
template <typename Handle>
absl::StatusOr<Handle*> Made(modelc_error* error, Handle* out, const char* function) {
  MODELC_RETURN_IF_ERROR(TakeError(error));
  if (out == nullptr) return absl::InternalError(absl::StrCat(function, " succeeded and returned no handle"));
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Device>> Device::Open(const Plugin* plugin, uint32_t ordinal, uint32_t threads) {
  const modelc_plugin_api& api = plugin->api();
  std::unique_ptr<Device> device(new Device);
  device->plugin_ = plugin;
  const modelc_device_options options = {.struct_size = sizeof options, .threads = threads};
  const auto open = [&]() -> absl::Status {
    modelc_device* handle = nullptr;
    modelc_error* error = api.device_open(ordinal, &options, &handle);
    MODELC_ASSIGN_OR_RETURN(device->handle_, Made(error, handle, "device_open"));
    device->info_.struct_size = sizeof(modelc_device_info);
    MODELC_RETURN_IF_ERROR(TakeError(api.device_info(device->handle_, &device->info_)));
    if (device->info_.name == nullptr) device->info_.name = "unnamed";
    const char* json = nullptr;
    error = api.device_describe(device->handle_, &json);
    MODELC_ASSIGN_OR_RETURN(const char* manifest, Made(error, json, "device_describe"));
    device->manifest_ = manifest;
    modelc_stream* stream = nullptr;
    error = api.stream_create(device->handle_, &stream);
    MODELC_ASSIGN_OR_RETURN(device->stream_, Made(error, stream, "stream_create"));
    return absl::OkStatus();
  };
  if (absl::Status status = open(); !status.ok()) {
    return absl::Status(status.code(),
                        absl::StrCat("backend '", Absl(plugin->name()), "', device ", ordinal, ": ", status.message()));
  }
  return device;
}

Device::~Device() {
  if (stream_ != nullptr) plugin_->api().stream_free(stream_);
  if (handle_ != nullptr) plugin_->api().device_close(handle_);
}

absl::StatusOr<DeviceBuffer> Device::Alloc(uint64_t bytes) {
  modelc_buffer* out = nullptr;
  modelc_error* error = plugin_->api().buffer_alloc(handle_, bytes, &out);
  MODELC_ASSIGN_OR_RETURN(modelc_buffer * buffer, Made(error, out, "buffer_alloc"));
  return DeviceBuffer(&plugin_->api(), buffer, bytes);
}

absl::StatusOr<DeviceBuffer> Device::Wrap(const void* data, uint64_t bytes) {
  modelc_buffer* out = nullptr;
  modelc_error* error = plugin_->api().buffer_wrap(handle_, data, bytes, &out);
  MODELC_ASSIGN_OR_RETURN(modelc_buffer * buffer, Made(error, out, "buffer_wrap"));
  return DeviceBuffer(&plugin_->api(), buffer, bytes);
}

absl::StatusOr<DeviceKernel> Device::Resolve(const std::string& name, const std::string& attributes_json) {
  modelc_kernel* out = nullptr;
  modelc_error* error = plugin_->api().kernel_resolve(handle_, name.c_str(), attributes_json.c_str(), &out);
  MODELC_ASSIGN_OR_RETURN(modelc_kernel * kernel, Made(error, out, "kernel_resolve"));
  return DeviceKernel(&plugin_->api(), kernel);
}

absl::StatusOr<DeviceKernel> Device::Load(const std::string& image, const std::string& description_json) {
  if (plugin_->api().kernel_load == nullptr) {
    return absl::UnimplementedError(absl::StrCat("backend '", Absl(plugin_->name()), "' takes no generated code"));
  }
  modelc_kernel* out = nullptr;
  modelc_error* error =
      plugin_->api().kernel_load(handle_, image.data(), image.size(), description_json.c_str(), &out);
  MODELC_ASSIGN_OR_RETURN(modelc_kernel * kernel, Made(error, out, "kernel_load"));
  return DeviceKernel(&plugin_->api(), kernel);
}

absl::Status Device::Upload(const DeviceBuffer& dst, uint64_t offset, const void* src, uint64_t bytes) {
  return TakeError(plugin_->api().buffer_upload(stream_, dst.get(), offset, src, bytes));
}

absl::Status Device::Download(const DeviceBuffer& src, uint64_t offset, void* dst, uint64_t bytes) {
  MODELC_RETURN_IF_ERROR(TakeError(plugin_->api().buffer_download(stream_, src.get(), offset, dst, bytes)));
  return Sync();
}

absl::Status Device::Copy(const DeviceBuffer& src, uint64_t src_offset, const DeviceBuffer& dst, uint64_t dst_offset,
                          uint64_t bytes) {
  return TakeError(plugin_->api().buffer_copy(stream_, src.get(), src_offset, dst.get(), dst_offset, bytes));
}

absl::Status Device::Submit(absl::Span<const modelc_command> commands, uint64_t replay_key) {
  return TakeError(plugin_->api().submit(stream_, commands.data(), commands.size(), replay_key));
}

absl::Status Device::Sync() { return TakeError(plugin_->api().stream_sync(stream_)); }

absl::StatusOr<Device::Counters> Device::ReadCounters() {
  Counters counters;
  if (plugin_->api().stream_counters == nullptr) return counters;
  MODELC_RETURN_IF_ERROR(
      TakeError(plugin_->api().stream_counters(stream_, &counters.weight_bytes, &counters.cache_bytes)));
  return counters;
}

}  // namespace modelc
