// What a model answers with when a request does not say: from the checkpoint's generation_config.json and the "serving"
// object of presets such as models/speciale.json.
#ifndef MODELC_CORE_SERVING_DEFAULTS_H_
#define MODELC_CORE_SERVING_DEFAULTS_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/runtime/engine.h"

namespace modelc {

struct ServingDefaults {
  SamplingParams sampling;         // generation_config: do_sample (false is temperature 0), temperature, top_p, top_k …
  std::vector<int32_t> stop_ids;   // generation_config: eos_token_id, one or several
  std::optional<int32_t> bos_id;   // set where tokenizer_config.json adds one: put before /v1/completions prompts
  bool thinking = true;            // serving.thinking
  bool tools = true;               // serving.tools: false where the model was not trained to call any
  int64_t max_output_tokens = 0;   // serving.max_output_tokens; 0: up to the context's end
};

// Later presets win. A missing generation_config.json or tokenizer_config.json leaves the neutral values; a broken one,
// or a value of the wrong type, is InvalidArgument naming file and key.
absl::StatusOr<ServingDefaults> LoadServingDefaults(const std::filesystem::path& weights_dir,
                                                    const std::vector<std::string>& presets);

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_DEFAULTS_H_
