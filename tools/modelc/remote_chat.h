// Asks a running server, over HTTP.
#ifndef MODELC_TOOLS_MODELC_REMOTE_CHAT_H_
#define MODELC_TOOLS_MODELC_REMOTE_CHAT_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "core/text/chat.h"

namespace modelc {

class RemoteChat {
 public:
  // `url` is http(s)://HOST[:PORT], with or without /v1. `key` may be empty.
  static absl::StatusOr<RemoteChat> Open(const std::string& url, std::string key);

  // Streams the answer to a chat request; `show` gets each chunk and returns false to stop. The server's own error
  // message where it refuses.
  absl::Status Stream(Json body, const std::function<bool(const Json&)>& show) const;

 private:
  bool tls_ = false;
  std::string host_, port_, key_;
};

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_REMOTE_CHAT_H_
