// What a tokenizer.json says, read and checked.
#ifndef MODELC_CORE_TEXT_TOKENIZER_JSON_H_
#define MODELC_CORE_TEXT_TOKENIZER_JSON_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/text/added_tokens.h"
#include "core/text/bpe.h"
#include "core/text/splitter.h"

namespace modelc {

struct TokenizerSpec {
  struct AddedToken {
    std::string text;
    int32_t id;
    bool normalized;  // looked for only where no token that is not normalized was found
  };
  std::vector<std::string> token_bytes;  // by id; empty where no token has the id
  std::vector<AddedToken> added;
  Splitter splitter;
  Bpe::Spec bpe;  // its words view token_bytes
};

// InvalidArgument names the JSON path that is wrong, or that asks for something this tokenizer does not do: models
// other than byte-level BPE, normalizers, splits that remove or join, added tokens that strip or want word borders.
// `truncation`, `padding` and the `post_processor` (which adds tokens around a text) are for the caller to decide and
// are not looked at.
absl::StatusOr<TokenizerSpec> ReadTokenizerJson(std::string_view json);

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_TOKENIZER_JSON_H_
