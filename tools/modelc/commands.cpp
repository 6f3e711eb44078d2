#include "tools/modelc/commands.h"

namespace modelc {

absl::Span<const Command* const> Commands() {
  static constexpr const Command* kAll[] = {
#ifdef MODELC_HAS_run
      &kRunCommand,
#endif
#ifdef MODELC_HAS_chat
      &kChatCommand,
#endif
#ifdef MODELC_HAS_build
      &kBuildCommand,
#endif
#ifdef MODELC_HAS_opt
      &kOptCommand,
#endif
#ifdef MODELC_HAS_explain
      &kExplainCommand,
#endif
#ifdef MODELC_HAS_bench
      &kBenchCommand,
#endif
#ifdef MODELC_HAS_study
      &kStudyCommand,
#endif
#ifdef MODELC_HAS_tune
      &kTuneCommand,
#endif
#ifdef MODELC_HAS_verify
      &kVerifyCommand,
#endif
#ifdef MODELC_HAS_eval
      &kEvalCommand,
#endif
#ifdef MODELC_HAS_tokenize
      &kTokenizeCommand,
#endif
#ifdef MODELC_HAS_render
      &kRenderCommand,
#endif
#ifdef MODELC_HAS_plugin
      &kPluginCommand,
#endif
  };
  return kAll;
}

}  // namespace modelc
