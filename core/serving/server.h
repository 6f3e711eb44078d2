// The HTTP/1.1 server: sockets, TLS, timeouts, streaming and shutdown around an Api.
#ifndef MODELC_CORE_SERVING_SERVER_H_
#define MODELC_CORE_SERVING_SERVER_H_

#include <filesystem>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "core/serving/api.h"

namespace modelc {

struct ServerOptions {
  std::string listen = "127.0.0.1:8000";  // ADDR:PORT or [ADDR6]:PORT; port 0 picks a free one
  std::filesystem::path tls_cert;         // PEM chain; with tls_key: serves https
  std::filesystem::path tls_key;
};

// Serves until SIGINT or SIGTERM, whose number it returns: then it takes no more requests, lets those under way end (for
// ten seconds, or until a second signal) and cancels the rest. `ready` gets the base URL once connections are accepted.
// InvalidArgument or Unavailable when the address or the TLS files cannot be used.
absl::StatusOr<int> Serve(Api& api, const ServerOptions& options, const std::function<void(const std::string&)>& ready);

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_SERVER_H_
