#include "tools/modelc/measure/trace.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/checkpoint/checkpoint.h"
#include "core/support/status.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

constexpr float kNotComputed = -std::numeric_limits<float>::infinity();

template <typename T>
void AppendRows(TracedRows& table, std::vector<T>& data, int64_t rows, int64_t columns, absl::Span<const T> values, T fill) {
  const int64_t wide = std::max(table.columns, columns);
  std::vector<T> grown(static_cast<size_t>((table.rows + rows) * wide), fill);
  for (int64_t r = 0; r < table.rows; ++r) {
    std::copy_n(data.begin() + r * table.columns, table.columns, grown.begin() + r * wide);
  }
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(values.begin() + r * columns, columns, grown.begin() + (table.rows + r) * wide);
  }
  data = std::move(grown);
  table.rows += rows;
  table.columns = wide;
}

// Collects tapped values and imposes others on them while an entry runs chunk by chunk: choices, and the hidden states of
// one layer where it is named.
class Recorder {
 public:
  Recorder(Trace& trace, const Imposed* imposed, int64_t hidden_layer)
      : trace_(trace), imposed_(imposed), hidden_layer_(hidden_layer) {}

  void StartChunk(int64_t first_row) { first_row_ = first_row; }

  // A Tap.
  bool operator()(TapValue& value) {
    const int64_t columns = value.shape.size() < 2 ? 1 : value.shape.back();
    const int64_t rows = value.shape[0];
    Record({std::string(value.name), value.layer}, value.dtype, rows, columns, value.bytes.data());
    return imposed_ != nullptr && Impose(value, rows, columns);
  }

  void Record(const ValueKey& key, DType dtype, int64_t rows, int64_t columns, const void* data) {
    auto [it, added] = trace_.values.try_emplace(key);
    if (added) trace_.order.push_back(key);
    it->second.dtype = dtype;
    if (it->second.rows < first_row_) FillSkipped(it->second);
    const size_t count = rows * columns;
    if (dtype == DType::kI32) {
      it->second.Append(rows, columns, absl::MakeConstSpan(static_cast<const int32_t*>(data), count));
    } else {
      it->second.Append(rows, columns, absl::MakeConstSpan(static_cast<const float*>(data), count));
    }
  }

 private:
  // Steps whose context fits index_topk neither score nor select: their rows attend to every position they see.
  void FillSkipped(TracedRows& table) {
    while (table.rows < first_row_) {
      if (table.dtype == DType::kF32) {
        table.Append(1, 1, absl::MakeConstSpan(&kNotComputed, 1));
        continue;
      }
      std::vector<int32_t> all(table.rows + 1);
      std::iota(all.begin(), all.end(), 0);
      table.Append(1, all.size(), all);
    }
  }

  bool Impose(TapValue& value, int64_t rows, int64_t columns) {
    const bool selection = value.name == "topk_indices", routing = value.name == "experts" || value.name == "expert_weights";
    const bool hidden = value.name == "hidden" && value.layer == hidden_layer_;
    const TracedRows* wanted = imposed_->from.Find(std::string(value.name), value.layer);
    if (wanted == nullptr || !(selection || routing || hidden)) return false;
    const TracedRows* margins =
        hidden ? nullptr : imposed_->from.Find(selection ? "topk_margin" : "expert_margin", value.layer);
    bool changed = false;
    for (int64_t r = 0; r < rows && first_row_ + r < wanted->rows; ++r) {
      const int64_t row = first_row_ + r;
      if (margins != nullptr && margins->floats[row] > imposed_->margin) continue;
      const size_t row_bytes = columns * ByteSize(value.dtype);
      std::byte* to = value.bytes.data() + r * row_bytes;
      const size_t count = std::min(columns, wanted->columns);
      if (value.dtype == DType::kI32) {
        std::memset(to, 0xff, row_bytes);  // -1
        std::memcpy(to, wanted->IntRow(row).data(), count * sizeof(int32_t));
      } else {
        std::memcpy(to, wanted->FloatRow(row).data(), count * sizeof(float));
      }
      changed = true;
    }
    return changed;
  }

  Trace& trace_;
  const Imposed* imposed_;
  const int64_t hidden_layer_;
  int64_t first_row_ = 0;
};

struct Rows {
  std::vector<int32_t> ids;
  std::vector<float> hidden;  // per row, for the draft entry
};

// All rows of one sequence through an entry. Returns the final hidden states where the entry gives them.
absl::StatusOr<std::vector<float>> RunEntry(Executor& executor, std::string_view entry, const std::string& logits_name,
                                            const Rows& rows, Trace& trace, const Imposed* imposed,
                                            int64_t hidden_layer = kNoLayer) {
  const Sizes& limits = executor.program().limits;
  const int64_t total = rows.ids.size();
  const int64_t chunk = std::min(limits[static_cast<int>(Size::kT)], limits[static_cast<int>(Size::kN)]);
  if (chunk < 1) return absl::InvalidArgumentError("the program allows no row with logits");
  MODELC_ASSIGN_OR_RETURN(const int64_t width, executor.program().Parameter("hidden_size"));
  MODELC_ASSIGN_OR_RETURN(const int64_t vocab, executor.program().Parameter("vocab_size"));
  std::vector<int32_t> pages(SequencePages(total));
  std::iota(pages.rbegin(), pages.rend(), 0);  // backwards: a page's number is not its place
  std::vector<float> final_hidden;
  Recorder record(trace, imposed, hidden_layer);
  for (int64_t first = 0; first < total; first += chunk) {
    const int64_t count = std::min(chunk, total - first);
    std::vector<int32_t> pos(count), seq(count, 0), wanted(count);
    std::iota(pos.begin(), pos.end(), static_cast<int32_t>(first));
    std::iota(wanted.begin(), wanted.end(), 0);
    StepBatch batch;
    batch.ids = absl::MakeConstSpan(rows.ids).subspan(first, count);
    batch.pos = pos;
    batch.seq = seq;
    batch.pages = pages;
    batch.sequences = 1;
    batch.wanted = wanted;
    if (!rows.hidden.empty()) batch.hidden = absl::MakeConstSpan(rows.hidden).subspan(first * width, count * width);
    record.StartChunk(first);
    MODELC_ASSIGN_OR_RETURN(const StepOutput out, executor.RunWithTaps(entry, batch, std::ref(record)));
    record.Record({logits_name, kNoLayer}, DType::kF32, count, vocab, out.logits.data());
    final_hidden.insert(final_hidden.end(), out.hidden.begin(), out.hidden.end());
  }
  return final_hidden;
}

int64_t LastHiddenLayer(const Trace& trace) {
  int64_t last = kNoLayer;
  for (const auto& [key, rows] : trace.values) {
    if (key.first == "hidden") last = std::max(last, key.second);
  }
  return last;
}

}  // namespace

void TracedRows::Append(int64_t count, int64_t width, absl::Span<const float> values) {
  AppendRows(*this, floats, count, width, values, kNotComputed);
}
void TracedRows::Append(int64_t count, int64_t width, absl::Span<const int32_t> values) {
  AppendRows(*this, ints, count, width, values, int32_t{-1});
}

const TracedRows* Trace::Find(const std::string& name, int64_t layer) const {
  const auto it = values.find({name, layer});
  return it == values.end() ? nullptr : &it->second;
}

absl::StatusOr<Golden> LoadGolden(const std::filesystem::path& dir, const std::string& file) {
  Golden golden;
  MODELC_ASSIGN_OR_RETURN(const auto inputs, Checkpoint::OpenFile(dir / "inputs.safetensors"));
  MODELC_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, inputs->ReadInts("input_ids"));
  for (int64_t id : ids) {
    if (id < 0 || id > std::numeric_limits<int32_t>::max()) {
      return absl::InvalidArgumentError(absl::StrCat("'", (dir / "inputs.safetensors").string(), "': id ", id, " is no token"));
    }
    golden.ids.push_back(static_cast<int32_t>(id));
  }
  if (golden.ids.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("'", (dir / "inputs.safetensors").string(), "' holds no tokens"));
  }
  MODELC_ASSIGN_OR_RETURN(const auto tensors, Checkpoint::OpenFile(dir / file));
  for (const auto& [name, info] : tensors->index()) {
    // "hidden.3" is the value "hidden" of layer 3.
    ValueKey key{name, kNoLayer};
    if (const size_t dot = name.rfind('.'); dot != name.npos) {
      if (!absl::SimpleAtoi(Absl(std::string_view(name).substr(dot + 1)), &key.second)) {
        return absl::InvalidArgumentError(absl::StrCat("'", (dir / file).string(), "': tensor '", name, "' names no layer"));
      }
      key.first = name.substr(0, dot);
    }
    if (info.shape.empty() || info.shape.size() > 2) {
      return absl::InvalidArgumentError(absl::StrCat("'", (dir / file).string(), "': tensor '", name, "' is not one row a token"));
    }
    const int64_t columns = info.shape.size() == 2 ? info.shape[1] : 1;
    TracedRows& rows = golden.trace.values[key];
    if (info.dtype == DType::kI32) {
      rows.dtype = DType::kI32;
      MODELC_ASSIGN_OR_RETURN(const std::vector<int64_t> wide, tensors->ReadInts(name));
      rows.Append(info.shape[0], columns, std::vector<int32_t>(wide.begin(), wide.end()));
    } else {
      MODELC_ASSIGN_OR_RETURN(const std::vector<float> values, tensors->ReadFloats(name));
      rows.Append(info.shape[0], columns, values);
    }
  }
  if (golden.trace.Find("logits", kNoLayer) == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("'", (dir / file).string(), "' holds no logits"));
  }
  return golden;
}

absl::StatusOr<Trace> RunTrace(Executor& executor, absl::Span<const int32_t> ids, const Imposed* imposed) {
  Trace trace;
  Rows rows{{ids.begin(), ids.end()}, {}};
  MODELC_ASSIGN_OR_RETURN(std::vector<float> hidden, RunEntry(executor, "step", "logits", rows, trace, imposed));
  if (executor.program().FindEntry("draft") == nullptr || ids.size() < 2) return trace;
  if (imposed != nullptr && imposed->hidden) {
    // The decoder's result is known before the final norm: the step runs once more, from there on with that.
    Trace ignored;
    const int64_t last = LastHiddenLayer(trace);
    MODELC_ASSIGN_OR_RETURN(hidden, RunEntry(executor, "step", "logits", rows, ignored, imposed, last));
  }
  MODELC_ASSIGN_OR_RETURN(const int64_t width, executor.program().Parameter("hidden_size"));
  if (hidden.size() != ids.size() * width) {
    return absl::InternalError("the step entry gave no hidden states for the draft entry");
  }
  // Row t drafts from the hidden state of t and the token after it.
  rows.ids.erase(rows.ids.begin());
  hidden.resize(hidden.size() - width);
  rows.hidden = std::move(hidden);
  MODELC_RETURN_IF_ERROR(RunEntry(executor, "draft", "mtp_logits", rows, trace, imposed).status());
  return trace;
}

}  // namespace modelc
