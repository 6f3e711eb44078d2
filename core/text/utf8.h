// UTF-8 well-formedness (Unicode 15, table 3-7): finding, replacing and waiting for ill-formed bytes.
#ifndef MODELC_CORE_TEXT_UTF8_H_
#define MODELC_CORE_TEXT_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace modelc::utf8 {

struct Sequence {
  enum Kind {
    kValid,      // a character
    kInvalid,    // the longest start of a character that no further byte can complete, or a single stray byte
    kTruncated,  // the text ends inside what may yet become a character
  };
  Kind kind;
  size_t length;  // bytes, at least 1
};

// What begins at text[pos]; pos < text.size().
Sequence At(std::string_view text, size_t pos);

// The character that `bytes`, one valid sequence, encodes.
char32_t CodePoint(std::string_view bytes);

// Offset of the first byte that is not part of a character; npos where all are.
size_t FindInvalid(std::string_view text);

// Puts U+FFFD in place of each ill-formed sequence, as WHATWG decoders and Rust's from_utf8_lossy do.
std::string Repair(std::string_view text);

}  // namespace modelc::utf8

#endif  // MODELC_CORE_TEXT_UTF8_H_
