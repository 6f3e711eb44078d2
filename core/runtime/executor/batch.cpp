#include "core/runtime/executor/batch.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

absl::Status Bad(const char* field, size_t at, int64_t value, int64_t low, int64_t end) {
  return absl::InvalidArgumentError(
      absl::StrCat("step: ", field, "[", at, "] is ", value, "; it must be from ", low, " to ", end - 1));
}

}  // namespace

absl::StatusOr<Sizes> CheckBatch(const StepBatch& batch, const BatchLimits& limits) {
  const size_t rows = batch.ids.size();
  if (rows == 0) return absl::InvalidArgumentError("step: a batch needs at least one row");
  if (batch.pos.size() != rows || batch.seq.size() != rows) {
    return absl::InvalidArgumentError(absl::StrCat("step: ", rows, " ids, ", batch.pos.size(), " pos and ",
                                                   batch.seq.size(), " seq; they must be equally many"));
  }
  if (batch.hidden.size() != rows * limits.hidden) {
    return absl::InvalidArgumentError(
        absl::StrCat("step: ", batch.hidden.size(), " hidden values for ", rows, " rows of ", limits.hidden));
  }
  const int64_t sequences = batch.sequences;
  if (sequences < 0 || (sequences == 0) != batch.pages.empty() || (sequences > 0 && batch.pages.size() % sequences != 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("step: a page table of ", batch.pages.size(), " entries does not divide into ", sequences, " rows"));
  }
  const int64_t pages_per_sequence = sequences == 0 ? 0 : static_cast<int64_t>(batch.pages.size()) / sequences;
  const int64_t max_context = limits.sizes[static_cast<int>(Size::kC)];

  int64_t context = 0;
  std::vector<int64_t> lengths(sequences, 0);  // positions each sequence's rows see
  for (size_t t = 0; t < rows; ++t) {
    const int32_t seq = batch.seq[t];
    if (seq < -1 || seq >= sequences) return Bad("seq", t, seq, -1, sequences);
    if (seq == -1) continue;
    if (batch.ids[t] < 0 || batch.ids[t] >= limits.vocab) return Bad("ids", t, batch.ids[t], 0, limits.vocab);
    const int64_t room = std::min(max_context, pages_per_sequence * kPageTokens);
    if (batch.pos[t] < 0 || batch.pos[t] >= room) return Bad("pos", t, batch.pos[t], 0, room);
    lengths[seq] = std::max(lengths[seq], int64_t{batch.pos[t]} + 1);
    context = std::max(context, lengths[seq]);
  }
  for (int64_t s = 0; s < sequences; ++s) {
    const auto row = batch.pages.subspan(s * pages_per_sequence, (lengths[s] + kPageTokens - 1) / kPageTokens);
    for (size_t p = 0; p < row.size(); ++p) {
      if (row[p] < 0 || row[p] >= limits.pages) return Bad("pages", s * pages_per_sequence + p, row[p], 0, limits.pages);
    }
  }
  for (size_t n = 0; n < batch.wanted.size(); ++n) {
    if (batch.wanted[n] < 0 || static_cast<size_t>(batch.wanted[n]) >= rows) return Bad("wanted", n, batch.wanted[n], 0, rows);
  }

  const int64_t row_limit = limits.sizes[static_cast<int>(Size::kT)];
  const int64_t experts_per_row = row_limit == 0 ? 0 : limits.sizes[static_cast<int>(Size::kM)] / row_limit;
  Sizes sizes{};
  sizes[static_cast<int>(Size::kT)] = static_cast<int64_t>(rows);
  sizes[static_cast<int>(Size::kN)] = static_cast<int64_t>(batch.wanted.size());
  sizes[static_cast<int>(Size::kS)] = sequences;
  sizes[static_cast<int>(Size::kP)] = pages_per_sequence;
  sizes[static_cast<int>(Size::kC)] = context;
  sizes[static_cast<int>(Size::kM)] = static_cast<int64_t>(rows) * experts_per_row;
  for (int i = 0; i < kNumSizes; ++i) {
    if (sizes[i] > limits.sizes[i]) {
      return absl::InvalidArgumentError(absl::StrCat("step: ", Absl(Name(static_cast<Size>(i))), " = ", sizes[i],
                                                     " exceeds the program's limit of ", limits.sizes[i]));
    }
  }
  return sizes;
}

}  // namespace modelc
