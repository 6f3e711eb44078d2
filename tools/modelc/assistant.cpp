#include "tools/modelc/assistant.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "core/text/dsml.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;

// "DeepSeek-V3.2" for …/DeepSeek-V3.2; "nano" for …/nano/checkpoint.
std::string ModelName(const fs::path& weights_dir) {
  fs::path dir = fs::absolute(weights_dir).lexically_normal();
  if (!dir.has_filename()) dir = dir.parent_path();
  if (dir.filename() == "checkpoint") dir = dir.parent_path();
  return dir.filename().string();
}

// What the tokenizer must have for the chat format, and the tokens that end an answer, for it to end.
absl::Status CheckTokens(const Tokenizer& tokenizer, const ServingDefaults& defaults, const fs::path& weights_dir) {
  for (const std::string_view marker : {dsml::kBegin, dsml::kEnd, dsml::kUser, dsml::kAssistant, dsml::kThink, dsml::kThinkEnd}) {
    if (tokenizer.AddedToken(marker)) continue;
    return absl::InvalidArgumentError(absl::StrCat((weights_dir / "tokenizer.json").string(), ": '", Absl(marker),
                                                   "' is no added token, and DeepSeek-V3.2's chat format needs it"));
  }
  for (const int32_t id : defaults.stop_ids) {
    if (id < tokenizer.vocab_size()) continue;
    return absl::InvalidArgumentError(absl::StrCat(weights_dir.string(), ": eos_token_id is ", id, "; the tokenizer has ids 0 to ",
                                                   tokenizer.vocab_size() - 1, "; correct generation_config.json or config.json"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Assistant>> Assistant::Open(const po::variables_map& flags) {
  auto assistant = std::make_unique<Assistant>();
  OpenedModel& model = assistant->model_;
  MODELC_ASSIGN_OR_RETURN(model, OpenModel(flags));
  std::vector<std::string> presets;
  if (flags.count("config")) presets = flags["config"].as<std::vector<std::string>>();
  MODELC_ASSIGN_OR_RETURN(ServingDefaults defaults, LoadServingDefaults(model.weights_dir, presets));
  MODELC_ASSIGN_OR_RETURN(assistant->tokenizer_, OpenTokenizer(model.weights_dir));
  MODELC_RETURN_IF_ERROR(CheckTokens(*assistant->tokenizer_, defaults, model.weights_dir));
  MODELC_ASSIGN_OR_RETURN(assistant->engine_, StartEngine(model, flags));
  assistant->name_ = ModelName(model.weights_dir);
  assistant->chat_ = std::make_unique<ChatService>(assistant->name_, assistant->engine_.get(),
                                                   assistant->tokenizer_.get(), std::move(defaults));
  return assistant;
}

}  // namespace modelc
