#include "tests/unit/runtime/fake_model.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/runtime/cache/page_cache.h"

namespace modelc {
namespace {

constexpr uint32_t kStart = 0x12345u;

uint32_t Fold(uint32_t state, int32_t id) {
  uint32_t h = (state ^ static_cast<uint32_t>(id + 1)) * 0x9e3779b1u;
  h ^= h >> 15;
  h *= 0x85ebca77u;
  return h ^ (h >> 13);
}

std::vector<float> LogitsOf(uint32_t state, int64_t vocab) {
  std::vector<float> logits(vocab);
  for (int64_t i = 0; i < vocab; ++i)
    logits[i] = static_cast<float>(Fold(state, static_cast<int32_t>(i + 1000)) >> 8) / (1 << 21);
  return logits;
}

constexpr int64_t kHidden = 2;  // the state's halves, exact as floats

class FakeModel final : public StepRunner {
 public:
  FakeModel(const FakeOptions& options, FakeLog* log)
      : options_(options), log_(log), ids_(options.pages * kPageTokens, -1), states_(options.pages * kPageTokens) {
    program_.parameters = {{"vocab_size", options.vocab}, {"hidden_size", kHidden}};
    program_.limits = {options.max_rows,    options.max_rows, options.max_sequences, PagesFor(options.max_context),
                       options.max_context, options.max_rows};
    program_.entries.push_back({"step", {}, {}});
    if (options.draft_entry) program_.entries.push_back({"draft", {}, {}});
  }
  const Program& program() const override { return program_; }
  int64_t pages() const override { return options_.pages; }
  absl::StatusOr<Device::Counters> ReadCounters() override { return Device::Counters{7, 3}; }

  absl::StatusOr<StepOutput> Run(std::string_view entry, const StepBatch& b) override {
    absl::MutexLock lock(&log_->mutex);
    if (log_->before) {
      if (absl::Status status = log_->before(entry, b); !status.ok()) return status;
    }
    CheckBatch(b);
    logits_.clear();
    hidden_.clear();
    return entry == "draft" ? Draft(b) : Step(b);
  }

 private:
  void Mistake(const std::string& what) { log_->mistakes.push_back(what); }

  void CheckBatch(const StepBatch& b) {
    const int64_t t = b.ids.size();
    if (t == 0 || t > options_.max_rows) Mistake(absl::StrCat(t, " rows"));
    if (b.sequences < 1 || b.sequences > options_.max_sequences) Mistake(absl::StrCat(b.sequences, " sequences"));
    if (static_cast<int64_t>(b.pos.size()) != t || static_cast<int64_t>(b.seq.size()) != t) Mistake("sizes differ");
    std::set<std::pair<int32_t, int32_t>> seen;
    for (int64_t i = 0; i < t; ++i) {
      if (!seen.insert({b.seq[i], b.pos[i]}).second) Mistake(absl::StrCat("position ", b.pos[i], " twice"));
      if (b.pos[i] < 0 || b.pos[i] >= options_.max_context) Mistake(absl::StrCat("position ", b.pos[i]));
    }
    for (int32_t w : b.wanted)
      if (w < 0 || w >= t) Mistake(absl::StrCat("wants row ", w));
  }

  // Where a row's position lives; the kernels' rule.
  int64_t Place(const StepBatch& b, int32_t seq, int64_t pos) {
    const int64_t width = b.pages.size() / b.sequences;
    const int32_t page = pos / kPageTokens < width ? b.pages[seq * width + pos / kPageTokens] : -1;
    if (page < 0 || page >= options_.pages) {
      Mistake(absl::StrCat("no page for position ", pos));
      return 0;
    }
    return page * kPageTokens + pos % kPageTokens;
  }

  absl::StatusOr<StepOutput> Step(const StepBatch& b) {
    log_->step_rows += b.ids.size();
    ++log_->steps;
    for (size_t i = 0; i < b.ids.size(); ++i) ids_[Place(b, b.seq[i], b.pos[i])] = b.ids[i];
    std::vector<uint32_t> state(b.ids.size(), kStart);
    for (size_t i = 0; i < b.ids.size(); ++i) {
      for (int64_t p = 0; p <= b.pos[i]; ++p) state[i] = Fold(state[i], ids_[Place(b, b.seq[i], p)]);
      hidden_.push_back(static_cast<float>(state[i] >> 16));
      hidden_.push_back(static_cast<float>(state[i] & 0xffff));
    }
    for (int32_t w : b.wanted) AddLogits(state[w]);
    return StepOutput{logits_, hidden_};
  }

  // Knows the right answer, and errs where its hash says so or where its own cache has a hole.
  absl::StatusOr<StepOutput> Draft(const StepBatch& b) {
    log_->draft_rows += b.ids.size();
    std::vector<uint32_t> state(b.ids.size());
    for (size_t i = 0; i < b.ids.size(); ++i) {
      state[i] = static_cast<uint32_t>(b.hidden[i * kHidden]) << 16 | static_cast<uint32_t>(b.hidden[i * kHidden + 1]);
      states_[Place(b, b.seq[i], b.pos[i])] = state[i];
    }
    for (int32_t w : b.wanted) {
      uint32_t expected = kStart;
      for (int64_t p = 0; p <= b.pos[w]; ++p) {
        expected = Fold(expected, ids_[Place(b, b.seq[w], p)]);
        if (states_[Place(b, b.seq[w], p)] != expected) {
          Mistake(absl::StrCat("draft cache: position ", p, " of ", b.pos[w] + 1, " is not filled"));
          break;
        }
      }
      const uint32_t next = Fold(state[w], b.ids[w]);
      AddLogits(static_cast<int>(next % 8) < options_.draft_misses_of_8 ? ~next : next);
    }
    return StepOutput{logits_, {}};
  }

  void AddLogits(uint32_t state) {
    const std::vector<float> row = LogitsOf(state, options_.vocab);
    logits_.insert(logits_.end(), row.begin(), row.end());
  }

  const FakeOptions options_;
  FakeLog* const log_;
  Program program_;
  std::vector<int32_t> ids_;      // [page, token]: the main layers' cache
  std::vector<uint32_t> states_;  // [page, token]: the draft layer's
  std::vector<float> logits_, hidden_;
};

}  // namespace

std::vector<float> FakeLogits(const FakeOptions& options, absl::Span<const int32_t> ids) {
  uint32_t state = kStart;
  for (int32_t id : ids) state = Fold(state, id);
  return LogitsOf(state, options.vocab);
}

int32_t FakeNext(const FakeOptions& options, absl::Span<const int32_t> ids) {
  const std::vector<float> logits = FakeLogits(options, ids);
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

std::unique_ptr<StepRunner> NewFake(const FakeOptions& options, FakeLog* log) {
  return std::make_unique<FakeModel>(options, log);
}

}  // namespace modelc
