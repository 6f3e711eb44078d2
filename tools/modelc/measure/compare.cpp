#include "tools/modelc/measure/compare.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace modelc {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool IsMargin(const std::string& name) { return name == "topk_margin" || name == "expert_margin"; }
bool IsChoice(const std::string& name) { return name == "topk_indices" || name == "experts"; }
bool IsLogits(const std::string& name) { return name == "logits" || name == "mtp_logits"; }

// A row of choices without the -1s that fill it up.
absl::Span<const int32_t> Chosen(absl::Span<const int32_t> row) {
  return row.first(std::find(row.begin(), row.end(), -1) - row.begin());
}

// Whether every row of a selection is all it sees: 0…t.
bool SelectsEverything(const TracedRows& selection) {
  for (int64_t t = 0; t < selection.rows; ++t) {
    const auto row = Chosen(selection.IntRow(t));
    if (static_cast<int64_t>(row.size()) != t + 1) return false;
    for (int64_t i = 0; i <= t; ++i) {
      if (row[i] != i) return false;
    }
  }
  return true;
}

void CompareChoices(const TracedRows& expected, const TracedRows& got, const TracedRows* margins,
                    const std::optional<double>& margin, Comparison& out) {
  for (int64_t row = 0; row < expected.rows; ++row) {
    if (Chosen(expected.IntRow(row)) == Chosen(got.IntRow(row))) continue;
    const bool near = margin && margins != nullptr && row < margins->rows && !(margins->floats[row] > *margin);
    ++(near ? out.near_ties : out.differing);
  }
  if (margin && out.differing > 0) out.ok = false;
}

// Scores are -infinity where nothing was computed: in `expected` those of positions a row does not see, in `got` besides
// all of a row whose step skipped scoring.
void CompareValues(const TracedRows& expected, const TracedRows& got, Comparison& out) {
  double largest = 0, worst = 0, error_squares = 0, squares = 0;
  for (int64_t row = 0; row < expected.rows; ++row) {
    const auto want = expected.FloatRow(row), have = got.FloatRow(row);
    if (out.name == "index_scores" && have[0] == -kInfinity) continue;
    for (int64_t c = 0; c < expected.columns; ++c) {
      if (want[c] == -kInfinity) continue;
      double error = std::fabs(static_cast<double>(have[c]) - want[c]);
      if (!std::isfinite(error)) error = kInfinity;
      worst = std::max(worst, error);
      largest = std::max(largest, std::fabs(static_cast<double>(want[c])));
      error_squares += error * error;
      squares += static_cast<double>(want[c]) * want[c];
    }
  }
  out.max_error = worst == 0 ? 0 : worst / largest;
  out.rms_error = error_squares == 0 ? 0 : std::sqrt(error_squares / squares);
}

bool Within(double error, const std::optional<double>& limit) { return !limit || error <= *limit; }

Comparison CompareOne(const ValueKey& key, const TracedRows& expected, const Trace& expected_trace, const Trace& got_trace,
                      const Tolerance& tolerance) {
  const auto& [name, layer] = key;
  Comparison out;
  out.name = name;
  out.layer = layer;
  out.rows = expected.rows;
  out.choice = IsChoice(name);
  const auto fail = [&](std::string note) {
    out.ok = false;
    out.note = std::move(note);
    return out;
  };
  const TracedRows* got = got_trace.Find(name, layer);
  if (got == nullptr) {
    out.rows = 0;
    if (name == "index_scores") {
      out.note = "not computed";
      return out;
    }
    if (name == "topk_indices" && SelectsEverything(expected)) {
      out.note = "all positions, selection skipped";
      return out;
    }
    return fail("the model does not give it");
  }
  if (got->dtype != expected.dtype) return fail("other element type");
  if (got->rows != expected.rows) return fail(absl::StrCat("has ", got->rows, " rows, expected ", expected.rows));
  if (out.choice) {
    CompareChoices(expected, *got, expected_trace.Find(name == "experts" ? "expert_margin" : "topk_margin", layer),
                   tolerance.choice_margin, out);
    return out;
  }
  if (got->columns < expected.columns) return fail(absl::StrCat("has ", got->columns, " columns, expected ", expected.columns));
  CompareValues(expected, *got, out);
  out.ok = std::isfinite(out.max_error) && (IsLogits(name) ? Within(out.max_error, tolerance.logits_max) &&
                                                                 Within(out.rms_error, tolerance.logits_rms)
                                                           : Within(out.max_error, tolerance.values_max));
  return out;
}

}  // namespace

std::vector<Comparison> Compare(const Trace& expected, const Trace& got, const Tolerance& tolerance) {
  std::vector<Comparison> out;
  for (const ValueKey& key : got.order) {
    const TracedRows* want = expected.Find(key.first, key.second);
    if (want != nullptr) out.push_back(CompareOne(key, *want, expected, got, tolerance));
  }
  for (const auto& [key, want] : expected.values) {
    // A single token drafts nothing: its golden has such values with no rows.
    if (!IsMargin(key.first) && want.rows > 0 && got.Find(key.first, key.second) == nullptr) {
      out.push_back(CompareOne(key, want, expected, got, tolerance));
    }
  }
  return out;
}

TracedRows SelectionMargins(const TracedRows& scores, int64_t k) {
  std::vector<float> margins;
  for (int64_t t = 0; t < scores.rows; ++t) {
    const auto row = scores.FloatRow(t).first(std::min(t + 1, scores.columns));
    std::vector<float> sorted(row.begin(), row.end());
    if (static_cast<int64_t>(sorted.size()) <= k) {
      margins.push_back(kInfinity);
      continue;
    }
    std::partial_sort(sorted.begin(), sorted.begin() + k + 1, sorted.end(), std::greater<>());
    float largest = 0;
    for (float score : row) largest = std::max(largest, std::fabs(score));
    margins.push_back(largest == 0 ? 0 : (sorted[k - 1] - sorted[k]) / largest);
  }
  TracedRows out;
  out.Append(scores.rows, 1, margins);
  return out;
}

}  // namespace modelc
