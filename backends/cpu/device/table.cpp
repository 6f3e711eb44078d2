#include "backends/cpu/device/table.h"

namespace modelc::cpu {
namespace {

using Family = absl::Span<const KernelEntry> (*)();
constexpr Family kFamilies[] = {
    LinearKernels, GroupedKernels, RowKernels, MoEKernels, AttentionKernels, IndexerKernels,
};

#if defined(__x86_64__)
constexpr std::string_view kTriple = "x86_64-unknown-linux-gnu";
#else
constexpr std::string_view kTriple;  // not tried
#endif

// What generated code may use (plugins/abi/manifest.md): as much as the kernels do.
nlohmann::json Target() {
  const Isa isa = HostIsa();
  const char* cpu = isa == Isa::kPortable ? "x86-64" : isa == Isa::kAvx2 ? "x86-64-v3" : "x86-64-v4";
  return {{"triple", kTriple},
          {"cpu", cpu},
          {"features", ""},
          {"vector_bytes", isa == Isa::kPortable ? 16 : isa == Isa::kAvx2 ? 32 : 64}};
}

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
      if (entry.grouped_weights) kernel["weights"] = {"f8e4m3", "bf16", "f32", "int8", "int4"};
      kernels.push_back(std::move(kernel));
    }
  return nlohmann::json{{"schema", 1},
                        {"device",
                         {{"kind", "cpu"},
                          {"codegen", kTriple.empty() ? "none" : "llvm-cpu"},
                          {"target", Target()},
                          {"isa", Name(HostIsa())},
                          {"memory_bytes", memory_bytes},
                          {"threads", threads}}},
                        {"kernels", std::move(kernels)}}
      .dump();
}

}  // namespace modelc::cpu
