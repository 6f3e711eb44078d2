#include "core/text/tokenizer.h"


#include "absl/strings/str_cat.h"
#include "core/support/file.h"
#include "core/support/status.h"
#include "core/text/tokenizer_json.h"
#include "core/text/utf8.h"

namespace modelc {
namespace {

class ByteLevelTokenizer final : public Tokenizer {
 public:
  explicit ByteLevelTokenizer(TokenizerSpec spec)
      : token_bytes_(std::move(spec.token_bytes)), splitter_(std::move(spec.splitter)), bpe_(std::move(spec.bpe)) {
    for (const auto& token : spec.added) {
      added_[token.normalized].Add(token.text, token.id);
      added_ids_.emplace(token.text, token.id);
    }
  }

  absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text) const override {
    if (size_t bad = utf8::FindInvalid(text); bad != std::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("the text is not UTF-8 at byte ", bad));
    }
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 3 + 1);
    MODELC_RETURN_IF_ERROR(EncodeBetween(0, text, ids));
    return ids;
  }

  absl::StatusOr<std::string> Decode(absl::Span<const int32_t> ids) const override {
    std::string bytes;
    for (size_t i = 0; i < ids.size(); ++i) {
      const std::string_view token = TokenBytes(ids[i]);
      if (token.empty()) {
        return absl::OutOfRangeError(absl::StrCat("id ", ids[i], " at place ", i,
                                                  " is not a token's; the vocabulary has ", vocab_size(), " ids"));
      }
      bytes += token;
    }
    return utf8::Repair(bytes);
  }

  std::string_view TokenBytes(int32_t id) const override {
    return id >= 0 && id < vocab_size() ? std::string_view(token_bytes_[id]) : std::string_view();
  }

  std::optional<int32_t> AddedToken(std::string_view text) const override {
    auto id = added_ids_.find(std::string(text));
    return id == added_ids_.end() ? std::nullopt : std::optional(id->second);
  }

  int32_t vocab_size() const override { return static_cast<int32_t>(token_bytes_.size()); }

 private:
  // Cuts `text` at the added tokens of this pass (first those that are not normalized, then the others); what no pass
  // claims is split into words.
  absl::Status EncodeBetween(size_t pass, std::string_view text, std::vector<int32_t>& ids) const {
    if (pass == std::size(added_)) {
      return splitter_.Split(text, [&](std::string_view word) { bpe_.Encode(word, ids); });
    }
    size_t done = 0;
    while (auto match = added_[pass].Find(text, done)) {
      MODELC_RETURN_IF_ERROR(EncodeBetween(pass + 1, text.substr(done, match->begin - done), ids));
      ids.push_back(match->id);
      done = match->end;
    }
    return EncodeBetween(pass + 1, text.substr(done), ids);
  }

  const std::vector<std::string> token_bytes_;  // moved here with its strings' addresses unchanged: bpe_ views them
  const Splitter splitter_;
  const Bpe bpe_;
  AddedTokens added_[2];  // [normalized]
  absl::flat_hash_map<std::string, int32_t> added_ids_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::FromJson(std::string_view json) {
  MODELC_ASSIGN_OR_RETURN(TokenizerSpec spec, ReadTokenizerJson(json));
  return std::make_unique<ByteLevelTokenizer>(std::move(spec));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Load(const std::filesystem::path& tokenizer_json) {
  MODELC_ASSIGN_OR_RETURN(const std::string text, ReadFile(tokenizer_json));
  absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = FromJson(text);
  if (!tokenizer.ok()) {
    return absl::Status(tokenizer.status().code(),
                        absl::StrCat(tokenizer_json.parent_path().string(), "/", tokenizer.status().message()));
  }
  return tokenizer;
}

std::string StreamDecoder::Push(int32_t id) {
  pending_ += tokenizer_->TokenBytes(id);
  // Only the last character can be incomplete, and it begins in the last three bytes.
  size_t ready = pending_.size();
  for (size_t i = ready - std::min<size_t>(ready, 3); i < pending_.size(); ++i) {
    const utf8::Sequence sequence = utf8::At(pending_, i);
    if (sequence.kind == utf8::Sequence::kTruncated && i + sequence.length == pending_.size()) {
      ready = i;
      break;
    }
  }
  std::string text = utf8::Repair(std::string_view(pending_).substr(0, ready));
  pending_.erase(0, ready);
  return text;
}

std::string StreamDecoder::Finish() { return utf8::Repair(std::exchange(pending_, {})); }

}  // namespace modelc
