// dsa.append: writes one index key a row.
#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/indexer.h"
#include "backends/cpu/kernels/paged.h"

namespace modelc::cpu {
namespace {

class IndexAppend final : public Kernel {
 public:
  explicit IndexAppend(CacheFormat format) : format_(format) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims = Match({{"key", {MODELC_F32}, "TD"},
                                       {"pos", {MODELC_I32}, "T"},
                                       {"seq", {MODELC_I32}, "T"},
                                       {"pages", {MODELC_I32}, "SP"},
                                       {"cache", {MODELC_U8}, "NB"}},
                                      t);
    if (!dims.ok()) return dims.status();
    return CheckPageBytes(t[4], IndexLayout{format_, t[0].shape[1]}.page_bytes());
  }

  bool Alone(absl::Span<const Tensor> t) const override { return Kernel::Alone(t.first(t.size() - 1)); }  // the rows

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const IndexLayout layout{format_, t[0].shape[1]};
    const PagedRows rows(t[1], t[2], t[3], t[4]);
    const auto [begin, end] = worker.Share(t[0].shape[0]);
    for (int64_t i = begin; i < end; ++i) {
      std::byte* page = rows.Visible(i) > 0 ? rows.Page(i, rows.Position(i)) : nullptr;
      if (page) layout.Write(simd_, t[0].as<float>() + i * layout.width, rows.Position(i) % kPageTokens, page);
    }
  }

 private:
  const Simd& simd_ = SimdFor(HostIsa());
  CacheFormat format_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeIndexAppend(const nlohmann::json& attributes) {
  CacheFormat format{};
  Attributes a(attributes);
  ReadFormat(a, &format);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  return std::make_unique<IndexAppend>(format);
}

}  // namespace modelc::cpu
