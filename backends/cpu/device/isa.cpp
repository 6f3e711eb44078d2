#include <algorithm>
#include <cstdlib>

#include "backends/cpu/kernels/kernel.h"

namespace modelc::cpu {
namespace {

Isa Detect() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  // The levels that generated code is made for too (table.cpp).
  if (!__builtin_cpu_supports("x86-64-v3")) return Isa::kPortable;
  if (!__builtin_cpu_supports("x86-64-v4")) return Isa::kAvx2;
  return __builtin_cpu_supports("avx512vnni") ? Isa::kAvx512Vnni : Isa::kAvx512;
#else
  return Isa::kPortable;
#endif
}

}  // namespace

const char* Name(Isa isa) {
  switch (isa) {
    case Isa::kPortable: return "portable";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512: return "avx512";
    case Isa::kAvx512Vnni: return "avx512_vnni";
  }
  return "?";
}

std::optional<Isa> ParseIsa(std::string_view name) {
  for (Isa isa : {Isa::kPortable, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni})
    if (name == Name(isa)) return isa;
  return std::nullopt;
}

Isa HostIsa() {
  static const Isa detected = Detect();
  const char* name = std::getenv("MODELC_CPU_ISA");
  const std::optional<Isa> wanted = name ? ParseIsa(name) : std::nullopt;
  return wanted ? std::min(*wanted, detected) : detected;
}

}  // namespace modelc::cpu
