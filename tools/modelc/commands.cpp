#include "tools/modelc/commands.h"

namespace modelc {

absl::Span<const Command* const> Commands() {
  static constexpr const Command* kAll[] = {
      &kRunCommand,
      &kChatCommand,
      &kBuildCommand,
      &kOptCommand,
      &kExplainCommand,
      &kBenchCommand,
      &kStudyCommand,
      &kTuneCommand,
      &kVerifyCommand,
      &kEvalCommand,
      &kTokenizeCommand,
      &kRenderCommand,
      &kPluginCommand,
  };
  return kAll;
}

}  // namespace modelc
