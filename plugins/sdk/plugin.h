// For plugin authors who write C++: answering modelc_plugin_query, and making errors. Header only; needs the ABI alone.
#ifndef MODELC_PLUGINS_SDK_PLUGIN_H_
#define MODELC_PLUGINS_SDK_PLUGIN_H_

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "plugins/abi/plugin.h"

namespace modelc::sdk {

// The host that asked; set by Answer.
inline const modelc_host_api*& Host() {
  static const modelc_host_api* host = nullptr;
  return host;
}

inline modelc_error* Error(modelc_code code, const std::string& message) {
  return Host()->error_make(code, message.c_str());
}

// The function as the ABI wants it: an exception becomes an error, std::bad_alloc one of RESOURCE_EXHAUSTED.
//   api.submit = sdk::NoThrow<Submit>;
template <auto function>
struct NoThrowFunction;
template <typename... Args, modelc_error* (*function)(Args...)>
struct NoThrowFunction<function> {
  static modelc_error* Call(Args... args) {
    try {
      return function(args...);
    } catch (const std::bad_alloc&) {
      return Host()->error_make(MODELC_RESOURCE_EXHAUSTED, "out of memory");
    } catch (const std::exception& e) {
      return Host()->error_make(MODELC_INTERNAL, e.what());
    } catch (...) {
      return Host()->error_make(MODELC_INTERNAL, "an exception that is no std::exception");
    }
  }
};
template <auto function>
inline constexpr auto NoThrow = &NoThrowFunction<function>::Call;

namespace internal {

// Stands in for a function the plugin does not have.
template <typename Function>
struct Missing;
template <typename... Args>
struct Missing<modelc_error* (*)(Args...)> {
  static modelc_error* Call(Args...) { return Error(MODELC_UNIMPLEMENTED, "this plugin does not have the function"); }
};
template <typename... Args>
struct Missing<void (*)(Args...)> {
  static void Call(Args...) {}
};

template <typename... Functions>
void FillMissing(Functions&... functions) {
  ((functions = functions ? functions : &Missing<Functions>::Call), ...);
}

}  // namespace internal

// The body of modelc_plugin_query: keeps the host's functions, refuses another major version, puts "unimplemented" where
// `api` has no function, and copies what the host has room for. `stream_counters` and `kernel_load` may stay null.
inline modelc_error* Answer(const modelc_host_api* host, modelc_plugin_api api, modelc_plugin_api* out) {
  Host() = host;
  if (host->abi_major != MODELC_ABI_MAJOR)
    return Error(MODELC_FAILED_PRECONDITION, std::string(api.name) + " plugin " + api.version + " speaks plugin ABI " +
                                                 std::to_string(MODELC_ABI_MAJOR) + ", the host " +
                                                 std::to_string(host->abi_major) + ": use a plugin built for this modelc");
  internal::FillMissing(api.device_count, api.device_open, api.device_close, api.device_info, api.device_describe,
                        api.buffer_alloc, api.buffer_wrap, api.buffer_free, api.buffer_upload, api.buffer_download,
                        api.buffer_copy, api.stream_create, api.stream_free, api.stream_sync, api.kernel_resolve,
                        api.kernel_free, api.submit);
  api.abi_major = MODELC_ABI_MAJOR;
  api.abi_minor = MODELC_ABI_MINOR;
  api.struct_size = std::min<uint32_t>(out->struct_size, sizeof(api));
  std::memcpy(out, &api, api.struct_size);
  return nullptr;
}

}  // namespace modelc::sdk

#endif  // MODELC_PLUGINS_SDK_PLUGIN_H_
