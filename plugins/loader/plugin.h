// Loading plugins (Boost.DLL) and the C++ face of a device: RAII handles over the C ABI, errors as absl::Status.
// Everything in core/ that touches a device goes through this; nothing here names a backend.
#ifndef MODELC_PLUGINS_LOADER_PLUGIN_H_
#define MODELC_PLUGINS_LOADER_PLUGIN_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "plugins/abi/plugin.h"

namespace modelc {

// A loaded library; never unloaded, so pointers to it live as long as the process.
class Plugin {
 public:
  // Loads and negotiates. Errors: not a library, symbol missing, wrong major version, required function missing.
  static absl::StatusOr<const Plugin*> Load(const std::filesystem::path& library);

  std::string_view name() const { return api_.name; }
  std::string_view version() const { return api_.version; }
  const std::filesystem::path& path() const { return path_; }
  const modelc_plugin_api& api() const { return api_; }
  absl::StatusOr<uint32_t> DeviceCount() const;

 private:
  Plugin() = default;
  std::filesystem::path path_;
  modelc_plugin_api api_{};
};

// The search path, in order: explicit --plugin paths, $MODELC_PLUGIN_PATH (colon-separated folders), and
// ../lib/modelc beside the executable.
struct PluginSearch {
  std::vector<std::filesystem::path> explicit_paths;
};
struct FoundPlugin {
  std::filesystem::path path;
  absl::StatusOr<const Plugin*> plugin;
};
// Every libmodelc_*.so found, loaded or with the reason why not.
std::vector<FoundPlugin> FindPlugins(const PluginSearch&);
// By name; or, with an empty name, the first with a device, cpu last. Errors list what was found.
absl::StatusOr<const Plugin*> SelectPlugin(const PluginSearch&, std::string_view name);

// Owns a modelc_buffer.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(const modelc_plugin_api* api, modelc_buffer* handle, uint64_t bytes)
      : api_(api), handle_(handle), bytes_(bytes) {}
  DeviceBuffer(DeviceBuffer&& o) noexcept { *this = std::move(o); }
  DeviceBuffer& operator=(DeviceBuffer&& o) noexcept;
  ~DeviceBuffer();
  modelc_buffer* get() const { return handle_; }
  uint64_t bytes() const { return bytes_; }

 private:
  const modelc_plugin_api* api_ = nullptr;
  modelc_buffer* handle_ = nullptr;
  uint64_t bytes_ = 0;
};

class DeviceKernel {
 public:
  DeviceKernel() = default;
  DeviceKernel(const modelc_plugin_api* api, modelc_kernel* handle) : api_(api), handle_(handle) {}
  DeviceKernel(DeviceKernel&& o) noexcept { *this = std::move(o); }
  DeviceKernel& operator=(DeviceKernel&& o) noexcept;
  ~DeviceKernel();
  modelc_kernel* get() const { return handle_; }

 private:
  const modelc_plugin_api* api_ = nullptr;
  modelc_kernel* handle_ = nullptr;
};

// An open device with one stream.
class Device {
 public:
  static absl::StatusOr<std::unique_ptr<Device>> Open(const Plugin*, uint32_t ordinal, uint32_t threads);
  ~Device();
  Device(const Device&) = delete;

  const Plugin& plugin() const { return *plugin_; }
  const modelc_device_info& info() const { return info_; }
  const std::string& manifest() const { return manifest_; }

  absl::StatusOr<DeviceBuffer> Alloc(uint64_t bytes);
  // Over host memory that outlives the buffer; Unimplemented unless info().host_memory.
  absl::StatusOr<DeviceBuffer> Wrap(const void* data, uint64_t bytes);
  absl::StatusOr<DeviceKernel> Resolve(const std::string& name, const std::string& attributes_json);
  // Of generated code (plugins/abi/codegen.md); Unimplemented where the plugin takes none.
  absl::StatusOr<DeviceKernel> Load(const std::string& image, const std::string& description_json);

  absl::Status Upload(const DeviceBuffer& dst, uint64_t offset, const void* src, uint64_t bytes);
  absl::Status Download(const DeviceBuffer& src, uint64_t offset, void* dst, uint64_t bytes);  // waits
  absl::Status Copy(const DeviceBuffer& src, uint64_t src_offset, const DeviceBuffer& dst, uint64_t dst_offset,
                    uint64_t bytes);
  absl::Status Submit(absl::Span<const modelc_command> commands, uint64_t replay_key = 0);
  absl::Status Sync();
  struct Counters {
    uint64_t weight_bytes = 0, cache_bytes = 0;
  };
  absl::StatusOr<Counters> ReadCounters();  // zeros where the plugin has none

 private:
  Device() = default;
  const Plugin* plugin_ = nullptr;
  modelc_device* handle_ = nullptr;
  modelc_stream* stream_ = nullptr;
  modelc_device_info info_{};
  std::string manifest_;
};

}  // namespace modelc

#endif  // MODELC_PLUGINS_LOADER_PLUGIN_H_
