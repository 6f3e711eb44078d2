// What a model computes on given tokens, value by value: run on a device, or read from a golden folder
// (tests/golden/README.md).
#ifndef MODELC_TOOLS_MODELC_MEASURE_TRACE_H_
#define MODELC_TOOLS_MODELC_MEASURE_TRACE_H_

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/runtime/executor/executor.h"
#include "tools/modelc/measure/runs.h"

namespace modelc {

// A row per token. Rows that came with fewer columns are filled up: with -infinity, or -1.
struct TracedRows {
  DType dtype = DType::kF32;  // f32 or i32
  int64_t rows = 0, columns = 0;
  std::vector<float> floats;
  std::vector<int32_t> ints;

  void Append(int64_t rows, int64_t columns, absl::Span<const float> values);
  void Append(int64_t rows, int64_t columns, absl::Span<const int32_t> values);
  absl::Span<const float> FloatRow(int64_t row) const { return {floats.data() + row * columns, static_cast<size_t>(columns)}; }
  absl::Span<const int32_t> IntRow(int64_t row) const { return {ints.data() + row * columns, static_cast<size_t>(columns)}; }
};

inline constexpr int64_t kNoLayer = -1;

// A value's name and layer: {"hidden", 3}; {"logits", kNoLayer}, {"mtp_logits", kNoLayer}.
using ValueKey = std::pair<std::string, int64_t>;

struct Trace {
  std::map<ValueKey, TracedRows> values;
  std::vector<ValueKey> order;  // of computation; empty for what was read from a file

  const TracedRows* Find(const std::string& name, int64_t layer) const;
};

struct Golden {
  std::vector<int32_t> ids;
  Trace trace;  // besides the values: "topk_margin" and "expert_margin", one column
};

// Reads `inputs.safetensors` and `file` of a golden folder. Errors name the file and the tensor.
absl::StatusOr<Golden> LoadGolden(const std::filesystem::path& dir, const std::string& file);

// What a run takes from elsewhere, so that one rounding does not change everything after it: the choices of `from` in rows
// whose margin there is at most `margin`, and with `hidden` the decoder's result as the draft entry's input.
struct Imposed {
  const Trace& from;
  float margin = std::numeric_limits<float>::infinity();
  bool hidden = false;
};

// Runs `ids` as one sequence from position 0, in chunks as large as the program's limits allow, then its draft entry if
// it has one, on the hidden states the model computed. The cache needs SequencePages(ids) pages. The trace holds each value
// as computed, before one is imposed.
absl::StatusOr<Trace> RunTrace(Executor& executor, absl::Span<const int32_t> ids, const Imposed* imposed);

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MEASURE_TRACE_H_
