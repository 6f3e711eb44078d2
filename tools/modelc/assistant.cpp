#include "tools/modelc/assistant.h"

#include <vector>

#include "core/support/status.h"

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

}  // namespace

absl::StatusOr<std::unique_ptr<Assistant>> Assistant::Open(const po::variables_map& flags) {
  auto assistant = std::make_unique<Assistant>();
  OpenedModel& model = assistant->model_;
  MODELC_ASSIGN_OR_RETURN(model, OpenModel(flags));
  std::vector<std::string> presets;
  if (flags.count("config")) presets = flags["config"].as<std::vector<std::string>>();
  MODELC_ASSIGN_OR_RETURN(ServingDefaults defaults, LoadServingDefaults(model.weights_dir, presets));
  MODELC_ASSIGN_OR_RETURN(assistant->tokenizer_, OpenTokenizer(model.weights_dir));
  MODELC_ASSIGN_OR_RETURN(assistant->engine_, StartEngine(model, flags));
  assistant->name_ = ModelName(model.weights_dir);
  assistant->chat_ = std::make_unique<ChatService>(assistant->name_, assistant->engine_.get(),
                                                   assistant->tokenizer_.get(), std::move(defaults));
  return assistant;
}

}  // namespace modelc
