#include "tools/modelc/measure/cost.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "nlohmann/json.hpp"

namespace modelc {
namespace {

constexpr double kScaleBlock = 128;
constexpr double kExpFlops = 8;  // of an exponential, roughly: counts of attention are of products, not of these

// A launch's operands as shapes at a step's sizes.
class Operands {
 public:
  Operands(const Program& program, const Launch& launch, const Sizes& sizes)
      : program_(program), launch_(launch), sizes_(sizes) {}

  double size(Size s) const { return static_cast<double>(sizes_[static_cast<int>(s)]); }
  bool has(size_t i) const { return i < launch_.operands.size() && launch_.operands[i].kind != Operand::Kind::kNone; }
  double dim(size_t i, size_t d) const {
    if (!has(i)) return 0;
    const Operand& operand = launch_.operands[i];
    if (operand.kind == Operand::Kind::kBuffer) {
      const Shape& shape = program_.buffers[operand.index].shape;
      return d < shape.dims.size() ? static_cast<double>(shape.dims[d].at(sizes_)) : 1;
    }
    if (operand.kind == Operand::Kind::kWeight) {
      const auto& shape = program_.weights[operand.index].shape;
      return d < shape.size() ? static_cast<double>(shape[d]) : 1;
    }
    return 1;
  }
  // Bytes of a weight with its scales.
  double weight_bytes(size_t i) const {
    if (!has(i) || launch_.operands[i].kind != Operand::Kind::kWeight) return 0;
    const Weight& weight = program_.weights[launch_.operands[i].index];
    double values = 1, blocks = 1;
    for (size_t d = 0; d < weight.shape.size(); ++d) {
      const double n = static_cast<double>(weight.shape[d]);
      values *= n;
      blocks *= d + 2 >= weight.shape.size() ? std::ceil(n / kScaleBlock) : n;
    }
    const int64_t k = weight.shape.back();
    const double bytes = values / static_cast<double>(k) * static_cast<double>(RowBytes(weight.bound(), k));
    return bytes + (weight.scale.empty() || weight.format ? 0 : blocks * sizeof(float));
  }
  // Bytes of one token in a cache.
  double record_bytes(size_t i) const {
    if (!has(i) || launch_.operands[i].kind != Operand::Kind::kCache) return 0;
    return static_cast<double>(program_.caches[launch_.operands[i].index].page_bytes) / kPageTokens;
  }
  double activation_bytes() const {
    double bytes = 0;
    for (const Operand& operand : launch_.operands) {
      if (operand.kind != Operand::Kind::kBuffer) continue;
      const Shape& shape = program_.buffers[operand.index].shape;
      double values = 1;
      for (const Dim& dim : shape.dims) values *= static_cast<double>(dim.at(sizes_));
      bytes += values * ByteSize(shape.dtype);
    }
    return bytes;
  }

 private:
  const Program& program_;
  const Launch& launch_;
  const Sizes& sizes_;
};

// Of E experts, how many M uniformly routed rows reach.
double ReachedExperts(double experts, double rows) { return experts * (1 - std::pow(1 - 1 / experts, rows)); }

using Model = std::function<Cost(const Operands& o, const nlohmann::json& attributes)>;

// Products of a linear, integers where its rows are rounded to int8.
Cost Products(double operations, const nlohmann::json& attributes) {
  const auto act = attributes.find("act");
  return act != attributes.end() && *act == "int8_1x128" ? Cost{.int_ops = operations} : Cost{.flops = operations};
}

// x·Wᵀ of `rows` rows with weights at operands [first, first + count) of shape [N, K].
Cost Linear(const Operands& o, const nlohmann::json& attributes, double rows, size_t first, size_t count) {
  Cost cost;
  for (size_t w = first; w < first + count; ++w) {
    cost += Products(2 * rows * o.dim(w, 0) * o.dim(w, 1), attributes);
    cost.weight_bytes += o.weight_bytes(w);
  }
  return cost;
}

Cost Grouped(const Operands& o, const nlohmann::json& attributes, size_t first, size_t count) {
  Cost cost;
  for (size_t w = first; w < first + count; ++w) {
    const double rows = o.size(Size::kM), experts = o.dim(w, 0);
    cost += Products(2 * rows * o.dim(w, 1) * o.dim(w, 2), attributes);
    cost.weight_bytes += o.weight_bytes(w) * ReachedExperts(experts, rows) / experts;
  }
  return cost;
}

// A few operations for each element of operand i.
Cost Elementwise(const Operands& o, size_t i, double operations) {
  return {.flops = operations * o.dim(i, 0) * o.dim(i, 1) * o.dim(i, 2)};
}

// Products with what a cache holds and other operations beside them: integers where its pages are i8.
Cost CacheProducts(double products, double others, const nlohmann::json& attributes) {
  const auto format = attributes.find("format");
  if (format != attributes.end() && *format == "i8") return {.flops = others, .int_ops = products};
  return {.flops = products + others};
}

// q [T, i, D] against C keys.
Cost IndexScores(const Operands& o, size_t cache, const nlohmann::json& attributes) {
  const double pairs = o.size(Size::kT) * o.size(Size::kC) * o.dim(0, 1);
  Cost cost = CacheProducts(2 * pairs * o.dim(0, 2), 3 * pairs, attributes);
  cost.cache_bytes = o.size(Size::kS) * o.size(Size::kC) * o.record_bytes(cache);
  return cost;
}

// q_lat [T, h, L], q_rope [T, h, R] against latents.
Cost LatentAttention(const Operands& o, const nlohmann::json& attributes) {
  const double seen = o.has(2) ? std::min(o.dim(2, 1), o.size(Size::kC)) : o.size(Size::kC);
  const double rows = o.size(Size::kT), heads = o.dim(0, 1), latent = o.dim(0, 2), rope = o.dim(1, 2);
  const double pairs = rows * seen * heads;
  Cost cost = CacheProducts(4 * pairs * latent, pairs * (2 * rope + kExpFlops), attributes);
  cost.cache_bytes = rows * seen * o.record_bytes(6);
  return cost;
}

const std::map<std::string, Model, std::less<>>& Models() {
  static const auto* models = new std::map<std::string, Model, std::less<>>{
      {"embed", [](const Operands& o, const nlohmann::json&) {
         return Cost{.weight_bytes = o.dim(1, 0) == 0 ? 0 : o.weight_bytes(1) / o.dim(1, 0) * o.size(Size::kT)};
       }},
      {"linear", [](const Operands& o, const nlohmann::json& a) { return Linear(o, a, o.dim(0, 0), 1, 1); }},
      {"linear_silu_mul",
       [](const Operands& o, const nlohmann::json& a) {
         Cost cost = Linear(o, a, o.dim(0, 0), 1, 2);
         cost.flops += o.dim(0, 0) * o.dim(1, 0) * (kExpFlops + 3);
         return cost;
       }},
      {"head_linear",
       [](const Operands& o, const nlohmann::json& a) {
         const double heads = o.dim(0, 1), width = o.dim(1, 1), count = a.value("count", 0.0);
         const double share = o.dim(1, 0) == 0 ? 0 : heads * count / o.dim(1, 0);
         return Cost{.flops = 2 * o.size(Size::kT) * heads * count * width, .weight_bytes = o.weight_bytes(1) * share};
       }},
      {"grouped_linear_silu_mul", [](const Operands& o, const nlohmann::json& a) { return Grouped(o, a, 3, 2); }},
      {"grouped_linear", [](const Operands& o, const nlohmann::json& a) { return Grouped(o, a, 2, 1); }},
      {"rms_norm", [](const Operands& o, const nlohmann::json&) { return Elementwise(o, 0, 4); }},
      {"add_rms_norm", [](const Operands& o, const nlohmann::json&) { return Elementwise(o, 0, 5); }},
      {"layer_norm", [](const Operands& o, const nlohmann::json&) { return Elementwise(o, 0, 7); }},
      {"rope",
       [](const Operands& o, const nlohmann::json& a) {
         // Of a row's angles; turning pairs by them hides behind reading and writing them.
         constexpr double kSineAndCosineFlops = 40;
         return Cost{.flops = o.dim(0, 0) * a.value("dim", 0.0) / 2 * kSineAndCosineFlops};
       }},
      {"hadamard",
       [](const Operands& o, const nlohmann::json&) {
         const double width = std::max(2.0, o.dim(0, 2) > 1 ? o.dim(0, 2) : o.dim(0, 1));
         return Elementwise(o, 0, std::log2(width));
       }},
      {"fake_quantize", [](const Operands& o, const nlohmann::json&) { return Elementwise(o, 0, 4); }},
      {"add", [](const Operands& o, const nlohmann::json&) { return Elementwise(o, 0, 1); }},
      {"fused",
       [](const Operands& o, const nlohmann::json& a) {
         constexpr double kOperations = 4;  // of a step, for each element: what the ops of a chain have in the middle
         return Elementwise(o, 0, kOperations * static_cast<double>(a.value("steps", nlohmann::json::array()).size()));
       }},
      {"moe.combine",
       [](const Operands& o, const nlohmann::json&) { return Cost{.flops = 2 * o.size(Size::kM) * o.dim(0, 1)}; }},
      {"moe.route",
       [](const Operands& o, const nlohmann::json&) { return Elementwise(o, 0, kExpFlops + 4); }},
      {"mla.append",
       [](const Operands& o, const nlohmann::json&) { return Cost{.cache_bytes = o.size(Size::kT) * o.record_bytes(5)}; }},
      {"dsa.append",
       [](const Operands& o, const nlohmann::json&) { return Cost{.cache_bytes = o.size(Size::kT) * o.record_bytes(4)}; }},
      {"mla.attend_latent", LatentAttention},
      {"mla.attend_parts", LatentAttention},
      {"mla.merge_parts", [](const Operands& o, const nlohmann::json&) { return Elementwise(o, 0, 2 * o.dim(0, 3)); }},
      {"mla.attend_expanded",
       [](const Operands& o, const nlohmann::json& a) {
         // Every position is expanded for the rows of a tile together.
         constexpr double kTileRows = 256;
         const double rows = o.size(Size::kT), seen = o.size(Size::kC), heads = o.dim(0, 1), latent = o.dim(7, 1);
         const double sequences = std::max(1.0, o.size(Size::kS)), tiles = sequences * std::ceil(rows / sequences / kTileRows);
         const double nope = a.value("nope", 0.0), value = o.dim(8, 2), rope = o.dim(1, 2);
         return Cost{.flops = 2 * tiles * seen * heads * (nope + value) * latent +
                              rows * seen * heads * (2 * (nope + rope + value) + kExpFlops),
                     .weight_bytes = o.weight_bytes(7),
                     .cache_bytes = tiles * seen * o.record_bytes(6)};
       }},
      {"dsa.logits", [](const Operands& o, const nlohmann::json& a) { return IndexScores(o, 5, a); }},
      {"dsa.logits_select", [](const Operands& o, const nlohmann::json& a) { return IndexScores(o, 5, a); }},
      {"dsa.block_scores",
       [](const Operands& o, const nlohmann::json&) { return Cost{.flops = o.size(Size::kT) * o.size(Size::kC)}; }},
      {"dsa.window_scores",
       [](const Operands& o, const nlohmann::json&) { return Cost{.flops = o.size(Size::kT) * o.size(Size::kC)}; }},
      {"dsa.select",
       [](const Operands& o, const nlohmann::json&) { return Cost{.flops = o.size(Size::kT) * o.size(Size::kC)}; }},
  };
  return *models;
}

// How far an op's kernels are from the limits: seconds over what arithmetic and reads would take at the limit, and
// what a launch costs in any case.
struct Pace {
  double launch_us, flops, weight_bytes, cache_bytes, activation_bytes, int_ops = 1;
};
struct Paces {
  Pace avx2;  // of one core; int_ops of caches, rope, parts and expanded attention come from ratios to other kernels, not fitted
  Pace vnni;  // of two AVX-512 cores
};

Pace PaceOf(std::string_view op, const MachineLimits& limits) {
  static constexpr Paces kLatents = {{1.2, 1.3, 0, 0, 10, 1.7}, {9.2, 1.5, 0, 0, 5.3, 3.4}};
  // Weights and caches: widening them to float32 goes along with arithmetic, so their reads hide behind it or come on top.
  static const auto* paces = new std::map<std::string, Paces, std::less<>>{
      {"linear", {{1.0, 1.7, 1.2, 0, 1.8, 1.5}, {1.4, 1.4, 0.9, 0, 3.8, 1.9}}},
      {"linear_silu_mul", {{2.0, 1.6, 1.1, 0, 6.3, 1.5}, {2.7, 1.0, 0.9, 0, 15, 1.0}}},
      {"head_linear", {{0.0, 1.4, 1.2, 0, 5.4}, {0, 2.1, 1.6, 0, 0}}},
      {"grouped_linear", {{4.9, 1.8, 1.0, 0, 4.0, 1.5}, {0.7, 1.3, 1.1, 0, 4.0, 1.0}}},
      {"grouped_linear_silu_mul", {{5.9, 2.0, 1.1, 0, 0, 1.5}, {0.7, 1.4, 1.0, 0, 7.7, 1.2}}},
      {"dsa.logits", {{2.7, 1.9, 0, 0.1, 0, 2.8}, {4.9, 2.4, 0, 0.4, 0, 2.0}}},
      {"dsa.logits_select", {{2.7, 1.9, 0, 0.1, 12, 2.8}, {4.9, 2.4, 0, 0.4, 0, 2.0}}},
      {"mla.attend_latent", kLatents},
      {"mla.attend_parts", kLatents},
      {"mla.merge_parts", {{1.2, 0, 0, 0, 0.6}, {3.0, 0, 0, 0, 0.6}}},
      {"mla.attend_expanded", {{1.2, 1.3, 0, 0, 0}, {5.0, 1.5, 0, 0, 0}}},
      {"mla.append", {{1.2, 0, 0, 0, 2.2}, {1.9, 0, 0, 4.3, 0}}},
      {"dsa.append", {{1.0, 0, 0, 0, 2.9}, {1.9, 0, 0, 0.4, 1.6}}},
      {"moe.route", {{1.2, 180, 0, 0, 27}, {1.6, 490, 0, 0, 27}}},
      {"moe.dispatch", {{0.9, 0, 0, 0, 10}, {1.6, 0, 0, 0, 12}}},
      {"moe.combine", {{0.4, 16, 0, 0, 0}, {1.6, 26, 0, 0, 0}}},
      {"rope", {{0.9, 34, 0, 0, 1.0}, {1.4, 68, 0, 0, 0.75}}},
      {"hadamard", {{0.9, 16, 0, 0, 0}, {1.4, 16, 0, 0, 0}}},
      {"fused", {{1.0, 8, 0, 0, 0}, {1.9, 13, 0, 0, 0}}},
      {"add", {{0.3, 0, 0, 0, 0.8}, {1.6, 0, 0, 0, 0.6}}},
      {"rms_norm", {{1.0, 0, 0, 0, 0.8}, {1.6, 21, 0, 0, 0}}},
      {"add_rms_norm", {{1.0, 0, 0, 0, 0.9}, {1.8, 0, 0, 0, 0.8}}},
      {"embed", {{2.6, 0, 0, 0, 4.3}, {2.1, 0, 1.0, 0, 2.1}}},
      {"take_rows", {{1.7, 0, 0, 0, 0.1}, {2.2, 0, 0, 0, 0.1}}},
  };
  const auto it = paces->find(op);
  if (it == paces->end()) return {1, 1, 1, 1, 1};
  // Four products of bytes for one of floats tell VNNI from the rest.
  return limits.int_ops_per_second > 3 * limits.flops_per_second ? it->second.vnni : it->second.avx2;
}

}  // namespace

double PredictSeconds(std::string_view op, const Cost& cost, const MachineLimits& limits) {
  if (limits.flops_per_second == 0) return 0;
  const Pace pace = PaceOf(op, limits);
  const double bytes = pace.weight_bytes * cost.weight_bytes + pace.cache_bytes * cost.cache_bytes +
                       pace.activation_bytes * cost.activation_bytes;
  const Cost arithmetic{.flops = pace.flops * cost.flops, .int_ops = pace.int_ops * cost.int_ops};
  return pace.launch_us * 1e-6 + arithmetic.ArithmeticSeconds(limits) + bytes / limits.read_bytes_per_second;
}

Cost& Cost::operator+=(const Cost& o) {
  flops += o.flops;
  int_ops += o.int_ops;
  weight_bytes += o.weight_bytes;
  cache_bytes += o.cache_bytes;
  activation_bytes += o.activation_bytes;
  return *this;
}

bool RunsAt(const Launch& launch, int64_t context) {
  switch (launch.condition.when) {
    case Condition::When::kAlways: return true;
    case Condition::When::kContextAbove: return context > launch.condition.context;
    case Condition::When::kContextAtMost: return context <= launch.condition.context;
  }
  return true;
}

absl::StatusOr<Cost> CostOf(const Program& program, const Launch& launch, const Sizes& sizes) {
  const nlohmann::json attributes = nlohmann::json::parse(launch.attributes, nullptr, /*allow_exceptions=*/false);
  if (!attributes.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(launch.location, ": attributes of ", launch.op, " are no JSON object"));
  }
  const Operands operands(program, launch, sizes);
  Cost cost;
  if (const auto it = Models().find(launch.op); it != Models().end()) cost = it->second(operands, attributes);
  cost.activation_bytes = operands.activation_bytes();
  return cost;
}

absl::StatusOr<Cost> CostOfStep(const Program& program, const Entry& entry, const Sizes& sizes) {
  Cost total;
  for (const Repeat& repeat : entry.body) {
    for (const Launch& launch : repeat.launches) {
      if (!RunsAt(launch, sizes[static_cast<int>(Size::kC)])) continue;
      MODELC_ASSIGN_OR_RETURN(const Cost cost, CostOf(program, launch, sizes));
      total += cost * static_cast<double>(repeat.count);
    }
  }
  return total;
}

}  // namespace modelc
