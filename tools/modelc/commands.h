// The subcommands, in the order `modelc --help` shows them.
#ifndef MODELC_TOOLS_MODELC_COMMANDS_H_
#define MODELC_TOOLS_MODELC_COMMANDS_H_

#include "absl/types/span.h"
#include "tools/modelc/command.h"

namespace modelc {

extern const Command kRunCommand, kChatCommand, kBuildCommand, kOptCommand, kExplainCommand, kBenchCommand,
    kStudyCommand, kTuneCommand, kVerifyCommand, kEvalCommand, kTokenizeCommand, kRenderCommand, kPluginCommand;

absl::Span<const Command* const> Commands();

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_COMMANDS_H_
