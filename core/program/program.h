// The kernel program as plain data: what the compiler makes and the runtime executes, and its file format. Knows
// neither MLIR nor a plugin. Dynamic sizes are the closed set below; everything else is static.
#ifndef MODELC_CORE_PROGRAM_PROGRAM_H_
#define MODELC_CORE_PROGRAM_PROGRAM_H_

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "core/support/dtype.h"

namespace modelc {

// Step-time sizes: T rows (tokens in flight), N rows that want logits, S sequences, P pages per sequence in the page
// table, C longest visible context (tokens), M = T * experts per token.
enum class Size : uint8_t { kT, kN, kS, kP, kC, kM };
inline constexpr int kNumSizes = 6;
using Sizes = std::array<int64_t, kNumSizes>;  // indexed by Size
std::string_view Name(Size);                   // "T" …

// One dimension: a constant, or one step-time size times a constant.
struct Dim {
  int64_t factor = 1;
  bool dynamic = false;
  Size size = Size::kT;
  int64_t at(const Sizes& s) const { return dynamic ? factor * s[static_cast<int>(size)] : factor; }
};

struct Shape {
  DType dtype = DType::kF32;
  std::vector<Dim> dims;
};

// An activation inside the arena. Offsets are planned for the program's limits.
struct Buffer {
  std::string name;
  Shape shape;
  uint64_t offset = 0;  // bytes from the arena's start, 64-byte aligned
  uint64_t bytes = 0;   // at the limits
};

// A weight by checkpoint name. "{layer}" stands for the layer number inside a repeat; "{expert}" stacks the tensors of
// all experts 0…experts-1 along a new first dimension.
struct Weight {
  std::string name;             // "model.layers.{layer}.self_attn.q_a_proj.weight"
  std::string scale;            // "….weight_scale_inv", or empty
  DType dtype = DType::kF32;    // as the checkpoint stores it
  std::vector<int64_t> shape;   // with the expert dimension first where there is one
  int64_t experts = 0;          // 0: no {expert} in the name
  std::optional<DType> format = {};  // bf16, int8 or int4: what it is converted to when it is bound; kernels then get no scales
  DType bound() const { return format.value_or(dtype); }
};

// Values known at compile time (rope inverse frequencies).
struct Constant {
  std::string name;
  std::vector<float> values;
};

// Generated code (plugins/abi/codegen.md).
struct Code {
  std::string description;  // JSON for kernel_load
  std::string image;        // bytes
};

inline constexpr int64_t kPageTokens = 64;  // of every cache (plugins/abi/cache.md)

enum class CacheKind : uint8_t { kLatent, kIndex };

struct Cache {
  CacheKind kind;
  int64_t layers;      // MTP layers included
  int64_t page_bytes;  // of one layer
  std::string format;  // "f8", "i8", "bf16", "f32"
};

// What a launch reads or writes.
struct Operand {
  enum class Kind : uint8_t { kNone, kBuffer, kInput, kWeight, kConstant, kCache };
  Kind kind = Kind::kNone;
  uint32_t index = 0;  // into the program's buffers / weights / constants / caches, or an Input
};

// What the host uploads for a step. kHidden [T, hidden] is an input of the draft entry alone.
enum class Input : uint8_t { kIds, kPos, kSeq, kPages, kWanted, kHidden };

// Runs when every part holds; used to skip scoring where all contexts fit index_topk.
struct Condition {
  enum class When : uint8_t { kAlways, kContextAbove, kContextAtMost };
  When when = When::kAlways;
  int64_t context = 0;  // compared with C
};

// A value people compare, by name: "hidden" (a layer's output), "index_scores", "topk_indices", "expert_weights",
// "experts". `operand` is the number of the launch's operand that holds it.
struct TapPoint {
  std::string name;
  uint32_t operand = 0;
};

struct Launch {
  std::string op;          // row of plugins/abi/ops.md
  std::string kernel;      // manifest name, or "generated"
  std::string attributes;  // JSON object for kernel_resolve
  std::vector<Operand> operands;
  Condition condition;
  std::vector<TapPoint> taps;
  std::string location;    // file:line of the model op, for messages
  std::optional<uint32_t> code = {};  // into the program's code, where it is generated
};

// Runs its launches for layer = first … first + count - 1 ("{layer}" in weights, cache slices).
struct Repeat {
  int64_t first = 0;
  int64_t count = 1;
  std::vector<Launch> launches;
};

// One function of the model. "step": ids → logits [N, V] and hidden [T, hidden] (after the final norm).
// "draft": hidden of t and id of t+1 → logits of t+2 (MTP).
struct Entry {
  std::string name;
  std::vector<Repeat> body;  // single launches are repeats of count 1
  std::map<std::string, uint32_t> outputs;  // "logits", "hidden" → buffer
};

struct Program {
  std::string model;                    // "deepseek_v3_2"
  std::string backend;                  // the plugin it was compiled for
  std::string numerics;                 // "reference", "deepseek", "fast"
  std::map<std::string, double> parameters;  // resolved lm.param values: "hidden_size", "vocab_size", "index_topk" …
  Sizes limits{};                       // largest sizes the arena was planned for
  uint64_t arena_bytes = 0;
  std::vector<Buffer> buffers;
  std::vector<Weight> weights;
  std::vector<Constant> constants;
  std::vector<Code> code;
  std::vector<Cache> caches;
  std::vector<Entry> entries;
  std::string hash;                     // of model, config, manifest, options
  std::string weights_folder;           // checkpoint folder it was built for; empty: named when it runs

  // NotFound names the parameters there are.
  absl::StatusOr<int64_t> Parameter(std::string_view name) const;
  const Entry* FindEntry(std::string_view name) const;
};

// JSON text, stable across runs; Parse validates every index and size it reads, so a damaged file is an error.
std::string Serialize(const Program&);
absl::StatusOr<Program> ParseProgram(std::string_view json);

}  // namespace modelc

#endif  // MODELC_CORE_PROGRAM_PROGRAM_H_
