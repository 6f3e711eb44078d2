#include "plugins/loader/host.h"

#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

// Opaque to plugins.
struct modelc_error {
  int32_t code;
  std::string message;
};

namespace modelc {
namespace {

// A C plugin may pass any number for the code, which a C++ enumeration must not be read with.
modelc_error* MakeError(modelc_code code, const char* message) {
  int32_t number;
  static_assert(sizeof number == sizeof code);
  std::memcpy(&number, &code, sizeof number);
  return new modelc_error{number, message == nullptr ? "no message" : message};
}

void FreeError(modelc_error* error) { delete error; }

void Log(int severity, const char* message) {
  const char* level = severity >= 2 ? "error: " : severity == 1 ? "warning: " : "";
  std::fprintf(stderr, "plugin: %s%s\n", level, message == nullptr ? "" : message);
}

absl::StatusCode ToStatusCode(int32_t code) {
  switch (code) {
    case MODELC_INVALID_ARGUMENT:
    case MODELC_NOT_FOUND:
    case MODELC_RESOURCE_EXHAUSTED:
    case MODELC_FAILED_PRECONDITION:
    case MODELC_UNIMPLEMENTED:
    case MODELC_INTERNAL:
    case MODELC_UNAVAILABLE:
      return static_cast<absl::StatusCode>(code);
  }
  return absl::StatusCode::kInternal;
}

}  // namespace

const modelc_host_api& HostApi() {
  static constexpr modelc_host_api kHost = {
      .struct_size = sizeof(modelc_host_api),
      .abi_major = MODELC_ABI_MAJOR,
      .abi_minor = MODELC_ABI_MINOR,
      .error_make = MakeError,
      .error_free = FreeError,
      .log = Log,
  };
  return kHost;
}

absl::Status TakeError(modelc_error* error) {
  if (error == nullptr) return absl::OkStatus();
  std::unique_ptr<modelc_error> owned(error);
  return absl::Status(ToStatusCode(owned->code), owned->message);
}

}  // namespace modelc
