#include "backends/cpu/device/table.h"

namespace modelc::cpu {
namespace {

using Family = absl::Span<const KernelEntry> (*)();
constexpr Family kFamilies[] = {
    LinearKernels, GroupedKernels, RowKernels, MoEKernels, AttentionKernels, IndexerKernels,
};

}  // namespace

const KernelEntry* FindKernel(std::string_view name) {
  for (Family family : kFamilies)
    for (const KernelEntry& entry : family())
      if (name == entry.name) return &entry;
  return nullptr;
}

std::string Manifest(uint32_t threads, uint64_t memory_bytes) {
  nlohmann::json kernels = nlohmann::json::array();
  for (Family family : kFamilies)
    for (const KernelEntry& entry : family()) {
      nlohmann::json kernel = {{"name", entry.name}, {"op", entry.op}, {"rank", entry.rank}};
      if (*entry.where) kernel["where"] = entry.where;
      kernels.push_back(std::move(kernel));
    }
  return nlohmann::json{{"schema", 1},
                        {"device",
                         {{"kind", "cpu"},
                          {"codegen", "none"},
                          {"isa", Name(HostIsa())},
                          {"memory_bytes", memory_bytes},
                          {"threads", threads}}},
                        {"kernels", std::move(kernels)}}
      .dump();
}

}  // namespace modelc::cpu
