#include "backends/cpu/device/device.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "plugins/sdk/tensor.h"

namespace {

// "model name" of /proc/cpuinfo.
std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0)
      if (const size_t colon = line.find(": "); colon != std::string::npos) return line.substr(colon + 2);
  return "CPU";
}

}  // namespace

modelc_device::modelc_device(int threads)
    : pool(threads),
      memory_bytes(static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE))),
      name(absl::StrCat(ProcessorName(), ", ", threads, threads == 1 ? " thread, " : " threads, ",
                        modelc::cpu::Name(modelc::cpu::HostIsa()))),
      manifest(modelc::cpu::Manifest(threads, memory_bytes)) {}

namespace modelc::cpu {
namespace {

constexpr uint64_t kHugePage = 2 << 20;

absl::Status CheckExtent(const modelc_buffer& buffer, uint64_t offset, uint64_t bytes) {
  if (sdk::InRange(offset, bytes, buffer.bytes)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("needs bytes ", offset, " to ", offset + bytes, " of a buffer of ", buffer.bytes));
}

// Looks a tensor's buffers up.
absl::StatusOr<Tensor> Resolve(const modelc_tensor& t) {
  Tensor out;
  if (t.buffer == nullptr) return out;
  const std::optional<uint64_t> bytes = sdk::TensorBytes(t);
  if (!bytes)
    return absl::InvalidArgumentError(
        absl::StrCat("dtype ", t.dtype, ", rank ", t.rank, " or its shape is none a buffer can hold"));
  out.dtype = static_cast<modelc_dtype>(t.dtype);
  out.rank = static_cast<int>(t.rank);
  std::copy_n(t.shape, out.rank, out.shape);
  if (absl::Status s = CheckExtent(*t.buffer, t.offset, *bytes); !s.ok()) return s;
  if (t.offset % sdk::Alignment(t.dtype) != 0)
    return absl::InvalidArgumentError(absl::StrCat("offset ", t.offset, " splits an element"));
  out.data = t.buffer->data + t.offset;
  if (t.scale != nullptr) {
    if (out.dtype != MODELC_F8E4M3 || out.rank < 2)
      return absl::InvalidArgumentError("has block scales; only f8e4m3 matrices do");
    uint64_t blocks = 1;  // 128 x 128 in the last two dimensions
    for (int d = 0; d < out.rank; ++d) blocks *= d < out.rank - 2 ? out.shape[d] : (out.shape[d] + 127) / 128;
    if (absl::Status s = CheckExtent(*t.scale, t.scale_offset, blocks * sizeof(float)); !s.ok())
      return absl::InvalidArgumentError(absl::StrCat("scales: ", std::string(s.message())));
    if (t.scale_offset % sizeof(float) != 0)
      return absl::InvalidArgumentError(absl::StrCat("scale offset ", t.scale_offset, " splits an element"));
    out.scale = reinterpret_cast<const float*>(t.scale->data + t.scale_offset);
  }
  return out;
}

absl::Status InCommand(size_t i, absl::string_view kernel, absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat("command ", i, " (", kernel, "): ", message));
}

}  // namespace

absl::StatusOr<std::unique_ptr<modelc_buffer>> AllocateBuffer(uint64_t bytes) {
  auto buffer = std::make_unique<modelc_buffer>();
  buffer->bytes = bytes;
  const uint64_t unit = bytes >= kHugePage ? kHugePage : 4096;
  if (bytes > UINT64_MAX - unit) return absl::ResourceExhaustedError(absl::StrCat("cannot allocate ", bytes, " bytes"));
  buffer->mapped = std::max<uint64_t>(unit, (bytes + unit - 1) / unit * unit);
  void* memory =
      mmap(nullptr, buffer->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return absl::ResourceExhaustedError(absl::StrCat("cannot allocate ", bytes, " bytes"));
  if (unit == kHugePage) madvise(memory, buffer->mapped, MADV_HUGEPAGE);  // fewer TLB misses in gathers; a hint
  buffer->data = static_cast<std::byte*>(memory);
  return buffer;
}

void FreeBuffer(modelc_buffer* buffer) {
  if (buffer && buffer->mapped) munmap(buffer->data, buffer->mapped);
  delete buffer;
}

absl::StatusOr<std::unique_ptr<modelc_kernel>> ResolveKernel(std::string_view name, std::string_view attributes_json) {
  const KernelEntry* entry = FindKernel(name);
  if (!entry) return absl::NotFoundError(absl::StrCat("no kernel '", std::string(name), "' in the cpu plugin"));
  const nlohmann::json attributes = nlohmann::json::parse(attributes_json, nullptr, /*allow_exceptions=*/false);
  if (attributes.is_discarded())
    return absl::InvalidArgumentError(absl::StrCat("kernel '", std::string(name), "': attributes are not JSON"));
  absl::StatusOr<std::unique_ptr<Kernel>> kernel = entry->make(attributes);
  if (!kernel.ok())
    return absl::Status(kernel.status().code(),
                        absl::StrCat("kernel '", std::string(name), "': ", kernel.status().message()));
  auto out = std::make_unique<modelc_kernel>();
  out->name = entry->name;
  out->kernel = *std::move(kernel);
  return out;
}

namespace {

absl::StatusOr<Checked> Check(absl::Span<const modelc_command> commands) {
  size_t n_tensors = 0;
  for (const modelc_command& c : commands) n_tensors += c.n_tensors;
  Checked checked;
  std::vector<Tensor>& tensors = checked.tensors;
  tensors.reserve(n_tensors);
  checked.alone.resize(commands.size());
  for (size_t i = 0; i < commands.size(); ++i) {
    const modelc_command& c = commands[i];
    if (c.kernel == nullptr) return InCommand(i, "no kernel", "the kernel is null");
    const size_t first = tensors.size();
    for (uint32_t t = 0; t < c.n_tensors; ++t) {
      absl::StatusOr<Tensor> tensor = Resolve(c.tensors[t]);
      if (!tensor.ok())
        return InCommand(i, c.kernel->name, absl::StrCat("tensor ", t, ": ", tensor.status().message()));
      tensors.push_back(*tensor);
    }
    const auto operands = absl::MakeConstSpan(tensors).subspan(first);
    if (absl::Status s = c.kernel->kernel->Check(operands); !s.ok())
      return InCommand(i, c.kernel->name, s.message());
    checked.alone[i] = c.kernel->kernel->Alone(operands);
  }
  return checked;
}

// These commands, checked; those of an earlier submit with the key have been. Submits without a key share one place.
absl::StatusOr<const Checked*> CheckedOnce(modelc_stream& stream, absl::Span<const modelc_command> commands,
                                           uint64_t replay_key) {
  constexpr size_t kKept = 4;  // a step and a draft, in two sizes
  std::list<Checked>& replays = stream.replays;
  auto place = std::find_if(replays.begin(), replays.end(), [&](const Checked& c) { return c.replay_key == replay_key; });
  const bool known = place != replays.end() && replay_key != 0 && place->alone.size() == commands.size();
  if (!known) {
    absl::StatusOr<Checked> checked = Check(commands);
    if (!checked.ok()) return checked.status();
    if (place == replays.end()) place = replays.size() < kKept ? replays.emplace(place) : std::prev(place);
    *place = *std::move(checked);
    place->replay_key = replay_key;
  }
  replays.splice(replays.begin(), replays, place);
  return &replays.front();
}

}  // namespace

absl::Status Submit(modelc_stream& stream, absl::Span<const modelc_command> commands, uint64_t replay_key) {
  const absl::StatusOr<const Checked*> checked_or = CheckedOnce(stream, commands, replay_key);
  if (!checked_or.ok()) return checked_or.status();
  const Checked* const checked = *checked_or;
  const std::vector<Tensor>& tensors = checked->tensors;
  const std::vector<char>& alone = checked->alone;
  Traffic read;
  const Tensor* first = tensors.data();
  for (const modelc_command& c : commands) {
    const Traffic t = c.kernel->kernel->Reads({first, c.n_tensors});
    first += c.n_tensors;
    read.weight_bytes += t.weight_bytes;
    read.cache_bytes += t.cache_bytes;
  }
  Pool& pool = stream.device->pool;
  const absl::StatusOr<Traffic> counted = pool.Run([&](Worker& worker) {
    const Tensor* operands = tensors.data();
    bool behind = false;  // worker 0 has done commands the others have not waited for
    for (size_t i = 0; i < commands.size(); operands += commands[i++].n_tensors) {
      const Kernel& kernel = *commands[i].kernel->kernel;
      const absl::Span<const Tensor> view(operands, commands[i].n_tensors);
      if (alone[i]) {
        behind = true;
        if (worker.index() != 0) continue;
        kernel.Run(view, pool.Alone());
        pool.Alone().Barrier();
      } else {
        if (behind) worker.Barrier();
        behind = false;
        kernel.Run(view, worker);
        worker.Barrier();
      }
    }
  });
  if (!counted.ok()) return counted.status();
  stream.read.weight_bytes += read.weight_bytes + counted->weight_bytes;
  stream.read.cache_bytes += read.cache_bytes + counted->cache_bytes;
  return absl::OkStatus();
}

}  // namespace modelc::cpu
