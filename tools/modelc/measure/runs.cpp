#include "tools/modelc/measure/runs.h"

#include <algorithm>
#include <chrono>
#include <numeric>

#include "core/support/status.h"

namespace modelc {
namespace {

// `count` sequences' page tables: one after another through the cache.
std::vector<int32_t> PageTable(int64_t first_sequence, int64_t count, int64_t pages_each) {
  std::vector<int32_t> pages(count * pages_each);
  std::iota(pages.begin(), pages.end(), static_cast<int32_t>(first_sequence * pages_each));
  return pages;
}

// Rows of sequence s of a step.
int64_t RowsOf(const Sizes& sizes, int64_t s) {
  const int64_t rows = sizes[static_cast<int>(Size::kT)], sequences = sizes[static_cast<int>(Size::kS)];
  return rows * (s + 1) / sequences - rows * s / sequences;
}

}  // namespace

int64_t SequencePages(int64_t tokens) { return std::max<int64_t>(1, (tokens + kPageTokens - 1) / kPageTokens); }

Sizes StepSizes(const Program& program, int64_t rows, int64_t sequences, int64_t context) {
  Sizes sizes{};
  const auto set = [&](Size size, int64_t value) { sizes[static_cast<int>(size)] = value; };
  const auto limit = [&](Size size) { return program.limits[static_cast<int>(size)]; };
  set(Size::kT, rows);
  set(Size::kN, sequences);
  set(Size::kS, sequences);
  set(Size::kP, SequencePages(context));
  set(Size::kC, context);
  set(Size::kM, rows * (limit(Size::kM) / limit(Size::kT)));
  return sizes;
}

double Timing::median() const {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const size_t n = sorted.size();
  return n == 0 ? 0 : n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}
double Timing::min() const { return seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end()); }
double Timing::max() const { return seconds.empty() ? 0 : *std::max_element(seconds.begin(), seconds.end()); }

Runs::Runs(Executor& executor)
    : executor_(executor), chunk_(std::max<int64_t>(1, executor.program().limits[static_cast<int>(Size::kT)])) {}

int64_t Runs::PrefillPages(int64_t depth, int64_t tokens) { return SequencePages(depth + tokens); }
int64_t Runs::DecodePages(int64_t depth, int64_t batch) { return batch * SequencePages(depth + kDecodeSteps); }

std::vector<int32_t> Runs::RandomIds(int64_t count) {
  const int64_t vocab = executor_.program().Parameter("vocab_size").value_or(1);
  std::uniform_int_distribution<int32_t> id(0, static_cast<int32_t>(vocab - 1));
  std::vector<int32_t> ids(count);
  for (int32_t& i : ids) i = id(random_);
  return ids;
}

absl::Status Runs::FillSequence(int64_t sequence, int64_t begin, int64_t end, int64_t pages_each, bool want_last) {
  const std::vector<int32_t> pages = PageTable(sequence, 1, pages_each);
  for (int64_t first = begin; first < end; first += chunk_) {
    const int64_t count = std::min(chunk_, end - first);
    const std::vector<int32_t> ids = RandomIds(count), seq(count, 0);
    std::vector<int32_t> pos(count);
    std::iota(pos.begin(), pos.end(), static_cast<int32_t>(first));
    const int32_t last = static_cast<int32_t>(count - 1);
    const bool want = want_last && first + count == end;
    MODELC_RETURN_IF_ERROR(
        executor_.Run("step", {ids, pos, seq, pages, 1, absl::MakeConstSpan(&last, want ? 1 : 0), {}}).status());
  }
  return absl::OkStatus();
}

absl::Status Runs::DecodeSteps(int64_t depth, int64_t batch, int64_t pages_each) {
  const std::vector<int32_t> pages = PageTable(0, batch, pages_each);
  std::vector<int32_t> rows(batch);
  std::iota(rows.begin(), rows.end(), 0);
  for (int64_t step = 0; step < kDecodeSteps; ++step) {
    const std::vector<int32_t> ids = RandomIds(batch), pos(batch, static_cast<int32_t>(depth + step));
    MODELC_RETURN_IF_ERROR(executor_.Run("step", {ids, pos, rows, pages, batch, rows, {}}).status());
  }
  return absl::OkStatus();
}

template <typename Part>
absl::StatusOr<TimedRun> Runs::Time(int repeat, Part&& part) {
  TimedRun run;
  MODELC_RETURN_IF_ERROR(part());  // pages weights in, sizes scratch memory
  for (int i = 0; i < repeat; ++i) {
    MODELC_RETURN_IF_ERROR(executor_.ReadCounters().status());  // starts them anew
    const auto start = std::chrono::steady_clock::now();
    MODELC_RETURN_IF_ERROR(part());
    run.timing.seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    MODELC_ASSIGN_OR_RETURN(run.read, executor_.ReadCounters());
  }
  return run;
}

absl::StatusOr<TimedRun> Runs::Prefill(int64_t depth, int64_t tokens, int repeat) {
  const int64_t pages = PrefillPages(depth, tokens);
  MODELC_RETURN_IF_ERROR(FillSequence(0, 0, depth, pages, /*want_last=*/false));
  // Every repetition writes the same positions again, so the depth stays.
  return Time(repeat, [&] { return FillSequence(0, depth, depth + tokens, pages, /*want_last=*/true); });
}

absl::StatusOr<TimedRun> Runs::Decode(int64_t depth, int64_t batch, int repeat) {
  const int64_t pages_each = DecodePages(depth, 1);
  for (int64_t sequence = 0; sequence < batch; ++sequence) {
    MODELC_RETURN_IF_ERROR(FillSequence(sequence, 0, depth, pages_each, /*want_last=*/false));
  }
  return Time(repeat, [&] { return DecodeSteps(depth, batch, pages_each); });
}

int64_t Runs::LaunchPages(const Sizes& sizes) {
  return sizes[static_cast<int>(Size::kS)] * SequencePages(sizes[static_cast<int>(Size::kC)]);
}

absl::Status Runs::Fill(const Sizes& sizes) {
  const int64_t context = sizes[static_cast<int>(Size::kC)];
  for (int64_t s = 0; s < sizes[static_cast<int>(Size::kS)]; ++s) {
    MODELC_RETURN_IF_ERROR(FillSequence(s, 0, context - RowsOf(sizes, s), SequencePages(context), /*want_last=*/false));
  }
  return absl::OkStatus();
}

absl::StatusOr<LaunchSeconds> Runs::Launches(std::string_view entry, const Sizes& sizes, int repeat) {
  const int64_t rows = sizes[static_cast<int>(Size::kT)], sequences = sizes[static_cast<int>(Size::kS)];
  const int64_t context = sizes[static_cast<int>(Size::kC)], pages_each = SequencePages(context);
  const std::vector<int32_t> pages = PageTable(0, sequences, pages_each), ids = RandomIds(rows);
  std::vector<int32_t> pos, seq, wanted;
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t count = RowsOf(sizes, s);
    for (int64_t i = 0; i < count; ++i) {
      pos.push_back(static_cast<int32_t>(context - count + i));
      seq.push_back(static_cast<int32_t>(s));
    }
    wanted.push_back(static_cast<int32_t>(pos.size() - 1));
  }
  std::vector<float> hidden;
  if (entry == "draft") {
    MODELC_ASSIGN_OR_RETURN(const int64_t width, executor_.program().Parameter("hidden_size"));
    hidden.resize(rows * width);
  }
  const StepBatch batch{ids, pos, seq, pages, sequences, wanted, hidden};
  std::map<const Launch*, Timing> timings;
  for (int i = -1; i < repeat; ++i) {  // the first pages weights in
    LaunchSeconds step;
    MODELC_RETURN_IF_ERROR(executor_.RunTimed(entry, batch, [&](const Launch& launch, int64_t, double seconds) {
      step[&launch] += seconds;
    }).status());
    if (i >= 0)
      for (const auto& [launch, seconds] : step) timings[launch].seconds.push_back(seconds);
  }
  LaunchSeconds out;
  for (const auto& [launch, timing] : timings) out[launch] = timing.median();
  return out;
}

}  // namespace modelc
