#include "tools/modelc/commands.h"

namespace modelc {

absl::Span<const Command* const> Commands() {
  static constexpr const Command* kAll[] = {
      &kRunCommand,   &kChatCommand, &kBuildCommand,    &kOptCommand,    &kExplainCommand, &kBenchCommand,
      &kVerifyCommand, &kEvalCommand, &kTokenizeCommand, &kRenderCommand, &kPluginCommand};
  return kAll;
}

}  // namespace modelc
