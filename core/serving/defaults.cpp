#include "core/serving/defaults.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "core/serving/fields.h"
#include "core/support/file.h"
#include "core/support/status.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

absl::StatusOr<Json> ReadJsonFile(const fs::path& path) {
  MODELC_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  absl::StatusOr<Json> json = ParseJsonObject(text);
  if (!json.ok()) return absl::InvalidArgumentError(absl::StrCat(path.string(), ": ", json.status().message()));
  return json;
}

void ReadSampling(FieldReader& fields, SamplingParams& sampling) {
  fields.Read("temperature", sampling.temperature, 0, 100);
  fields.Read("top_p", sampling.top_p, 0, 1);
  fields.Read("top_k", sampling.top_k, 0, std::numeric_limits<int32_t>::max());
  fields.Read("min_p", sampling.min_p, 0, 1);
  fields.Read("repetition_penalty", sampling.repetition_penalty, 1e-3, kInfinity);
}

absl::Status ReadTokenIds(FieldReader& fields, const char* name, std::vector<int32_t>& out) {
  const Json* value = fields.Find(name);
  if (value == nullptr) return absl::OkStatus();
  out.clear();
  for (const Json& id : value->is_array() ? *value : Json::array({*value})) {
    if (!id.is_number_integer() || id < 0 || id > std::numeric_limits<int32_t>::max()) {
      fields.Fail(name, "must be a token id or an array of them");
      return fields.status();
    }
    out.push_back(id.get<int32_t>());
  }
  return absl::OkStatus();
}

absl::Status ReadGenerationConfig(const Json& json, ServingDefaults& defaults) {
  FieldReader fields(json, "");
  ReadSampling(fields, defaults.sampling);
  bool do_sample = true;
  fields.Read("do_sample", do_sample);
  if (!do_sample) defaults.sampling.temperature = 0;
  MODELC_RETURN_IF_ERROR(ReadTokenIds(fields, "eos_token_id", defaults.stop_ids));
  return fields.status();
}

absl::Status ReadServing(const Json& preset, ServingDefaults& defaults) {
  FieldReader outer(preset, "");
  const Json* serving = outer.FindObject("serving");
  if (serving == nullptr) return outer.status();
  FieldReader fields(*serving, "serving");
  ReadSampling(fields, defaults.sampling);
  fields.Read("thinking", defaults.thinking);
  fields.Read("tools", defaults.tools);
  fields.Read("max_output_tokens", defaults.max_output_tokens, 0, std::numeric_limits<int32_t>::max());
  return fields.status();
}

absl::Status InFile(const fs::path& path, const absl::Status& status) {
  return status.ok() ? status : absl::InvalidArgumentError(absl::StrCat(path.string(), ": ", status.message()));
}

}  // namespace

absl::StatusOr<ServingDefaults> LoadServingDefaults(const fs::path& weights_dir,
                                                    const std::vector<std::string>& presets) {
  ServingDefaults defaults;
  std::vector<int32_t> bos;
  if (const fs::path path = weights_dir / "generation_config.json"; fs::exists(path)) {
    MODELC_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
    MODELC_RETURN_IF_ERROR(InFile(path, ReadGenerationConfig(json, defaults)));
  }
  // config.json names the special tokens where generation_config.json does not.
  if (const fs::path path = weights_dir / "config.json"; fs::exists(path)) {
    MODELC_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
    FieldReader fields(json, "");
    MODELC_RETURN_IF_ERROR(InFile(path, ReadTokenIds(fields, "bos_token_id", bos)));
    if (defaults.stop_ids.empty()) MODELC_RETURN_IF_ERROR(InFile(path, ReadTokenIds(fields, "eos_token_id", defaults.stop_ids)));
  }
  if (const fs::path path = weights_dir / "tokenizer_config.json"; fs::exists(path)) {
    MODELC_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(path));
    FieldReader fields(json, "");
    bool add_bos = false;
    fields.Read("add_bos_token", add_bos);
    MODELC_RETURN_IF_ERROR(InFile(path, fields.status()));
    if (add_bos && !bos.empty()) defaults.bos_id = bos.front();
  }
  for (const std::string& preset : presets) {
    MODELC_ASSIGN_OR_RETURN(const Json json, ReadJsonFile(preset));
    MODELC_RETURN_IF_ERROR(InFile(preset, ReadServing(json, defaults)));
  }
  return defaults;
}

}  // namespace modelc
