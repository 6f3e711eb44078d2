// The host's side of the ABI's errors: what plugins make them with, and their way into absl::Status.
#ifndef MODELC_PLUGINS_LOADER_HOST_H_
#define MODELC_PLUGINS_LOADER_HOST_H_

#include "absl/status/status.h"
#include "plugins/abi/plugin.h"

namespace modelc {

// The table every plugin is given. Its log goes to stderr.
const modelc_host_api& HostApi();

// Takes the error; null is OK. A code outside modelc_code becomes kInternal.
absl::Status TakeError(modelc_error* error);

}  // namespace modelc

#endif  // MODELC_PLUGINS_LOADER_HOST_H_
