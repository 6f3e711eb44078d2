#include <cstdlib>

#include "core/program/program.h"
#include "tests/fuzz/fuzz.h"

namespace modelc::fuzz {

void ProgramFile(const uint8_t* data, size_t size) {
  auto program = ParseProgram({reinterpret_cast<const char*>(data), size});
  if (!program.ok()) return;
  const std::string text = Serialize(*program);
  auto again = ParseProgram(text);
  if (!again.ok() || Serialize(*again) != text) std::abort();
}

}  // namespace modelc::fuzz
