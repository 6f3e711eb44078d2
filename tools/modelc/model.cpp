#include "tools/modelc/model.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/compiler/compiler.h"
#include "core/serving/fields.h"
#include "core/support/file.h"
#include "core/support/status.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;

// The text of a JSON object.
absl::StatusOr<std::string> ReadConfig(const fs::path& path) {
  MODELC_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  if (absl::StatusOr<Json> json = ParseJsonObject(text); !json.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path.string(), ": ", json.status().message()));
  }
  return text;
}

fs::path ExecutableDir() {
  std::error_code ec;
  return fs::read_symlink("/proc/self/exe", ec).parent_path();
}

// A bar on stderr, drawn on a terminal alone, at most ten times a second.
LoadProgress WeightsBar() {
  if (!isatty(STDERR_FILENO)) return nullptr;
  auto last = std::make_shared<std::chrono::steady_clock::time_point>();
  return [last](uint64_t done, uint64_t total) {
    auto now = std::chrono::steady_clock::now();
    if (done < total && now - *last < std::chrono::milliseconds(100)) return;
    *last = now;
    constexpr int kWidth = 32;
    const int filled = total == 0 ? kWidth : static_cast<int>(kWidth * done / total);
    const std::string bar = absl::StrCat(std::string(filled, '#'), std::string(kWidth - filled, '.'));
    std::fprintf(stderr, "\rweights [%s] %.2f of %.2f GB%s", bar.c_str(), done / 1e9, total / 1e9,
                 done < total ? "" : "\r\x1b[K");
    std::fflush(stderr);
  };
}

}  // namespace

fs::path ModelsDir() {
  for (const char* relative : {"../share/modelc/models", "../../../models"}) {
    fs::path dir = (ExecutableDir() / relative).lexically_normal();
    if (fs::exists(dir / "v3.2.mlir")) return dir;
  }
  return "models";
}

fs::path WeightsDir(const po::variables_map& flags) {
  const std::string given = Text(flags, "weights");
  return given.empty() ? ModelsDir() / "nano" / "checkpoint" : fs::path(given);
}

void DeclareModelFlags(po::options_description& options, po::positional_options_description& positional) {
  positional.add("model", 1);
  options.add_options()
      ("model", po::value<std::string>(), "the model: a .mlir file, or what 'modelc build' wrote")
      ("weights", po::value<std::string>()->default_value(""), "checkpoint folder; without it: the nano checkpoint")
      ("config", po::value<std::vector<std::string>>()->composing(),
       "JSON over the checkpoint's config.json, and presets such as models/speciale.json; may be repeated")
      ("numerics", po::value<std::string>()->default_value("fast"), "reference, deepseek or fast")
      ("extension", po::value<std::vector<std::string>>()->composing(),
       "a library with dialects or passes (MLIR plugins) that the model file or --source-passes use; may be repeated")
      ("source-passes", po::value<std::string>()->default_value(""), "passes over the model file before the compiler's own")
      ("attention", po::value<std::string>()->default_value(""),
       "a variant of sparse attention, as options of lm-vary-attention: dense, or top=N block=N window=N reuse=N expanded index-format=F latent-format=F")
      ("kv-dtype", po::value<std::string>()->default_value(""), "cache pages: f8, i8, bf16 or f32")
      ("weights-format", po::value<std::string>()->default_value("f8"),
       "large matrices: f8 (as the checkpoint has them), bf16, int8 or int4 (docs/weight-formats.md)")
      ("generate", po::value<std::string>()->default_value("fused"), "ops to run as generated code, not by the plugin's kernel: 'dsa.*,fused'")
      ("tuning", po::value<std::string>()->default_value(""),
       "schedules that modelc tune found; without it: those in ~/.cache/modelc/tuning.json, if any; none: no such record")
      ("max-context", po::value<int64_t>()->default_value(0), "tokens a sequence may have; 0: the config's limit")
      ("max-sequences", po::value<int64_t>()->default_value(16), "sequences running at once")
      ("max-rows", po::value<int64_t>()->default_value(256), "tokens in one step, prefill chunks included")
      ("cache-gb", po::value<double>()->default_value(0), "memory for the KV cache; 0: a share of the device's");
}

absl::StatusOr<std::unique_ptr<Device>> OpenDevice(const po::variables_map& flags) {
  PluginSearch search;
  if (flags.count("plugin")) {
    for (const auto& path : flags["plugin"].as<std::vector<std::string>>()) search.explicit_paths.push_back(path);
  }
  MODELC_ASSIGN_OR_RETURN(const Plugin* plugin, SelectPlugin(search, Text(flags, "backend")));
  return Device::Open(plugin, 0, flags["threads"].as<unsigned>());
}

namespace {

// What a compiled program has fixed.
constexpr const char* kCompileFlags[] = {"config",   "extension", "source-passes", "numerics",      "attention",
                                         "kv-dtype", "weights-format", "generate",  "tuning",        "max-context",   "max-sequences",
                                         "max-rows"};

absl::StatusOr<CompileOptions> CompileFlags(const po::variables_map& flags, const fs::path& weights_dir) {
  const auto limit = [&](const char* name, int64_t low) -> absl::StatusOr<int64_t> {
    int64_t value = flags[name].as<int64_t>();
    if (value < low || value > (int64_t{1} << 24)) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " is ", value, "; it must be between ", low, " and 2^24"));
    }
    return value;
  };
  CompileOptions options;
  MODELC_ASSIGN_OR_RETURN(std::string config, ReadConfig(weights_dir / "config.json"));
  options.configs.push_back(std::move(config));
  if (flags.count("config")) {
    for (const auto& path : flags["config"].as<std::vector<std::string>>()) {
      MODELC_ASSIGN_OR_RETURN(std::string text, ReadConfig(path));
      options.configs.push_back(std::move(text));
    }
  }
  options.numerics = Text(flags, "numerics");
  if (flags.count("extension")) options.extensions = flags["extension"].as<std::vector<std::string>>();
  options.source_passes = Text(flags, "source-passes");
  options.attention = Text(flags, "attention");
  options.kv_dtype = Text(flags, "kv-dtype");
  options.weights_format = Text(flags, "weights-format");
  options.generate = Text(flags, "generate");
  MODELC_ASSIGN_OR_RETURN(options.max_rows, limit("max-rows", 1));
  MODELC_ASSIGN_OR_RETURN(options.max_sequences, limit("max-sequences", 1));
  MODELC_ASSIGN_OR_RETURN(options.max_context, limit("max-context", 0));
  return options;
}

absl::StatusOr<std::unique_ptr<Checkpoint>> OpenWeights(const fs::path& dir, Weights weights) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = Checkpoint::Open(dir);
  if (weights == Weights::kIfThere && absl::IsNotFound(checkpoint.status()) && fs::exists(dir / "config.json")) return nullptr;
  return checkpoint;
}

absl::StatusOr<OpenedModel> OpenBuilt(const std::string& text, const po::variables_map& flags, Weights weights) {
  for (const char* name : kCompileFlags) {
    if (flags.count(name) && !flags[name].defaulted()) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, " was fixed when '", Text(flags, "model"),
                                                     "' was built; drop it, or build again with it"));
    }
  }
  OpenedModel opened;
  absl::StatusOr<Program> program = ParseProgram(text);
  if (!program.ok()) {
    return absl::Status(program.status().code(), absl::StrCat(Text(flags, "model"), ": ", program.status().message()));
  }
  opened.program = *std::move(program);
  opened.weights_dir = Text(flags, "weights").empty() ? opened.program.weights_folder : Text(flags, "weights");
  MODELC_ASSIGN_OR_RETURN(opened.checkpoint, OpenWeights(opened.weights_dir, weights));
  po::variables_map device_flags = flags;
  if (flags["backend"].defaulted()) device_flags.at("backend").value() = opened.program.backend;
  MODELC_ASSIGN_OR_RETURN(opened.device, OpenDevice(device_flags));
  return opened;
}

}  // namespace

fs::path TuningFile(const po::variables_map& flags) {
  if (const std::string file = Text(flags, "tuning"); !file.empty()) return file == "none" ? "" : file;
  for (const auto& [variable, below] : {std::pair("XDG_CACHE_HOME", "modelc"), std::pair("HOME", ".cache/modelc")}) {
    if (const char* dir = std::getenv(variable); dir != nullptr && *dir != 0) return fs::path(dir) / below / "tuning.json";
  }
  return {};
}

namespace {

// A model file's text, which OpenModel tells from a built file by its beginning: JSON; no model begins so.
absl::StatusOr<std::string> ReadModel(const po::variables_map& flags) {
  if (!flags.count("model")) {
    return absl::InvalidArgumentError("name a model file, for example models/v3.2.mlir");
  }
  return ReadFile(Text(flags, "model"));
}

bool IsBuilt(const std::string& text) { return text.starts_with("{"); }

// Entries of the record that are for this device and compiler. A record that nobody named need not be there.
absl::StatusOr<std::vector<TunedSchedule>> Tuned(const po::variables_map& flags, std::string_view device) {
  const fs::path file = TuningFile(flags);
  if (file.empty() || (flags["tuning"].defaulted() && !fs::exists(file))) return std::vector<TunedSchedule>();
  MODELC_ASSIGN_OR_RETURN(std::vector<TunedSchedule> tuned, ReadTuning(file));
  std::erase_if(tuned, [&](const TunedSchedule& t) { return t.device != device || t.compiler != CompilerVersion(); });
  return tuned;
}

absl::StatusOr<ModelSource> SourceOf(std::string text, const po::variables_map& flags, Weights weights) {
  ModelSource source;
  source.text = std::move(text);
  source.name = Text(flags, "model");
  source.weights_dir = WeightsDir(flags);
  MODELC_ASSIGN_OR_RETURN(source.checkpoint, OpenWeights(source.weights_dir, weights));
  MODELC_ASSIGN_OR_RETURN(source.options, CompileFlags(flags, source.weights_dir));
  MODELC_ASSIGN_OR_RETURN(source.device, OpenDevice(flags));
  if (source.checkpoint != nullptr) source.options.checkpoint = &source.checkpoint->index();
  source.options.manifest = source.device->manifest();
  source.options.backend = std::string(source.device->plugin().name());
  return source;
}

}  // namespace

absl::StatusOr<ModelSource> OpenSource(const po::variables_map& flags, Weights weights) {
  MODELC_ASSIGN_OR_RETURN(std::string text, ReadModel(flags));
  if (IsBuilt(text)) {
    return absl::InvalidArgumentError(absl::StrCat("'", Text(flags, "model"), "' is built already; name the .mlir file"));
  }
  return SourceOf(std::move(text), flags, weights);
}

absl::StatusOr<OpenedModel> OpenModel(const po::variables_map& flags, Weights weights) {
  MODELC_ASSIGN_OR_RETURN(std::string text, ReadModel(flags));
  if (IsBuilt(text)) return OpenBuilt(text, flags, weights);
  MODELC_ASSIGN_OR_RETURN(ModelSource source, SourceOf(std::move(text), flags, weights));
  MODELC_ASSIGN_OR_RETURN(source.options.tuned, Tuned(flags, source.device->info().name));
  OpenedModel opened;
  const auto start = std::chrono::steady_clock::now();
  MODELC_ASSIGN_OR_RETURN(opened.program, CompileModel(source.text, source.name, source.options));
  opened.checkpoint = std::move(source.checkpoint);
  opened.device = std::move(source.device);
  opened.weights_dir = std::move(source.weights_dir);
  opened.compile_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return opened;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> OpenTokenizer(const fs::path& weights_dir) {
  return Tokenizer::Load(weights_dir / "tokenizer.json");
}

absl::StatusOr<std::unique_ptr<Engine>> StartEngine(OpenedModel& model, const po::variables_map& flags) {
  EngineOptions options;
  const Sizes& limits = model.program.limits;
  options.max_sequences = std::min(flags["max-sequences"].as<int64_t>(), limits[static_cast<int>(Size::kS)]);
  options.max_rows = std::min(flags["max-rows"].as<int64_t>(), limits[static_cast<int>(Size::kT)]);
  options.max_context = flags["max-context"].as<int64_t>();
  const double gigabytes = flags["cache-gb"].as<double>();
  if (!(gigabytes >= 0 && gigabytes < 1e6)) return absl::InvalidArgumentError("--cache-gb must be between 0 and 1e6");
  options.cache_bytes = static_cast<uint64_t>(gigabytes * 1e9);
  return Engine::Create(std::move(model.program), *model.checkpoint, std::move(model.device), options, WeightsBar());
}

}  // namespace modelc
