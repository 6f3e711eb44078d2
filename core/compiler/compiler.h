// From a model file to a kernel program. Free of MLIR: tools use it, and load the compiler when they first call it (see
// library.h).
#ifndef MODELC_CORE_COMPILER_COMPILER_H_
#define MODELC_CORE_COMPILER_COMPILER_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/checkpoint/checkpoint.h"
#include "core/compiler/tuning.h"
#include "core/program/program.h"

namespace modelc {

struct CompileOptions {
  std::vector<std::string> configs;        // config.json texts, later ones override; sizes of the model
  const TensorIndex *checkpoint = nullptr; // checked against when set; else dtypes follow the config's quantization
  std::vector<std::string> extensions;     // libraries with dialects and passes of others (MLIR plugins)
  std::string source_passes;               // run before all others: "lower-research,set-topk{k=7}"
  std::string manifest;                    // the backend's manifest JSON
  std::string backend = "cpu";
  std::string numerics = "fast";  // "reference", "deepseek", "fast"
  std::string attention;          // options of lm-vary-attention, "top=64 window=16"; empty: what the model file says
  std::string generate = "fused"; // ops that run generated code though there is a kernel: "dsa.*,moe.route"
  std::vector<TunedSchedule>
      tuned;              // for ops whose schedule the model file leaves open; device and compiler are not looked at
  std::string kv_dtype;   // "f8", "i8", "bf16", "f32"; empty: f8 for fast, f32 otherwise
  std::string weights_format = "f8"; // of the large matrices: "f8" (as the checkpoint has them), "bf16", "int8", "int4"
  int64_t max_rows = 512; // T the arena is planned for
  int64_t max_sequences = 64;
  int64_t max_context = 0; // tokens; 0: the config's max_position_embeddings
};

// Parses and lowers `model_text` (`file_name` is for messages). Diagnostics come back in the status: one line each,
// file:line:column first.
absl::StatusOr<Program> CompileModel(std::string_view model_text, std::string_view file_name, const CompileOptions &);
absl::StatusOr<Program> CompileModelFile(const std::filesystem::path &file, const CompileOptions &);

// What lm-schedule chose for each op of such a model, ops of one name and shape once: `op`, `shape` and `schedule` are
// set.
absl::StatusOr<std::vector<TunedSchedule>> ScheduledOps(std::string_view model_text, std::string_view file_name,
                                                        const CompileOptions &);

} // namespace modelc

#endif // MODELC_CORE_COMPILER_COMPILER_H_
