#include "tools/modelc/measure/quality.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "nlohmann/json.hpp"
#include "tools/modelc/measure/trace.h"

namespace modelc {
namespace {

// Names of taps; a dot keeps them apart from a model file's.
constexpr std::string_view kLatent = "attention.latent", kKey = "attention.key", kQueryLatent = "attention.query_latent",
                           kQueryRope = "attention.query_rope", kSelected = "attention.selected",
                           kOut = "attention.out";

// What attends to latents, with queries in their space.
bool AttendsLatents(const Launch& launch) { return launch.op == "mla.attend_latent" || launch.op == "mla.attend_parts"; }

double ScaleOf(const Program& program) {
  for (const Repeat& repeat : program.FindEntry("step")->body) {
    for (const Launch& launch : repeat.launches) {
      if (!AttendsLatents(launch)) continue;
      const nlohmann::json attributes = nlohmann::json::parse(launch.attributes, nullptr, /*allow_exceptions=*/false);
      return attributes.is_object() ? attributes.value("scale", 1.0) : 1.0;
    }
  }
  return 1.0;
}

struct Matrix {
  int64_t width = 0;
  std::vector<float> values;
  const float* row(int64_t r) const { return values.data() + r * width; }
};

// Sees a sequence chunk by chunk and sums up the mass on selected positions for rows from `first_row` on.
class MassTap {
 public:
  MassTap(double scale, int64_t first_row, Quality& quality) : scale_(scale), first_row_(first_row), quality_(quality) {}

  void StartChunk(int64_t first) { chunk_ = first; }

  bool operator()(TapValue& value) {
    if (value.name == kLatent) Append(latents_[value.layer], value);
    if (value.name == kKey) Append(keys_[value.layer], value);
    if (value.name == kQueryLatent) Take(query_latent_, value);
    if (value.name == kQueryRope) Take(query_rope_, value);
    if (value.name == kSelected) {
      selected_.resize(value.bytes.size() / sizeof(int32_t));
      std::memcpy(selected_.data(), value.bytes.data(), value.bytes.size());
      columns_ = value.shape[1];
    }
    if (value.name == kOut) {  // the last tap of an attention launch
      Sum(value.layer, value.shape[0], value.shape[1]);
      selected_.clear();
    }
    return false;
  }

 private:
  static void Append(Matrix& matrix, const TapValue& value) {
    const size_t old = matrix.values.size();
    matrix.width = value.shape[1];
    matrix.values.resize(old + value.bytes.size() / sizeof(float));
    std::memcpy(matrix.values.data() + old, value.bytes.data(), value.bytes.size());
  }
  static void Take(Matrix& matrix, const TapValue& value) {
    matrix.values.clear();
    Append(matrix, value);
    matrix.width = value.shape[2];
  }

  void Sum(int64_t layer, int64_t rows, int64_t heads) {
    for (int64_t r = std::max<int64_t>(0, first_row_ - chunk_); r < rows; ++r) {
      for (int64_t h = 0; h < heads; ++h) {
        quality_.mass += selected_.empty() ? 1.0 : Share(layer, chunk_ + r, r * heads + h, selected_.data() + r * columns_);
        ++quality_.masses;
      }
    }
  }

  double Share(int64_t layer, int64_t pos, int64_t query, const int32_t* selected) {
    const Matrix &latents = latents_[layer], &keys = keys_[layer];
    const auto dot = [](const float* a, const float* b, int64_t n) { return std::inner_product(a, a + n, b, 0.0f); };
    std::vector<double> weights(pos + 1);
    for (int64_t p = 0; p <= pos; ++p) {
      weights[p] = scale_ * (dot(query_latent_.row(query), latents.row(p), latents.width) +
                             dot(query_rope_.row(query), keys.row(p), keys.width));
    }
    const double largest = *std::max_element(weights.begin(), weights.end());
    for (double& w : weights) w = std::exp(w - largest);
    double kept = 0;
    for (int64_t i = 0; i < columns_ && selected[i] >= 0; ++i) kept += weights[selected[i]];
    return kept / std::accumulate(weights.begin(), weights.end(), 0.0);
  }

  const double scale_;
  const int64_t first_row_;
  Quality& quality_;
  int64_t chunk_ = 0;
  std::map<int64_t, Matrix> latents_, keys_;  // by layer, a row a position
  Matrix query_latent_, query_rope_;          // of the chunk, a row a (row, head)
  std::vector<int32_t> selected_;             // of the chunk; empty: every position
  int64_t columns_ = 0;
};

}  // namespace

double Quality::perplexity() const { return tokens == 0 ? 1 : std::exp(-log_likelihood / static_cast<double>(tokens)); }

void TapAttention(Program& program) {
  for (Entry& entry : program.entries) {
    for (Repeat& repeat : entry.body) {
      for (Launch& launch : repeat.launches) {
        const auto tap = [&](std::string_view name, uint32_t operand) { launch.taps.push_back({std::string(name), operand}); };
        if (launch.op == "mla.append") {
          tap(kLatent, 0);
          tap(kKey, 1);
        } else if (AttendsLatents(launch)) {
          tap(kQueryLatent, 0);
          tap(kQueryRope, 1);
          if (launch.operands[2].kind == Operand::Kind::kBuffer) tap(kSelected, 2);
          tap(kOut, static_cast<uint32_t>(launch.operands.size() - 1));
        }
      }
    }
  }
}

absl::Status AddAnswer(Executor& executor, const KnownAnswer& answer, Quality& quality) {
  const Program& program = executor.program();
  if (program.FindEntry("step") == nullptr) return absl::InvalidArgumentError("the program has no entry 'step'");
  const Sizes& limits = program.limits;
  const int64_t total = static_cast<int64_t>(answer.ids.size()) - 1;  // the last token is predicted, not read
  const int64_t chunk = std::min(limits[static_cast<int>(Size::kT)], limits[static_cast<int>(Size::kN)]);
  MODELC_ASSIGN_OR_RETURN(const int64_t vocab, program.Parameter("vocab_size"));
  std::vector<int32_t> pages(SequencePages(answer.ids.size()));
  std::iota(pages.begin(), pages.end(), 0);
  MassTap tap(ScaleOf(program), answer.prompt - 1, quality);
  bool exact = true;
  for (int64_t first = 0; first < total; first += chunk) {
    const int64_t count = std::min(chunk, total - first);
    std::vector<int32_t> pos(count), seq(count, 0), wanted;
    std::iota(pos.begin(), pos.end(), static_cast<int32_t>(first));
    for (int64_t r = std::max<int64_t>(0, answer.prompt - 1 - first); r < count; ++r) wanted.push_back(static_cast<int32_t>(r));
    const StepBatch batch{.ids = absl::MakeConstSpan(answer.ids).subspan(first, count), .pos = pos, .seq = seq,
                          .pages = pages, .sequences = 1, .wanted = wanted, .hidden = {}};
    tap.StartChunk(first);
    MODELC_ASSIGN_OR_RETURN(const StepOutput out, executor.RunWithTaps("step", batch, std::ref(tap)));
    for (size_t i = 0; i < wanted.size(); ++i) {
      const auto logits = out.logits.subspan(i * vocab, vocab);
      const int32_t next = answer.ids[first + wanted[i] + 1];
      const auto best = std::max_element(logits.begin(), logits.end());
      double sum = 0;
      for (float logit : logits) sum += std::exp(static_cast<double>(logit) - *best);
      quality.log_likelihood += logits[next] - *best - std::log(sum);
      exact &= best - logits.begin() == next;
      ++quality.tokens;
    }
  }
  ++quality.answers;
  quality.exact += exact ? 1 : 0;
  return absl::OkStatus();
}

}  // namespace modelc
