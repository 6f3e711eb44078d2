// The byte-level BPE tokenizer a checkpoint's tokenizer.json describes (regex splits, byte-level alphabet, added
// tokens). Exact against Hugging Face `tokenizers`. Immutable and thread-safe after Load.
#ifndef MODELC_CORE_TEXT_TOKENIZER_H_
#define MODELC_CORE_TEXT_TOKENIZER_H_

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace modelc {

class Tokenizer {
 public:
  // InvalidArgument names the JSON path that is wrong or not supported.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Load(const std::filesystem::path& tokenizer_json);
  static absl::StatusOr<std::unique_ptr<Tokenizer>> FromJson(std::string_view json);
  virtual ~Tokenizer() = default;

  // Special and added tokens in the text are recognized; no beginning token is added. InvalidArgument on invalid UTF-8,
  // with the byte offset.
  virtual absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text) const = 0;
  // Bytes of the ids, special tokens kept, invalid UTF-8 replaced by U+FFFD as Hugging Face does. OutOfRange on unknown
  // ids.
  virtual absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids) const = 0;
  // Raw bytes of one token (may end inside a UTF-8 character); empty for unknown ids.
  virtual std::string_view TokenBytes(int32_t id) const = 0;
  // The id of an added token's exact text ("<think>").
  virtual std::optional<int32_t> AddedToken(std::string_view text) const = 0;
  virtual int32_t vocab_size() const = 0;
};

// Turns ids into text as they come, never splitting a UTF-8 character: incomplete bytes wait for the next id; Finish
// returns them replaced.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer* tokenizer) : tokenizer_(tokenizer) {}
  std::string Push(int32_t id);
  std::string Finish();

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
};

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_TOKENIZER_H_
