// A second backend to hold the first against: the CPU plugin under another name, whose kernels use the plainest
// instruction set. WRONG_EPS makes one of its ops wrong: norms add an eps ten thousand times as large.
#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "plugins/abi/plugin.h"

namespace {

modelc_plugin_api cpu;

modelc_error* KernelResolve(modelc_device* device, const char* name, const char* attributes, modelc_kernel** out) {
  std::string text = attributes;
#ifdef WRONG_EPS
  const std::string eps = "\"eps\":";
  if (const size_t at = text.find(eps); at != std::string::npos) text.insert(at + eps.size(), "1000");
#endif
  setenv("MODELC_CPU_ISA", "portable", 1);  // kernels ask when they are made, and keep their choice
  modelc_error* error = cpu.kernel_resolve(device, name, text.c_str(), out);
  unsetenv("MODELC_CPU_ISA");
  return error;
}

}  // namespace

modelc_error* modelc_plugin_query(const modelc_host_api* host, modelc_plugin_api* out) {
  void* library = dlopen(CPU_PLUGIN, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return host->error_make(MODELC_NOT_FOUND, dlerror());
  const auto query = reinterpret_cast<modelc_plugin_query_fn>(dlsym(library, "modelc_plugin_query"));
  cpu.struct_size = out->struct_size;
  if (modelc_error* error = query(host, &cpu)) return error;
  *out = cpu;
  out->name = PLUGIN_NAME;
  out->kernel_resolve = KernelResolve;
  return nullptr;
}
