// linear and linear_silu_mul.
#include "backends/cpu/kernels/linear.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backends/cpu/simd/simd.h"
#include "plugins/sdk/tensor.h"

namespace modelc::cpu {
namespace {

constexpr int64_t kBlock = 128;  // rows and columns that share a scale

int64_t Blocks(int64_t n) { return (n + kBlock - 1) / kBlock; }

// Bytes of a row of k weights.
int64_t RowBytes(modelc_dtype dtype, int64_t k) {
  const int64_t group = static_cast<int64_t>(sdk::GroupBytes(dtype));
  return group ? Blocks(k) * group : k * static_cast<int64_t>(sdk::ElementBytes(dtype));
}

int64_t RoundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// A row is a row, whether its values are counted in one dimension or by head.
Tensor Flat(Tensor t) {
  for (int d = 2; d < t.rank; ++d) t.shape[1] *= std::exchange(t.shape[d], 1);
  t.rank = std::min(t.rank, 2);
  return t;
}

// linear with one weight, linear_silu_mul with two.
class Linear final : public Kernel {
 public:
  Linear(bool silu_mul, Act act) : silu_mul_(silu_mul), act_(act) {}

  absl::Status Check(absl::Span<const Tensor> given) const override {
    std::vector<Tensor> t(given.begin(), given.end());
    if (!t.empty()) {
      t.front() = Flat(t.front());
      t.back() = Flat(t.back());
    }
    if (!silu_mul_) {
      MODELC_CPU_RETURN_IF_ERROR(
          Match({{"x", {MODELC_F32}, "TK"}, {"W", kWeights, "NK"}, {"out", {MODELC_F32}, "TN"}}, t).status());
      return CheckWeight("W", t[1], act_);
    }
    MODELC_CPU_RETURN_IF_ERROR(
        Match({{"x", {MODELC_F32}, "TK"}, {"Wg", kWeights, "FK"}, {"Wu", kWeights, "FK"}, {"out", {MODELC_F32}, "TF"}},
              t)
            .status());
    MODELC_CPU_RETURN_IF_ERROR(CheckWeight("Wg", t[1], act_));
    MODELC_CPU_RETURN_IF_ERROR(CheckWeight("Wu", t[2], act_));
    return CheckSameDtype(t[1], t[2]);
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const Tensor x = Flat(t[0]), &w = t[1], &out = t.back();
    const int64_t rows = w.shape[0];
    const InputRows input = PackRows(ukernels_, simd_, x.as<float>(), x.shape[0], x.shape[1], w.dtype, act_, worker);
    const TileRunner tiles(ukernels_, worker);
    const int64_t size = TileRows(rows, worker);
    for (int64_t n = worker.Next() * size; n < rows; n = worker.Next() * size) {
      const int64_t count = std::min(size, rows - n);
      const WeightRows gate = RowsOf(w, 0, n, count), up = silu_mul_ ? RowsOf(t[2], 0, n, count) : WeightRows{};
      tiles.Run(gate, silu_mul_ ? &up : nullptr, input, {out.as<float>() + n, rows});
    }
  }

  Traffic Reads(absl::Span<const Tensor> t) const override {
    return {WeightBytes(t[1], t[1].shape[0]) * (silu_mul_ ? 2 : 1), 0};
  }

 private:
  const MatmulUkernels& ukernels_ = HostMatmul();
  const Simd& simd_ = SimdFor(HostIsa());
  const bool silu_mul_;
  const Act act_;
};

template <bool silu_mul>
absl::StatusOr<std::unique_ptr<Kernel>> MakeLinear(const nlohmann::json& attributes) {
  Act act;
  MODELC_CPU_RETURN_IF_ERROR(ReadAct(attributes, &act));
  return std::make_unique<Linear>(silu_mul, act);
}

constexpr KernelEntry kEntries[] = {
    {"linear", "linear", "", 0, MakeLinear<false>, /*grouped_weights=*/true},
    {"linear_silu_mul", "linear_silu_mul", "", 0, MakeLinear<true>, /*grouped_weights=*/true},
    {"head_linear", "head_linear", "", 0, MakeHeadLinear},
};

}  // namespace

absl::Span<const KernelEntry> LinearKernels() { return kEntries; }

const MatmulUkernels& HostMatmul() {
#if defined(__x86_64__)
  if (HostIsa() >= Isa::kAvx512Vnni) return kMatmulAvx512Vnni;
  if (HostIsa() >= Isa::kAvx512) return kMatmulAvx512;
  if (HostIsa() >= Isa::kAvx2) return kMatmulAvx2;
#endif
  return kMatmulPortable;
}

absl::Status ReadAct(const nlohmann::json& attributes, Act* act) {
  Attributes a(attributes);
  int word = 0;
  a.Choice("act", {"none", "e4m3_1x128_pow2", "int8_1x128"}, &word);
  *act = static_cast<Act>(word);
  return a.Finish();
}

absl::Status CheckWeight(const char* name, const Tensor& w, Act act) {
  if (w.elements() == 0) return absl::InvalidArgumentError(absl::StrCat("tensor '", name, "' has no elements"));
  if (w.dtype == MODELC_F8E4M3 && w.scale == nullptr)
    return absl::InvalidArgumentError(absl::StrCat("tensor '", name, "' is f8e4m3 and has no block scales"));
  const bool grouped = w.dtype == MODELC_INT8 || w.dtype == MODELC_INT4;
  if (grouped != (act == Act::kRoundInt8))
    return absl::InvalidArgumentError(
        absl::StrCat("tensor '", name, "': int8 and int4 weights go with act int8_1x128, and no others do"));
  return absl::OkStatus();
}

absl::Status CheckSameDtype(const Tensor& gate, const Tensor& up) {
  if (gate.dtype == up.dtype) return absl::OkStatus();
  return absl::InvalidArgumentError("tensors 'Wg' and 'Wu' differ in dtype");
}

uint64_t WeightBytes(const Tensor& w, int64_t rows) {
  const int64_t k = w.last(), scales = w.dtype == MODELC_F8E4M3 ? Blocks(rows) * Blocks(k) * sizeof(float) : 0;
  return rows * RowBytes(w.dtype, k) + scales;
}

WeightRows RowsOf(const Tensor& w, int64_t matrix, int64_t first, int64_t count) {
  const int64_t rows = w.shape[w.rank - 2], k = w.last();
  return {.data = w.data + (matrix * rows + first) * RowBytes(w.dtype, k),
          .dtype = w.dtype,
          .count = count,
          .k = k,
          .scale = w.scale ? w.scale + matrix * Blocks(rows) * Blocks(k) : nullptr,
          .first = first};
}

InputRows PackRows(const MatmulUkernels& ukernels, const Simd& simd, const float* x, int64_t rows, int64_t k,
                   modelc_dtype dtype, Act act, Worker& worker) {
  const int64_t stride = ukernels.packed(k);
  // What is little every worker packs for itself: sooner done than waited for.
  constexpr int64_t kOwn = 2048;
  const bool own = rows == 1 || rows * k <= kOwn;
  float* packed = reinterpret_cast<float*>(worker.Shared((own ? worker.count() : 1) * rows * stride * sizeof(float)));
  if (own) packed += worker.index() * rows * stride;
  const bool round = act == Act::kRoundE4M3;  // to int8 `pack` does it
  float* rounded = round ? reinterpret_cast<float*>(worker.Scratch(k * sizeof(float))) : nullptr;
  const auto [begin, end] = own ? Worker::Range{0, rows} : worker.Share(rows);
  for (int64_t t = begin; t < end; ++t) {
    const float* row = x + t * k;
    if (round) {
      simd.fake_quantize(row, k, rounded);
      row = rounded;
    }
    ukernels.pack(dtype, row, k, packed + t * stride);
  }
  if (!own) worker.Barrier();
  return {.data = packed, .stride = stride, .count = rows};
}

TileRunner::TileRunner(const MatmulUkernels& ukernels, Worker& worker)
    : ukernels_(ukernels),
      scratch_(
          worker.Scratch(ukernels.scratch + MatmulUkernels::kMaxInputs * MatmulUkernels::kMaxWeights * sizeof(float))),
      up_(reinterpret_cast<float*>(scratch_ + ukernels.scratch)) {}

void TileRunner::Run(const WeightRows& w, const WeightRows* up, InputRows x, OutputRows out) const {
  for (int64_t t = 0, count = x.count; t < count; t += MatmulUkernels::kMaxInputs) {
    x.count = std::min(count - t, MatmulUkernels::kMaxInputs);
    ukernels_.dot(w, x, out, scratch_);
    if (up != nullptr) {
      ukernels_.dot(*up, x, {up_, w.count}, scratch_);
      for (int64_t i = 0; i < x.count; ++i) ukernels_.silu_mul(out.data + i * out.stride, up_ + i * w.count, w.count);
    }
    if (x.index)
      x.index += x.count;
    else
      x.data += x.count * x.stride;
    out.data += x.count * out.stride;
  }
}

int64_t TileRows(int64_t rows, const Worker& worker) {
  constexpr int64_t kGrain = 12, kTilesEach = 8;  // a multiple of every instruction set's register tile
  return std::clamp(RoundUp(rows / (worker.count() * kTilesEach), kGrain), kGrain, MatmulUkernels::kMaxWeights);
}

}  // namespace modelc::cpu
