// mla.append: writes one latent record a row.
#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/attention.h"
#include "backends/cpu/kernels/paged.h"

namespace modelc::cpu {
namespace {

class LatentAppend final : public Kernel {
 public:
  explicit LatentAppend(CacheFormat format) : format_(format) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims = Match({{"latent", {MODELC_F32}, "TL"},
                                       {"key", {MODELC_F32}, "TR"},
                                       {"pos", {MODELC_I32}, "T"},
                                       {"seq", {MODELC_I32}, "T"},
                                       {"pages", {MODELC_I32}, "SP"},
                                       {"cache", {MODELC_U8}, "NB"}},
                                      t);
    if (!dims.ok()) return dims.status();
    return CheckPageBytes(t[5], Layout(t).page_bytes());
  }

  bool Alone(absl::Span<const Tensor> t) const override { return Kernel::Alone(t.first(t.size() - 1)); }  // the rows

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const LatentLayout layout = Layout(t);
    const PagedRows rows(t[2], t[3], t[4], t[5]);
    const auto [begin, end] = worker.Share(t[0].shape[0]);
    for (int64_t i = begin; i < end; ++i) {
      std::byte* page = rows.Visible(i) > 0 ? rows.Page(i, rows.Position(i)) : nullptr;
      if (page)
        layout.Write(simd_, t[0].as<float>() + i * layout.latent, t[1].as<float>() + i * layout.rope,
                     page + rows.Position(i) % kPageTokens * layout.record_bytes());
    }
  }

 private:
  LatentLayout Layout(absl::Span<const Tensor> t) const { return {format_, t[0].shape[1], t[1].shape[1]}; }

  const Simd& simd_ = SimdFor(HostIsa());
  CacheFormat format_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeLatentAppend(const nlohmann::json& attributes) {
  CacheFormat format{};
  Attributes a(attributes);
  ReadFormat(a, &format);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  return std::make_unique<LatentAppend>(format);
}

}  // namespace modelc::cpu
