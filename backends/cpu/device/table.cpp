#include "backends/cpu/device/table.h"

#include "absl/strings/str_cat.h"

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
struct CodeTarget {
  const char *cpu, *features;
  int vector_bytes;
};
// By Isa; each has all that those before it have.
constexpr CodeTarget kTargets[] = {
    {"x86-64", "", 16}, {"x86-64-v3", "", 32}, {"x86-64-v4", "", 64}, {"x86-64-v4", "+avx512vnni", 64}};

nlohmann::json Target() {
  const CodeTarget& target = kTargets[static_cast<int>(HostIsa())];
  return {{"triple", kTriple}, {"cpu", target.cpu}, {"features", target.features}, {"vector_bytes", target.vector_bytes}};
}

}  // namespace

absl::Status CheckTarget(std::string_view target) {
  const auto text = [](const CodeTarget& t) { return *t.features ? absl::StrCat(t.cpu, " ", t.features) : t.cpu; };
  const int host = static_cast<int>(HostIsa());
  for (int isa = 0; isa <= host; ++isa)
    if (target == text(kTargets[isa])) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("code was generated for ", std::string(target), ", and this processor is ",
                                                    text(kTargets[host]), "; build the model again on this machine"));
}

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
