// head_linear: a matrix for every head, cut out of one weight. Absorbed MLA maps queries to the latent space with it
// (transposed) and attended latents back to values.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "backends/cpu/kernels/linear.h"

namespace modelc::cpu {
namespace {

class HeadLinear final : public Kernel {
 public:
  struct Slice {
    int64_t x_first = 0, x_count = 0;  // of the last dimension of x
    int64_t first = 0, count = 0;      // of a head's rows of W
    bool transposed = false;
  };

  explicit HeadLinear(const Slice& slice) : slice_(slice) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    const absl::StatusOr<Dims> dims = Match({{"x", {MODELC_F32}, "ThD"},
                                             {"W", kFloatWeights, "RL"},
                                             {"out", {MODELC_F32}, slice_.transposed ? "ThL" : "ThO"}},
                                            t);
    if (!dims.ok()) return dims.status();
    MODELC_CPU_RETURN_IF_ERROR(CheckWeight("W", t[1], Act::kNone));
    const int64_t heads = (*dims)['h'], rows = (*dims)['R'];
    if (heads == 0 || rows % heads != 0)
      return absl::InvalidArgumentError(
          absl::StrCat("tensor 'W' has ", rows, " rows; wanted a multiple of ", heads, " heads"));
    if (slice_.first + slice_.count > rows / heads)
      return absl::InvalidArgumentError(absl::StrCat("first + count is ", slice_.first + slice_.count,
                                                     "; tensor 'W' has ", rows / heads, " rows a head"));
    if (slice_.x_first + slice_.x_count > (*dims)['D'])
      return absl::InvalidArgumentError(absl::StrCat("x_first + x_count is ", slice_.x_first + slice_.x_count,
                                                     "; tensor 'x' has ", (*dims)['D'], " values a head"));
    const int64_t inner = slice_.transposed ? slice_.count : (*dims)['L'];
    if (slice_.x_count != inner)
      return absl::InvalidArgumentError(absl::StrCat("x_count is ", slice_.x_count, "; wanted ", inner));
    if (!slice_.transposed && (*dims)['O'] != slice_.count)
      return absl::InvalidArgumentError(
          absl::StrCat("tensor 'out' has ", (*dims)['O'], " values a head; wanted ", slice_.count));
    return absl::OkStatus();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    if (slice_.transposed)
      Transposed(t[0], t[1], t[2], worker);
    else
      Straight(t[0], t[1], t[2], worker);
  }

  Traffic Reads(absl::Span<const Tensor> t) const override {
    return {t[0].shape[1] * WeightBytes(t[1], slice_.count), 0};
  }

 private:
  // Rows first … first+count-1 of one head.
  WeightRows Head(const Tensor& w, int64_t heads, int64_t head, int64_t first, int64_t count) const {
    return RowsOf(w, 0, head * (w.shape[0] / heads) + slice_.first + first, count);
  }

  // out[t, h] = Wh·x[t, h], by tiles of a head's rows. Each tile packs its own few rows of x: all of them together
  // would be as large as x, which in prefill is the largest tensor there is.
  void Straight(const Tensor& x, const Tensor& w, const Tensor& out, Worker& worker) const {
    const int64_t rows = x.shape[0], heads = x.shape[1], k = slice_.x_count, stride = ukernels_.packed(k);
    const int64_t size = TileRows(heads * slice_.count, worker), tiles_each = (slice_.count + size - 1) / size;
    std::byte* scratch = worker.Scratch(ukernels_.scratch + MatmulUkernels::kMaxInputs * stride * sizeof(float));
    float* packed = reinterpret_cast<float*>(scratch + ukernels_.scratch);
    for (int64_t tile = worker.Next(); tile < heads * tiles_each; tile = worker.Next()) {
      const int64_t head = tile / tiles_each, n = tile % tiles_each * size;
      const WeightRows weights = Head(w, heads, head, n, std::min(size, slice_.count - n));
      for (int64_t t = 0; t < rows; t += MatmulUkernels::kMaxInputs) {
        const int64_t count = std::min(rows - t, MatmulUkernels::kMaxInputs);
        for (int64_t i = 0; i < count; ++i)
          ukernels_.pack(w.dtype, x.as<float>() + ((t + i) * heads + head) * x.shape[2] + slice_.x_first, k,
                         packed + i * stride);
        ukernels_.dot(weights, {packed, stride, count},
                      {out.as<float>() + (t * heads + head) * slice_.count + n, heads * slice_.count}, scratch);
      }
    }
  }

  // out[t, h] = Whᵀ·x[t, h], a head at a time.
  void Transposed(const Tensor& x, const Tensor& w, const Tensor& out, Worker& worker) const {
    const int64_t rows = x.shape[0], heads = x.shape[1], stride = heads * x.shape[2], out_stride = heads * w.last();
    std::byte* scratch = worker.Scratch(ukernels_.scratch);
    for (int64_t head = worker.Next(); head < heads; head = worker.Next()) {
      const WeightRows weights = Head(w, heads, head, 0, slice_.count);
      const float* from = x.as<float>() + head * x.shape[2] + slice_.x_first;
      float* to = out.as<float>() + head * w.last();
      for (int64_t t = 0; t < rows; t += MatmulUkernels::kMaxInputs)
        ukernels_.accumulate(weights, {from + t * stride, stride, std::min(rows - t, MatmulUkernels::kMaxInputs)},
                             {to + t * out_stride, out_stride}, scratch);
    }
  }

  const MatmulUkernels& ukernels_ = HostMatmul();
  const Slice slice_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeHeadLinear(const nlohmann::json& attributes) {
  HeadLinear::Slice slice;
  Attributes a(attributes);
  a.Integer("x_first", &slice.x_first, 0);
  a.Integer("x_count", &slice.x_count, 1);
  a.Integer("first", &slice.first, 0);
  a.Integer("count", &slice.count, 1);
  a.Boolean("transposed", &slice.transposed);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  return std::make_unique<HeadLinear>(slice);
}

}  // namespace modelc::cpu
