// Kernels that move rows: embed, take_rows, copy, concat, add.
#include <cstring>

#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/rows.h"
#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {
namespace {

// Elements a worker takes at a time where rows do not matter: 16 KiB of floats.
constexpr int64_t kGrain = 4096;

template <typename K>
absl::StatusOr<std::unique_ptr<Kernel>> Make(const nlohmann::json& attributes) {
  MODELC_CPU_RETURN_IF_ERROR(Attributes(attributes).Finish());
  return std::make_unique<K>();
}

class Embed final : public Kernel {
 public:
  absl::Status Check(absl::Span<const Tensor> t) const override {
    MODELC_CPU_RETURN_IF_ERROR(Match({{"ids", {MODELC_I32}, "T"},
                                      {"table", {MODELC_F32, MODELC_BF16, MODELC_F8E4M3}, "VH"},
                                      {"out", {MODELC_F32}, "TH"}},
                                     t)
                                   .status());
    if (t[1].dtype == MODELC_F8E4M3 && !t[1].scale)
      return absl::InvalidArgumentError("tensor 'table' is f8e4m3 without block scales");
    return absl::OkStatus();
  }

  bool Alone(absl::Span<const Tensor> t) const override { return Kernel::Alone(t.last(1)); }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const auto [ids, table, out] = std::tie(t[0], t[1], t[2]);
    const int64_t width = out.shape[1];
    const auto [begin, end] = worker.Share(ids.shape[0]);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t id = ids.as<int32_t>()[i];
      float* row = out.as<float>() + i * width;
      if (id < 0 || id >= table.shape[0]) {
        std::memset(row, 0, width * sizeof(float));
      } else {
        ReadRow(table, id, width, row);
      }
    }
  }

  Traffic Reads(absl::Span<const Tensor> t) const override {
    const int bytes = t[1].dtype == MODELC_F32 ? 4 : t[1].dtype == MODELC_BF16 ? 2 : 1;
    return {.weight_bytes = static_cast<uint64_t>(t[2].elements() * bytes)};
  }

 private:
  void ReadRow(const Tensor& table, int64_t id, int64_t width, float* row) const {
    switch (table.dtype) {
      case MODELC_F32: std::memcpy(row, table.as<float>() + id * width, width * sizeof(float)); break;
      case MODELC_BF16: simd_.from_bf16(table.as<uint16_t>() + id * width, 1, width, row); break;
      default: {
        const float* scales = table.scale + id / 128 * ((width + 127) / 128);
        for (int64_t c = 0; c < width; c += 128)
          simd_.from_e4m3(table.as<uint8_t>() + id * width + c, scales[c / 128], std::min<int64_t>(128, width - c),
                          row + c);
      }
    }
  }

  const Simd& simd_ = SimdFor(HostIsa());
};

class TakeRows final : public Kernel {
 public:
  absl::Status Check(absl::Span<const Tensor> t) const override {
    return Match({{"x", {MODELC_F32}, "TH"}, {"wanted", {MODELC_I32}, "N"}, {"out", {MODELC_F32}, "NH"}}, t).status();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const auto [x, wanted, out] = std::tie(t[0], t[1], t[2]);
    const int64_t width = out.shape[1];
    const auto [begin, end] = worker.Share(wanted.shape[0]);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t from = wanted.as<int32_t>()[i];
      float* row = out.as<float>() + i * width;
      if (from < 0 || from >= x.shape[0]) {
        std::memset(row, 0, width * sizeof(float));
      } else {
        std::memcpy(row, x.as<float>() + from * width, width * sizeof(float));
      }
    }
  }
};

class Copy final : public Kernel {
 public:
  absl::Status Check(absl::Span<const Tensor> t) const override {
    MODELC_CPU_RETURN_IF_ERROR(Match({{"x", {MODELC_F32, MODELC_BF16, MODELC_F8E4M3, MODELC_I32, MODELC_U8}, "*"},
                                      {"out", {MODELC_F32, MODELC_BF16, MODELC_F8E4M3, MODELC_I32, MODELC_U8}, "*"}},
                                     t)
                                   .status());
    if (t[0].dtype != t[1].dtype) return absl::InvalidArgumentError("tensors 'x' and 'out' differ in dtype");
    return absl::OkStatus();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const int64_t element = t[0].dtype == MODELC_BF16 ? 2 : t[0].dtype == MODELC_F32 || t[0].dtype == MODELC_I32 ? 4 : 1;
    const auto [begin, end] = worker.Share(t[0].elements() * element, 4 * kGrain);
    std::memmove(t[1].data + begin, t[0].data + begin, end - begin);
  }
};

class Concat final : public Kernel {
 public:
  absl::Status Check(absl::Span<const Tensor> t) const override {
    absl::StatusOr<Dims> dims =
        Match({{"a", {MODELC_F32}, "TA"}, {"b", {MODELC_F32}, "TB"}, {"out", {MODELC_F32}, "TC"}}, t);
    if (!dims.ok()) return dims.status();
    if ((*dims)['C'] != (*dims)['A'] + (*dims)['B'])
      return absl::InvalidArgumentError("tensor 'out' is not as wide as 'a' and 'b' together");
    return absl::OkStatus();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const auto [a, b, out] = std::tie(t[0], t[1], t[2]);
    const int64_t wa = a.shape[1], wb = b.shape[1];
    const auto [begin, end] = worker.Share(out.shape[0]);
    for (int64_t i = begin; i < end; ++i) {
      float* row = out.as<float>() + i * (wa + wb);
      std::memcpy(row, a.as<float>() + i * wa, wa * sizeof(float));
      std::memcpy(row + wa, b.as<float>() + i * wb, wb * sizeof(float));
    }
  }
};

class Add final : public Kernel {
 public:
  absl::Status Check(absl::Span<const Tensor> t) const override {
    return Match({{"a", {MODELC_F32}, "*"}, {"b", {MODELC_F32}, "*"}, {"out", {MODELC_F32}, "*"}}, t).status();
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override {
    const auto [begin, end] = worker.Share(t[0].elements(), kGrain);
    simd_.add(t[0].as<float>() + begin, t[1].as<float>() + begin, end - begin, t[2].as<float>() + begin);
  }

 private:
  const Simd& simd_ = SimdFor(HostIsa());
};

constexpr KernelEntry kEntries[] = {
    {"embed", "embed", "", 0, Make<Embed>},    {"take_rows", "take_rows", "", 0, Make<TakeRows>},
    {"copy", "copy", "", 0, Make<Copy>},       {"concat", "concat", "", 0, Make<Concat>},
    {"add", "add", "", 0, Make<Add>},
};

}  // namespace

absl::Span<const KernelEntry> MoveKernels() { return kEntries; }

}  // namespace modelc::cpu
