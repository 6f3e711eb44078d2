#include <cstdlib>

#include "core/checkpoint/safetensors.h"
#include "tests/fuzz/fuzz.h"

namespace modelc::fuzz {

void Safetensors(const uint8_t* data, size_t size) {
  auto entries = ReadSafetensorsHeader({reinterpret_cast<const std::byte*>(data), size});
  if (!entries.ok()) return;
  for (const SafetensorsEntry& entry : *entries) {
    if (entry.offset > size || entry.bytes > size - entry.offset) std::abort();
  }
}

}  // namespace modelc::fuzz
