#include "core/text/utf8.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace modelc::utf8 {

Sequence At(std::string_view text, size_t pos) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(pos);
  if (lead < 0x80) return {Sequence::kValid, 1};
  if (lead < 0xC2 || lead > 0xF4) return {Sequence::kInvalid, 1};
  const size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Only the second byte's range depends on the lead: no overlong forms, no surrogates, nothing above U+10FFFF.
  uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (pos + i == text.size()) return {Sequence::kTruncated, i};
    if (byte(pos + i) < low || byte(pos + i) > high) return {Sequence::kInvalid, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Sequence::kValid, length};
}

char32_t CodePoint(std::string_view bytes) {
  const uint8_t lead = bytes[0];
  char32_t c = bytes.size() == 1 ? lead : lead & (0x7F >> bytes.size());
  for (char continuation : bytes.substr(1)) c = c << 6 | (continuation & 0x3F);
  return c;
}

size_t FindInvalid(std::string_view text) {
  for (size_t pos = 0; pos < text.size();) {
    uint64_t word;
    if (pos + sizeof word <= text.size()) {
      std::memcpy(&word, text.data() + pos, sizeof word);
      if ((word & 0x8080808080808080u) == 0) {
        pos += sizeof word;
        continue;
      }
    }
    const Sequence sequence = At(text, pos);
    if (sequence.kind != Sequence::kValid) return pos;
    pos += sequence.length;
  }
  return std::string_view::npos;
}

std::string Repair(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t good = std::min(FindInvalid(text), text.size());
    out += text.substr(0, good);
    text.remove_prefix(good);
    if (text.empty()) break;
    out += "\xEF\xBF\xBD";
    text.remove_prefix(At(text, 0).length);
  }
  return out;
}

}  // namespace modelc::utf8
