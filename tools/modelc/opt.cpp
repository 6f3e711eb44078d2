// modelc opt: runs passes over a model file and prints the IR, at any level.
#include "core/compiler/opt.h"

#include "core/support/status.h"
#include "tools/modelc/commands.h"
#include "tools/modelc/model.h"

namespace modelc {
namespace {

std::vector<std::string> Texts(const po::variables_map& flags, const char* name) {
  return flags.count(name) ? flags[name].as<std::vector<std::string>>() : std::vector<std::string>();
}
bool Set(const po::variables_map& flags, const char* name) { return flags[name].as<bool>(); }

void Declare(po::options_description& options, po::positional_options_description& positional) {
  positional.add("file", 1);
  options.add_options()("file", po::value<std::string>()->default_value("-"), "the IR; - reads standard input")(
      "until", po::value<std::string>()->default_value(""), "run the compiler's passes up to this one, and it")(
      "from", po::value<std::string>()->default_value(""), "start at this pass: the file is at the level before it")(
      "pass-pipeline", po::value<std::string>()->default_value(""),
      "run these passes instead: 'builtin.module(lm-plan,…)'")("config",
                                                               po::value<std::vector<std::string>>()->composing(),
                                                               "a config.json; may be repeated, later ones override")(
      "weights", po::value<std::string>()->default_value(""), "checkpoint folder to check weights against")(
      "manifest", po::value<std::string>()->default_value(""),
      "the backend's manifest; without it: the plugin is asked")(
      "numerics", po::value<std::string>()->default_value("fast"), "reference, deepseek or fast")(
      "attention", po::value<std::string>()->default_value(""), "lm-vary-attention's options")(
      "kv-dtype", po::value<std::string>()->default_value(""), "cache pages: f8, i8, bf16 or f32")(
      "weights-format", po::value<std::string>()->default_value("f8"), "large matrices: f8, bf16, int8 or int4")(
      "generate", po::value<std::string>()->default_value("fused"), "ops to generate, with wildcards")(
      "tuning", po::value<std::string>()->default_value(""), "a record that modelc tune wrote")(
      "max-rows", po::value<int64_t>()->default_value(512), "rows in one step")(
      "max-sequences", po::value<int64_t>()->default_value(64), "sequences in one step")(
      "max-context", po::value<int64_t>()->default_value(0), "tokens a sequence may have; 0: the config's limit")(
      "split-input-file", po::bool_switch(), "the file holds several modules, between lines '// -----'")(
      "verify-diagnostics", po::bool_switch(), "check diagnostics against the file's 'expected-error' comments")(
      "load-pass-plugin", po::value<std::vector<std::string>>()->composing(), "a library with passes; may be repeated")(
      "load-dialect-plugin", po::value<std::vector<std::string>>()->composing(),
      "a library with a dialect; may be repeated")("list-passes", po::bool_switch(), "list the passes there are")(
      "timing", po::bool_switch(), "print the time each pass takes on stderr")(
      "print-ir-after-all", po::bool_switch(), "print the IR after each pass that changed it, on stderr")(
      "crash-reproducer", po::value<std::string>()->default_value(""), "file for the IR and passes that failed")(
      "run-reproducer", po::bool_switch(), "run the passes a reproducer file names");
}

absl::StatusOr<int> Run(const po::variables_map& flags) {
  OptOptions options = {.file = Text(flags, "file"),
                        .from = Text(flags, "from"),
                        .until = Text(flags, "until"),
                        .pass_pipeline = Text(flags, "pass-pipeline"),
                        .weights = Text(flags, "weights"),
                        .manifest = Text(flags, "manifest"),
                        .tuning = Text(flags, "tuning"),
                        .pass_plugins = Texts(flags, "load-pass-plugin"),
                        .dialect_plugins = Texts(flags, "load-dialect-plugin"),
                        .split_input_file = Set(flags, "split-input-file"),
                        .verify_diagnostics = Set(flags, "verify-diagnostics"),
                        .list_passes = Set(flags, "list-passes"),
                        .timing = Set(flags, "timing"),
                        .print_ir_after_all = Set(flags, "print-ir-after-all"),
                        .run_reproducer = Set(flags, "run-reproducer"),
                        .crash_reproducer = Text(flags, "crash-reproducer")};
  CompileOptions& compile = options.compile;
  compile.configs = Texts(flags, "config");
  compile.numerics = Text(flags, "numerics");
  compile.attention = Text(flags, "attention");
  compile.kv_dtype = Text(flags, "kv-dtype");
  compile.weights_format = Text(flags, "weights-format");
  compile.generate = Text(flags, "generate");
  compile.max_rows = flags["max-rows"].as<int64_t>();
  compile.max_sequences = flags["max-sequences"].as<int64_t>();
  compile.max_context = flags["max-context"].as<int64_t>();
  if (!Text(flags, "backend").empty()) compile.backend = Text(flags, "backend");
  options.target = [&]() -> absl::StatusOr<OptOptions::Target> {
    MODELC_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, OpenDevice(flags));
    return OptOptions::Target{std::string(device->manifest()), std::string(device->plugin().name())};
  };
  return RunOpt(options);
}

}  // namespace

const Command kOptCommand = {
    .name = "opt",
    .summary = "run compiler passes over a model file and print the IR",
    .help =
        "usage: modelc opt [FILE] [--from PASS] [--until PASS] [flags]\n\n"
        "Without passes the file is parsed, verified and printed. The output of --until PASS is a file like any "
        "other:\n"
        "edit it and go on with --from the next pass.\n\n"
        "  modelc opt models/v3.2.mlir --until lm-plan\n"
        "  modelc opt planned.mlir --from lm-quantize --until lm-schedule\n"
        "  modelc opt models/v3.2.mlir --until kernel-plan-memory --timing\n",
    .declare = Declare,
    .run = Run,
};

}  // namespace modelc
