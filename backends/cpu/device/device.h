// The objects behind the ABI's handles, without the ABI's error type: plugin.cpp puts the C functions around them.
#ifndef MODELC_BACKENDS_CPU_DEVICE_DEVICE_H_
#define MODELC_BACKENDS_CPU_DEVICE_DEVICE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/cpu/device/pool.h"
#include "backends/cpu/device/table.h"
#include "plugins/abi/plugin.h"

struct modelc_buffer {
  std::byte* data = nullptr;
  uint64_t bytes = 0;
  uint64_t mapped = 0;  // bytes to unmap; 0 when the memory is the caller's
};

struct modelc_kernel {
  std::string name;  // for messages
  std::unique_ptr<modelc::cpu::Kernel> kernel;
};

namespace modelc::cpu {

// Commands that passed every check, as their kernels take them.
struct Checked {
  uint64_t replay_key = 0;
  std::vector<Tensor> tensors;  // of all commands, one after another
  std::vector<char> alone;      // by command: worker 0 runs it by itself
};

}  // namespace modelc::cpu

struct modelc_device {
  explicit modelc_device(int threads);

  modelc::cpu::Pool pool;
  uint64_t memory_bytes;
  std::string name;      // "AMD EPYC 7763, 2 threads, avx2"
  std::string manifest;
};

// Submits run at once on the device's pool and have ended when submit returns.
struct modelc_stream {
  modelc_device* device = nullptr;
  modelc::cpu::Traffic read;  // since the counters were last taken
  // Submits that passed every check: the same replay key again needs none. The last few, the newest in front.
  std::list<modelc::cpu::Checked> replays;
};

namespace modelc::cpu {

// Zeroed, 64-byte aligned; ResourceExhausted when there is no memory.
absl::StatusOr<std::unique_ptr<modelc_buffer>> AllocateBuffer(uint64_t bytes);
void FreeBuffer(modelc_buffer* buffer);

// NotFound names the kernel; InvalidArgument says what is wrong with the attributes.
absl::StatusOr<std::unique_ptr<modelc_kernel>> ResolveKernel(std::string_view name, std::string_view attributes_json);

// A kernel of generated code (plugins/abi/codegen.md); InvalidArgument says what is wrong with the description.
absl::StatusOr<std::unique_ptr<modelc_kernel>> LoadKernel(absl::Span<const std::byte> image,
                                                          std::string_view description_json);

// Checks every command, then runs them in order. Equal `replay_key`s other than 0 promise equal kernels, buffers and
// shapes.
absl::Status Submit(modelc_stream& stream, absl::Span<const modelc_command> commands, uint64_t replay_key);

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_DEVICE_DEVICE_H_
