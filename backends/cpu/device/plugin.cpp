// The plugin's one exported symbol and the C functions behind it.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "backends/cpu/device/device.h"
#include "plugins/sdk/plugin.h"
#include "plugins/sdk/tensor.h"

namespace modelc::cpu {
namespace {

constexpr uint32_t kMaxThreads = 1024;

modelc_error* ToError(const absl::Status& status) {
  return status.ok() ? nullptr : sdk::Error(static_cast<modelc_code>(status.code()), std::string(status.message()));
}

// Hands a result's ownership to the caller.
template <typename T>
modelc_error* Give(absl::StatusOr<std::unique_ptr<T>> result, T** out) {
  if (!result.ok()) return ToError(result.status());
  *out = result->release();
  return nullptr;
}

modelc_error* CheckExtent(const modelc_buffer* buffer, uint64_t offset, uint64_t bytes, const char* what) {
  if (sdk::InRange(offset, bytes, buffer->bytes)) return nullptr;
  return sdk::Error(MODELC_INVALID_ARGUMENT, absl::StrCat(what, " bytes ", offset, " to ", offset + bytes,
                                                          " of a buffer of ", buffer->bytes));
}

modelc_error* DeviceCount(uint32_t* out) {
  *out = 1;
  return nullptr;
}

modelc_error* DeviceOpen(uint32_t ordinal, const modelc_device_options* options, modelc_device** out) {
  if (ordinal != 0) return sdk::Error(MODELC_NOT_FOUND, absl::StrCat("no cpu device ", ordinal, "; there is one: 0"));
  uint32_t threads = 0;
  if (options && MODELC_KNOWS(modelc_device_options, options, threads)) threads = options->threads;
  if (threads > kMaxThreads)
    return sdk::Error(MODELC_INVALID_ARGUMENT, absl::StrCat(threads, " threads; at most ", kMaxThreads));
  if (const char* isa = std::getenv("MODELC_CPU_ISA"); isa && !ParseIsa(isa))
    return sdk::Error(MODELC_INVALID_ARGUMENT, absl::StrCat("MODELC_CPU_ISA is '", isa, "'; wanted portable, avx2, ",
                                                            "avx512 or avx512_vnni"));
  *out = new modelc_device(static_cast<int>(threads ? threads : AvailableCpus()));
  return nullptr;
}

void DeviceClose(modelc_device* device) { delete device; }

modelc_error* DeviceInfo(modelc_device* device, modelc_device_info* out) {
  modelc_device_info info{};
  info.struct_size = std::min<uint32_t>(out->struct_size, sizeof(info));
  info.name = device->name.c_str();
  info.memory_bytes = device->memory_bytes;
  info.host_memory = 1;
  info.threads = static_cast<uint32_t>(device->pool.size());
  std::memcpy(out, &info, info.struct_size);
  return nullptr;
}

modelc_error* DeviceDescribe(modelc_device* device, const char** json) {
  *json = device->manifest.c_str();
  return nullptr;
}

modelc_error* BufferAlloc(modelc_device*, uint64_t bytes, modelc_buffer** out) { return Give(AllocateBuffer(bytes), out); }

modelc_error* BufferWrap(modelc_device*, const void* data, uint64_t bytes, modelc_buffer** out) {
  if (data == nullptr) return sdk::Error(MODELC_INVALID_ARGUMENT, "cannot wrap a null pointer");
  *out = new modelc_buffer{.data = static_cast<std::byte*>(const_cast<void*>(data)), .bytes = bytes};
  return nullptr;
}

modelc_error* BufferUpload(modelc_stream*, modelc_buffer* dst, uint64_t offset, const void* src, uint64_t bytes) {
  if (modelc_error* e = CheckExtent(dst, offset, bytes, "upload to")) return e;
  if (bytes) std::memcpy(dst->data + offset, src, bytes);
  return nullptr;
}

modelc_error* BufferDownload(modelc_stream*, const modelc_buffer* src, uint64_t offset, void* dst, uint64_t bytes) {
  if (modelc_error* e = CheckExtent(src, offset, bytes, "download of")) return e;
  if (bytes) std::memcpy(dst, src->data + offset, bytes);
  return nullptr;
}

modelc_error* BufferCopy(modelc_stream*, const modelc_buffer* src, uint64_t src_offset, modelc_buffer* dst,
                         uint64_t dst_offset, uint64_t bytes) {
  if (modelc_error* e = CheckExtent(src, src_offset, bytes, "copy of")) return e;
  if (modelc_error* e = CheckExtent(dst, dst_offset, bytes, "copy to")) return e;
  std::memmove(dst->data + dst_offset, src->data + src_offset, bytes);
  return nullptr;
}

modelc_error* StreamCreate(modelc_device* device, modelc_stream** out) {
  *out = new modelc_stream{.device = device, .read = {}, .replays = {}};
  return nullptr;
}

void StreamFree(modelc_stream* stream) { delete stream; }

modelc_error* StreamSync(modelc_stream*) { return nullptr; }  // submits have ended when they return

modelc_error* KernelResolve(modelc_device*, const char* name, const char* attributes_json, modelc_kernel** out) {
  return Give(ResolveKernel(name, attributes_json ? attributes_json : "{}"), out);
}

modelc_error* KernelLoad(modelc_device*, const void* image, uint64_t bytes, const char* description, modelc_kernel** out) {
  return Give(LoadKernel({static_cast<const std::byte*>(image), bytes}, description), out);
}

void KernelFree(modelc_kernel* kernel) { delete kernel; }

modelc_error* SubmitCommands(modelc_stream* stream, const modelc_command* commands, size_t n, uint64_t replay_key) {
  return ToError(Submit(*stream, {commands, n}, replay_key));
}

modelc_error* StreamCounters(modelc_stream* stream, uint64_t* weight_bytes, uint64_t* cache_bytes) {
  *weight_bytes = stream->read.weight_bytes;
  *cache_bytes = stream->read.cache_bytes;
  stream->read = {};
  return nullptr;
}

}  // namespace
}  // namespace modelc::cpu

extern "C" MODELC_EXPORT modelc_error* modelc_plugin_query(const modelc_host_api* host, modelc_plugin_api* out) {
  using namespace modelc::cpu;
  modelc_plugin_api api{};
  api.name = "cpu";
  api.version = MODELC_CPU_VERSION;
  api.device_count = DeviceCount;
  api.device_open = modelc::sdk::NoThrow<DeviceOpen>;
  api.device_close = DeviceClose;
  api.device_info = DeviceInfo;
  api.device_describe = DeviceDescribe;
  api.buffer_alloc = modelc::sdk::NoThrow<BufferAlloc>;
  api.buffer_wrap = modelc::sdk::NoThrow<BufferWrap>;
  api.buffer_free = FreeBuffer;
  api.buffer_upload = BufferUpload;
  api.buffer_download = BufferDownload;
  api.buffer_copy = BufferCopy;
  api.stream_create = modelc::sdk::NoThrow<StreamCreate>;
  api.stream_free = StreamFree;
  api.stream_sync = StreamSync;
  api.kernel_resolve = modelc::sdk::NoThrow<KernelResolve>;
  api.kernel_free = KernelFree;
  api.submit = modelc::sdk::NoThrow<SubmitCommands>;
  api.stream_counters = StreamCounters;
  api.kernel_load = modelc::sdk::NoThrow<KernelLoad>;
  return modelc::sdk::Answer(host, api, out);
}
