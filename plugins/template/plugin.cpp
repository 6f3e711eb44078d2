// The mydevice backend: one device in host memory that runs every submit at once. Streams are in order by nature here;
// a real device queues the work and waits in stream_sync.
#include "plugins/sdk/plugin.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "kernels.h"
#include "plugins/sdk/tensor.h"

using modelc::sdk::Error;

struct modelc_device {
  std::string manifest;
};

struct modelc_buffer {
  unsigned char* data;
  uint64_t bytes;
  bool owned;  // false: the host's memory
};

struct modelc_stream {};

struct modelc_kernel {
  std::unique_ptr<backend::Kernel> kernel;
};

namespace {

modelc_error* DeviceCount(uint32_t* out) {
  *out = 1;
  return nullptr;
}

std::string Manifest() {
  nlohmann::json kernels = nlohmann::json::array();
  for (const backend::KernelEntry& entry : backend::Kernels()) {
    nlohmann::json kernel = {{"name", entry.name}, {"op", entry.op}, {"rank", entry.rank}};
    if (*entry.where) kernel["where"] = entry.where;
    kernels.push_back(kernel);
  }
  return nlohmann::json{{"schema", 1}, {"device", {{"kind", "mydevice"}, {"codegen", "none"}}}, {"kernels", kernels}}
      .dump();
}

modelc_error* DeviceOpen(uint32_t ordinal, const modelc_device_options*, modelc_device** out) {
  if (ordinal != 0) return Error(MODELC_NOT_FOUND, "mydevice has one device, number 0");
  *out = new modelc_device{Manifest()};
  return nullptr;
}

void DeviceClose(modelc_device* device) { delete device; }

modelc_error* DeviceInfo(modelc_device*, modelc_device_info* out) {
  modelc_device_info info = {};
  info.struct_size = std::min<uint32_t>(out->struct_size, sizeof info);
  info.name = "mydevice (host memory)";
  info.memory_bytes = uint64_t{1} << 30;
  info.host_memory = 1;
  std::memcpy(out, &info, info.struct_size);
  return nullptr;
}

modelc_error* DeviceDescribe(modelc_device* device, const char** json) {
  *json = device->manifest.c_str();
  return nullptr;
}

modelc_error* BufferAlloc(modelc_device*, uint64_t bytes, modelc_buffer** out) {
  constexpr uint64_t kAlignment = 64, kMost = uint64_t{1} << 47;
  const uint64_t rounded = (bytes / kAlignment + 1) * kAlignment;
  void* data = bytes < kMost ? std::aligned_alloc(kAlignment, rounded) : nullptr;
  if (data == nullptr) return Error(MODELC_RESOURCE_EXHAUSTED, "no room for " + std::to_string(bytes) + " bytes");
  std::memset(data, 0, rounded);
  *out = new modelc_buffer{static_cast<unsigned char*>(data), bytes, true};
  return nullptr;
}

modelc_error* BufferWrap(modelc_device*, const void* data, uint64_t bytes, modelc_buffer** out) {
  *out = new modelc_buffer{static_cast<unsigned char*>(const_cast<void*>(data)), bytes, false};
  return nullptr;
}

void BufferFree(modelc_buffer* buffer) {
  if (buffer->owned) std::free(buffer->data);
  delete buffer;
}

modelc_error* OutOfRange(const char* what) {
  return Error(MODELC_INVALID_ARGUMENT, std::string(what) + " reaches beyond its buffer");
}

modelc_error* BufferUpload(modelc_stream*, modelc_buffer* dst, uint64_t offset, const void* src, uint64_t bytes) {
  if (!modelc::sdk::InRange(offset, bytes, dst->bytes)) return OutOfRange("upload");
  std::memcpy(dst->data + offset, src, bytes);
  return nullptr;
}

modelc_error* BufferDownload(modelc_stream*, const modelc_buffer* src, uint64_t offset, void* dst, uint64_t bytes) {
  if (!modelc::sdk::InRange(offset, bytes, src->bytes)) return OutOfRange("download");
  std::memcpy(dst, src->data + offset, bytes);
  return nullptr;
}

modelc_error* BufferCopy(modelc_stream*, const modelc_buffer* src, uint64_t src_offset, modelc_buffer* dst,
                         uint64_t dst_offset, uint64_t bytes) {
  if (!modelc::sdk::InRange(src_offset, bytes, src->bytes) || !modelc::sdk::InRange(dst_offset, bytes, dst->bytes))
    return OutOfRange("copy");
  std::memmove(dst->data + dst_offset, src->data + src_offset, bytes);
  return nullptr;
}

modelc_error* StreamCreate(modelc_device*, modelc_stream** out) {
  *out = new modelc_stream;
  return nullptr;
}

void StreamFree(modelc_stream* stream) { delete stream; }

modelc_error* StreamSync(modelc_stream*) { return nullptr; }

modelc_error* KernelResolve(modelc_device*, const char* name, const char* attributes_json, modelc_kernel** out) {
  const nlohmann::json attributes = nlohmann::json::parse(attributes_json, nullptr, /*allow_exceptions=*/false);
  for (const backend::KernelEntry& entry : backend::Kernels()) {
    if (std::strcmp(entry.name, name) != 0) continue;
    if (!attributes.is_object()) return Error(MODELC_INVALID_ARGUMENT, "attributes are no JSON object");
    auto kernel = std::make_unique<modelc_kernel>();
    const backend::Message message = entry.make(attributes, &kernel->kernel);
    if (!message.empty()) return Error(MODELC_INVALID_ARGUMENT, message);
    *out = kernel.release();
    return nullptr;
  }
  return Error(MODELC_NOT_FOUND, std::string("mydevice has no kernel '") + name + "'");
}

void KernelFree(modelc_kernel* kernel) { delete kernel; }

// Looks up a command's tensors and checks them.
backend::Message Resolve(const modelc_command& command, std::vector<backend::Tensor>* out) {
  for (uint32_t i = 0; i < command.n_tensors; ++i) {
    const modelc_tensor& t = command.tensors[i];
    backend::Tensor tensor = {nullptr, t.dtype, t.rank, {}};
    if (t.buffer != nullptr) {
      const auto bytes = modelc::sdk::TensorBytes(t);
      if (!bytes || !modelc::sdk::InRange(t.offset, *bytes, t.buffer->bytes))
        return "tensor " + std::to_string(i) + " does not lie within its buffer";
      tensor.data = t.buffer->data + t.offset;
      std::memcpy(tensor.shape, t.shape, sizeof tensor.shape);
    }
    out->push_back(tensor);
  }
  return command.kernel->kernel->Check(*out);
}

modelc_error* Submit(modelc_stream*, const modelc_command* commands, size_t n, uint64_t /*replay_key*/) {
  std::vector<std::vector<backend::Tensor>> tensors(n);
  for (size_t i = 0; i < n; ++i) {
    const backend::Message message = Resolve(commands[i], &tensors[i]);
    if (!message.empty()) return Error(MODELC_INVALID_ARGUMENT, "command " + std::to_string(i) + ": " + message);
  }
  for (size_t i = 0; i < n; ++i) commands[i].kernel->kernel->Run(tensors[i]);
  return nullptr;
}

}  // namespace

modelc_error* modelc_plugin_query(const modelc_host_api* host, modelc_plugin_api* out) {
  modelc_plugin_api api = {};
  api.name = "mydevice";
  api.version = "0.1.0";
  api.device_count = DeviceCount;
  api.device_open = modelc::sdk::NoThrow<DeviceOpen>;
  api.device_close = DeviceClose;
  api.device_info = DeviceInfo;
  api.device_describe = DeviceDescribe;
  api.buffer_alloc = modelc::sdk::NoThrow<BufferAlloc>;
  api.buffer_wrap = modelc::sdk::NoThrow<BufferWrap>;
  api.buffer_free = BufferFree;
  api.buffer_upload = BufferUpload;
  api.buffer_download = BufferDownload;
  api.buffer_copy = BufferCopy;
  api.stream_create = modelc::sdk::NoThrow<StreamCreate>;
  api.stream_free = StreamFree;
  api.stream_sync = StreamSync;
  api.kernel_resolve = modelc::sdk::NoThrow<KernelResolve>;
  api.kernel_free = KernelFree;
  api.submit = modelc::sdk::NoThrow<Submit>;
  return modelc::sdk::Answer(host, api, out);
}
