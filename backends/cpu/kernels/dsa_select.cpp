// dsa.select: the k best scored positions of each row.
#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/indexer.h"
#include "backends/cpu/kernels/paged.h"
#include "backends/cpu/kernels/topk.h"

namespace modelc::cpu {
namespace {

class IndexSelect final : public Kernel {
 public:
  explicit IndexSelect(int64_t k) : k_(k) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims = Match({{"score", {MODELC_F32}, "TC"},
                                       {"pos", {MODELC_I32}, "T"},
                                       {"seq", {MODELC_I32}, "T"},
                                       {"sel", {MODELC_I32}, "Tk"}},
                                      t);
    if (!dims.ok()) return dims.status();
    if ((*dims)['k'] != k_) return absl::InvalidArgumentError("tensor 'sel' does not have attribute 'k' columns");
    return absl::OkStatus();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const int64_t columns = t[0].shape[1], capacity = TopK::Capacity(k_);
    Carver measure(nullptr);
    measure.Take<uint32_t>(capacity), measure.Take<int32_t>(capacity);
    std::byte* memory = worker.Scratch(measure.used());
    for (int64_t row; (row = worker.Next()) < t[0].shape[0];) {
      if (t[2].as<int32_t>()[row] < 0) continue;
      Carver carver(memory);
      uint32_t* keys = carver.Take<uint32_t>(capacity);
      TopK best(simd_, k_, keys, carver.Take<int32_t>(capacity));
      const int64_t visible = std::clamp<int64_t>(static_cast<int64_t>(t[1].as<int32_t>()[row]) + 1, 0, columns);
      best.Add(t[0].as<float>() + row * columns, visible, 0);
      best.Finish(t[3].as<int32_t>() + row * k_);
    }
  }

 private:
  const Simd& simd_ = SimdFor(HostIsa());
  int64_t k_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeIndexSelect(const nlohmann::json& attributes) {
  int64_t k = 0;
  Attributes a(attributes);
  a.Integer("k", &k, 1);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  return std::make_unique<IndexSelect>(k);
}

}  // namespace modelc::cpu
