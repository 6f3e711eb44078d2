// A model that is ready to chat in this process: engine, tokenizer and ChatService together.
#ifndef MODELC_TOOLS_MODELC_ASSISTANT_H_
#define MODELC_TOOLS_MODELC_ASSISTANT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/serving/chat_service.h"
#include "tools/modelc/model.h"

namespace modelc {

class Assistant {
 public:
  // From the flags of DeclareModelFlags.
  static absl::StatusOr<std::unique_ptr<Assistant>> Open(const po::variables_map& flags);

  // The model's id in the API: the checkpoint folder's name.
  const std::string& name() const { return name_; }
  ChatService& chat() { return *chat_; }

 private:
  // In the order in which one needs the one before it.
  std::string name_;
  OpenedModel model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ChatService> chat_;
};

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_ASSISTANT_H_
