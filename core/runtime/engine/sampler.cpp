#include "core/runtime/engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"

namespace modelc {
namespace {

// The finalizer of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
uint64_t Mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;

// Strictly between 0 and 1.
double Uniform(uint64_t bits) { return (static_cast<double>(bits >> 12) + 0.5) * 0x1.0p-52; }

// Higher logit first, then lower id.
struct Better {
  const float* logits;
  bool operator()(int32_t a, int32_t b) const { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; }
};

int32_t ArgMax(absl::Span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());  // the first of equals
}

absl::Status CheckFinite(absl::Span<const float> logits) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  float best = -kInf;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] < kInf)) {
      return absl::InternalError(absl::StrCat("the model's logit of token ", i, " is ", logits[i],
                                              "; check the weights, or try --numerics reference"));
    }
    best = std::max(best, logits[i]);
  }
  if (best == -kInf) return absl::InternalError("the model gave no token a finite logit; check the weights");
  return absl::OkStatus();
}

double LogSumExp(absl::Span<const float> logits) {
  const double best = logits[ArgMax(logits)];
  double sum = 0;
  for (float l : logits) sum += std::exp(l - best);
  return best + std::log(sum);
}

}  // namespace

absl::Status Validate(const SamplingParams& p, int64_t vocab_size) {
  const auto error = [](const char* name, auto value, const char* range) {
    return absl::InvalidArgumentError(absl::StrCat(name, " is ", value, "; it must be ", range));
  };
  const auto within = [](double v, double low, double high) { return v >= low && v <= high; };  // false for NaN
  constexpr double kMax = 1e6;
  if (!within(p.temperature, 0, kMax)) return error("temperature", p.temperature, "0 or above");
  if (!within(p.top_p, 0, 1) || p.top_p == 0) return error("top_p", p.top_p, "above 0 and at most 1");
  if (p.top_k < 0) return error("top_k", p.top_k, "0 (off) or above");
  if (!within(p.min_p, 0, 1)) return error("min_p", p.min_p, "between 0 and 1");
  if (!within(p.presence_penalty, -kMax, kMax)) return error("presence_penalty", p.presence_penalty, "a finite number");
  if (!within(p.frequency_penalty, -kMax, kMax))
    return error("frequency_penalty", p.frequency_penalty, "a finite number");
  if (!within(p.repetition_penalty, 1e-6, kMax)) return error("repetition_penalty", p.repetition_penalty, "above 0");
  if (p.top_logprobs < -1 || p.top_logprobs > vocab_size) {
    return error("top_logprobs", p.top_logprobs, "-1 (none) or a number of tokens up to the vocabulary's size");
  }
  for (const auto& [id, bias] : p.logit_bias) {
    if (id < 0 || id >= vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat("logit_bias names token ", id, "; ids go from 0 to ", vocab_size - 1));
    }
    if (!within(bias, -kMax, kMax)) return error("logit_bias", bias, "a finite number");
  }
  return absl::OkStatus();
}

Sampler::Sampler(SamplingParams params, uint64_t seed, absl::Span<const int32_t> prompt,
                 std::shared_ptr<TokenConstraint> constraint)
    : params_(std::move(params)),
      seed_(seed),
      penalties_(params_.presence_penalty != 0 || params_.frequency_penalty != 0 || params_.repetition_penalty != 1),
      constraint_(std::move(constraint)) {
  if (params_.repetition_penalty == 1) return;
  for (int32_t id : prompt) generated_.try_emplace(id, 0);
}

void Sampler::Accept(int32_t id) {
  if (penalties_) ++generated_[id];
  if (constraint_) constraint_->Accept(id);
}

absl::StatusOr<Sampler::Choice> Sampler::Choose(absl::Span<const float> logits, int64_t position) {
  Choice choice;
  MODELC_ASSIGN_OR_RETURN(choice.id, Pick(logits, position));
  if (params_.top_logprobs < 0) return choice;
  const double sum = LogSumExp(logits);
  const auto logprob = [&](int32_t id) { return static_cast<float>(logits[id] - sum); };
  choice.logprob = logprob(choice.id);
  const int64_t n = std::min<int64_t>(params_.top_logprobs, logits.size());
  candidates_.resize(logits.size());
  std::iota(candidates_.begin(), candidates_.end(), 0);
  std::partial_sort(candidates_.begin(), candidates_.begin() + n, candidates_.end(), Better{logits.data()});
  for (int64_t i = 0; i < n; ++i) choice.top_logprobs.push_back({candidates_[i], logprob(candidates_[i])});
  return choice;
}

std::optional<int32_t> Sampler::Guess(absl::Span<const float> draft_logits, int64_t position) {
  absl::StatusOr<int32_t> id = Pick(draft_logits, position);
  return id.ok() ? std::optional<int32_t>(*id) : std::nullopt;
}

absl::StatusOr<int32_t> Sampler::Pick(absl::Span<const float> logits, int64_t position) {
  MODELC_RETURN_IF_ERROR(CheckFinite(logits));
  const bool adjusted = penalties_ || !params_.logit_bias.empty() || constraint_;
  if (!adjusted && params_.temperature == 0) return ArgMax(logits);
  logits_.assign(logits.begin(), logits.end());
  for (const auto& [id, times] : generated_) {
    double l = logits_[id];
    l = l > 0 ? l / params_.repetition_penalty : l * params_.repetition_penalty;
    if (times > 0) l -= params_.presence_penalty + params_.frequency_penalty * static_cast<double>(times);
    logits_[id] = static_cast<float>(l);
  }
  for (const auto& [id, bias] : params_.logit_bias) logits_[id] += static_cast<float>(bias);
  if (constraint_) MODELC_RETURN_IF_ERROR(Constrain());
  if (params_.temperature == 0) return ArgMax(logits_);
  return Draw(position);
}

absl::Status Sampler::Constrain() {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const std::vector<uint8_t>& mask = constraint_->Mask();
  bool any = false;
  for (size_t id = 0; id < logits_.size(); ++id) {
    if (id >= mask.size() || mask[id] == 0) logits_[id] = -kInf;
    any |= logits_[id] > -kInf;
  }
  return any ? absl::OkStatus() : absl::InternalError("no token of the vocabulary goes on as the request's format wants");
}

int32_t Sampler::Draw(int64_t position) {
  const Better better{logits_.data()};
  const double best = logits_[ArgMax(logits_)];
  candidates_.clear();
  weights_.resize(logits_.size());  // in units of the most likely token's probability
  for (size_t id = 0; id < logits_.size(); ++id) {
    weights_[id] = std::exp((logits_[id] - best) / params_.temperature);
    if (weights_[id] > 0) candidates_.push_back(static_cast<int32_t>(id));
  }
  if (params_.top_k > 0 && params_.top_k < static_cast<int64_t>(candidates_.size())) {
    std::nth_element(candidates_.begin(), candidates_.begin() + params_.top_k, candidates_.end(), better);
    candidates_.resize(params_.top_k);
  }
  if (params_.top_p < 1) {
    double wanted = 0;
    for (int32_t id : candidates_) wanted += weights_[id];
    wanted *= params_.top_p;
    // The best are taken off a heap one by one: far cheaper than sorting a vocabulary.
    const auto worse = [&](int32_t a, int32_t b) { return better(b, a); };
    std::make_heap(candidates_.begin(), candidates_.end(), worse);
    auto rest = candidates_.end();
    double sum = 0;
    while (rest != candidates_.begin() && sum < wanted) {
      std::pop_heap(candidates_.begin(), rest--, worse);
      sum += weights_[*rest];
    }
    candidates_.erase(candidates_.begin(), rest);
  }
  const uint64_t stream = Mix(Mix(seed_ + kGolden) + kGolden * static_cast<uint64_t>(position + 1));
  int32_t winner = 0;
  double first = std::numeric_limits<double>::infinity();
  for (int32_t id : candidates_) {
    if (weights_[id] < params_.min_p) continue;
    const double u = Uniform(Mix(stream + kGolden * (static_cast<uint64_t>(id) + 1)));
    const double time = -std::log(u) / weights_[id];
    if (time < first) {
      first = time;
      winner = id;
    }
  }
  return winner;
}

}  // namespace modelc
