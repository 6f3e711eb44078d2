// Holds one trace against another, value by value in the order of computation.
#ifndef MODELC_TOOLS_MODELC_MEASURE_COMPARE_H_
#define MODELC_TOOLS_MODELC_MEASURE_COMPARE_H_

#include <optional>
#include <string>
#include <vector>

#include "tools/modelc/measure/trace.h"

namespace modelc {

// What may differ. Errors are relative: the largest to the largest expected magnitude, the root mean square to the
// expected one's. Not set: reported, not judged.
struct Tolerance {
  std::optional<double> logits_max, logits_rms;   // logits and mtp_logits
  std::optional<double> values_max;               // hidden states, index scores, expert weights
  std::optional<double> choice_margin;            // selections and experts must be equal where the margin exceeds it
};

struct Comparison {
  std::string name;
  int64_t layer = kNoLayer;
  int64_t rows = 0;          // compared
  bool choice = false;       // topk_indices, experts
  double max_error = 0, rms_error = 0;  // of values; infinite where a NaN is
  int64_t differing = 0;     // choices that differ above the margin (all that differ, when not judged)
  int64_t near_ties = 0;     // choices that differ within it
  bool ok = true;
  std::string note;          // why it could not be compared
};

// Every value of `expected` but the margins. One that `got` lacks is not ok, but for selections and scores of steps that
// skip them because every position is visible to the attention anyway; there the expected selection must be that.
std::vector<Comparison> Compare(const Trace& expected, const Trace& got, const Tolerance& tolerance);

// Distance of the last chosen from the first left out of each row, over the row's largest magnitude; infinite where all
// are chosen. `scores` [T, C] with row t seeing columns 0…t.
TracedRows SelectionMargins(const TracedRows& scores, int64_t k);

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_MEASURE_COMPARE_H_
