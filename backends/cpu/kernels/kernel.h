// What a kernel of the CPU plugin is: checked once per submit, then run by every worker of the pool at the same time.
// Depends on the plugin ABI alone.
#ifndef MODELC_BACKENDS_CPU_KERNELS_KERNEL_H_
#define MODELC_BACKENDS_CPU_KERNELS_KERNEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "nlohmann/json.hpp"
#include "plugins/abi/plugin.h"

namespace modelc::cpu {

// A modelc_tensor with its buffers looked up. data is null for a tensor that was left out.
struct Tensor {
  std::byte* data = nullptr;
  const float* scale = nullptr;  // block scales of an f8e4m3 weight (int8 and int4 hold their own)
  modelc_dtype dtype = MODELC_F32;
  int rank = 0;
  int64_t shape[4] = {1, 1, 1, 1};

  explicit operator bool() const { return data != nullptr; }
  template <typename T>
  T* as() const { return reinterpret_cast<T*>(data); }
  int64_t elements() const { return shape[0] * shape[1] * shape[2] * shape[3]; }  // unused dimensions are 1
  int64_t last() const { return shape[rank - 1]; }
  int64_t rows() const { return last() == 0 ? 0 : elements() / last(); }          // all but the last dimension
};

// Bytes read from weights and from caches (what stream_counters adds up).
struct Traffic {
  uint64_t weight_bytes = 0, cache_bytes = 0;
};

// One member of the team that runs a submit. Every worker runs every command; the pool puts a barrier between commands.
class Worker {
 public:
  virtual ~Worker() = default;
  int index() const { return index_; }
  int count() const { return count_; }
  // Counts what this worker read, for kernels whose Reads cannot know it (lists made on the device).
  void AddTraffic(Traffic t) {
    traffic_.weight_bytes += t.weight_bytes;
    traffic_.cache_bytes += t.cache_bytes;
  }
  // This worker's contiguous share of 0…n-1, in multiples of `grain` (but for the last).
  struct Range { int64_t begin, end; };
  Range Share(int64_t n, int64_t grain = 1) const {
    const int64_t chunks = (n + grain - 1) / grain;
    const int64_t begin = chunks * index_ / count_ * grain, end = chunks * (index_ + 1) / count_ * grain;
    return {begin < n ? begin : n, end < n ? end : n};
  }
  // Work shared by demand: hands out 0, 1, 2 … once each over the whole team; restarts at 0 with every command and at
  // every Barrier.
  virtual int64_t Next() = 0;
  // Waits for the whole team; for kernels with several phases.
  virtual void Barrier() = 0;
  // This worker's memory, 64-byte aligned, kept between commands, contents undefined. Grows on demand; one live use.
  virtual std::byte* Scratch(size_t bytes) = 0;
  // The whole team's memory for one command, the same pointer for every worker; call with equal sizes on each.
  virtual std::byte* Shared(size_t bytes) = 0;

 protected:
  int index_ = 0, count_ = 1;
  Traffic traffic_;
};

class Kernel {
 public:
  virtual ~Kernel() = default;
  // Dtypes, ranks and shapes; the message names the tensor, what was found and what is wanted.
  virtual absl::Status Check(absl::Span<const Tensor> tensors) const = 0;
  // Called on every worker; no allocation but Scratch, no locks, no exceptions.
  virtual void Run(absl::Span<const Tensor> tensors, Worker& worker) const = 0;
  // True when one worker runs the command alone, as a team of one: it is over before a team has met. Commands alone one
  // after another need no barrier between them. The default: all it reads and writes is little.
  virtual bool Alone(absl::Span<const Tensor> tensors) const {
    int64_t bytes = 0;
    for (const Tensor& t : tensors)
      if (t) bytes += t.elements() * (t.dtype == MODELC_F32 || t.dtype == MODELC_I32 ? 4 : t.dtype == MODELC_BF16 ? 2 : 1);
    return bytes <= kAloneBytes;
  }
  static constexpr int64_t kAloneBytes = 64 << 10;
  // Called once per command after Check. May look at pos and offsets, which the host has written by then only when they
  // are step inputs; what a kernel cannot know beforehand it counts while it runs (AddTraffic).
  virtual Traffic Reads(absl::Span<const Tensor> tensors) const { return {}; }
};

// A row of the plugin's kernel table: what the manifest lists, and how to make one. `make` refuses bad attributes.
struct KernelEntry {
  const char* name;
  const char* op;                 // plugins/abi/ops.md
  const char* where;              // manifest.md; "" for always
  int rank;
  absl::StatusOr<std::unique_ptr<Kernel>> (*make)(const nlohmann::json& attributes);
  bool grouped_weights = false;   // takes int8 and int4 besides the dtypes a manifest need not name
};

// Each family of kernels is a file that defines one of these; device/table.cpp joins them.
absl::Span<const KernelEntry> LinearKernels();     // linear, linear_silu_mul, head_linear
absl::Span<const KernelEntry> GroupedKernels();    // grouped_linear, grouped_linear_silu_mul
absl::Span<const KernelEntry> RowKernels();        // embed, norms, rope, hadamard, fake_quantize, add, copy, concat, take_rows
absl::Span<const KernelEntry> MoEKernels();        // moe.route, moe.dispatch, moe.combine
absl::Span<const KernelEntry> AttentionKernels();  // mla.append, mla.attend_latent
absl::Span<const KernelEntry> IndexerKernels();    // dsa.append, dsa.logits, dsa.select, dsa.logits_select

// Instruction sets the kernels are written for; each implies the ones before. What the processor has, lowered by the
// environment variable MODELC_CPU_ISA ("portable", "avx2", "avx512", "avx512_vnni") for tests; read anew by every call,
// so a kernel asks when it is made and keeps its choice.
enum class Isa { kPortable, kAvx2, kAvx512, kAvx512Vnni };
Isa HostIsa();
const char* Name(Isa);
std::optional<Isa> ParseIsa(std::string_view name);

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_KERNEL_H_
