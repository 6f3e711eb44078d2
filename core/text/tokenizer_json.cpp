#include "core/text/tokenizer_json.h"

#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "core/text/json.h"
#include "core/text/utf8.h"

namespace modelc {
namespace {

using SortedJson = nlohmann::json;

constexpr int64_t kMaxId = (1 << 24) - 1;

// GPT-2's own split, which a ByteLevel pre-tokenizer with use_regex stands for.
constexpr std::string_view kGpt2Split = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

template <typename... Parts>
absl::Status Wrong(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat("tokenizer.json: ", parts...));
}

// A value and where it is, so that every error can say so.
class Field {
 public:
  Field(const SortedJson* value, std::string path) : value_(value), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  const SortedJson& value() const { return *value_; }
  bool present() const { return value_ != nullptr && !value_->is_null(); }

  Field operator[](const char* name) const {
    std::string path = path_.empty() ? name : absl::StrCat(path_, ".", name);
    if (!present() || !value_->is_object()) return Field(nullptr, std::move(path));
    auto member = value_->find(name);
    return Field(member == value_->end() ? nullptr : &*member, std::move(path));
  }
  Field At(size_t i) const { return Field(&(*value_)[i], absl::StrCat(path_, "[", i, "]")); }

  absl::Status Want(const char* what) const {
    return Wrong(path_, present() ? absl::StrCat(" is ", value_->type_name()) : std::string(" is missing"), "; wanted ",
                 what);
  }
  absl::StatusOr<size_t> ArraySize() const {
    if (!present() || !value_->is_array()) return Want("an array");
    return value_->size();
  }
  absl::StatusOr<std::string> String() const {
    if (!present() || !value_->is_string()) return Want("a string");
    return value_->get<std::string>();
  }
  absl::StatusOr<bool> Bool(bool otherwise) const {
    if (!present()) return otherwise;
    if (!value_->is_boolean()) return Want("true or false");
    return value_->get<bool>();
  }
  absl::StatusOr<int32_t> Id() const {
    if (!present() || !value_->is_number_integer()) return Want("an integer");
    const int64_t id = value_->get<int64_t>();
    if (id < 0 || id > kMaxId) return Wrong(path_, " is ", value_->dump(), "; wanted an id from 0 to ", kMaxId);
    return static_cast<int32_t>(id);
  }
  // Present and anything but `plain` (false, null, "") is refused.
  absl::Status MustBe(const SortedJson& plain) const {
    if (!present() || *value_ == plain) return absl::OkStatus();
    return Wrong(path_, " is ", value_->dump(), "; only ", plain.dump(), " is supported");
  }

 private:
  const SortedJson* value_;
  std::string path_;
};

// GPT-2's alphabet: printable Latin-1 characters stand for themselves, the other bytes for U+0100 and up, in order.
class ByteAlphabet {
 public:
  ByteAlphabet() {
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool plain = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      bytes_[plain ? static_cast<char32_t>(byte) : next++] = static_cast<char>(byte);
    }
  }
  // The bytes that `token` spells; nothing where a character is not of the alphabet.
  std::optional<std::string> Bytes(std::string_view token) const {
    std::string bytes;
    for (size_t i = 0; i < token.size();) {
      const size_t length = utf8::At(token, i).length;
      auto byte = bytes_.find(utf8::CodePoint(token.substr(i, length)));
      if (byte == bytes_.end()) return std::nullopt;
      bytes += byte->second;
      i += length;
    }
    return bytes;
  }

 private:
  absl::flat_hash_map<char32_t, char> bytes_;
};

class TokenizerJsonReader {
 public:
  explicit TokenizerJsonReader(const SortedJson& json) : root_(&json, "") {}

  absl::StatusOr<TokenizerSpec> Read() {
    if (!root_.value().is_object()) return Wrong("the file is not a JSON object");
    MODELC_RETURN_IF_ERROR(ReadNormalizer(root_["normalizer"]));
    MODELC_RETURN_IF_ERROR(ReadDecoder(root_["decoder"]));
    MODELC_RETURN_IF_ERROR(ReadModel(root_["model"]));
    MODELC_RETURN_IF_ERROR(ReadPreTokenizer(root_["pre_tokenizer"], /*last=*/true));
    MODELC_RETURN_IF_ERROR(ReadAddedTokens(root_["added_tokens"]));
    // Token bytes no longer move.
    for (const auto& [token, id] : ids_) {
      if (alphabet_.Bytes(Std(token))) spec_.bpe.words.emplace_back(spec_.token_bytes[id], id);
    }
    return std::move(spec_);
  }

 private:
  absl::Status ReadNormalizer(const Field& normalizer) {
    if (!normalizer.present()) return absl::OkStatus();
    MODELC_ASSIGN_OR_RETURN(std::string type, normalizer["type"].String());
    if (type != "Sequence") return Wrong("normalizer.type '", type, "' is not supported");
    MODELC_ASSIGN_OR_RETURN(size_t size, normalizer["normalizers"].ArraySize());
    if (size > 0) return Wrong("normalizer.normalizers[0] is not supported; texts are encoded as they are");
    return absl::OkStatus();
  }

  absl::Status ReadDecoder(const Field& decoder) {
    MODELC_ASSIGN_OR_RETURN(std::string type, decoder["type"].String());
    if (type != "ByteLevel") return Wrong("decoder.type '", type, "' is not supported; only ByteLevel is");
    return absl::OkStatus();
  }

  // The splits come first; ByteLevel, which makes bytes of the text, last.
  absl::Status ReadPreTokenizer(const Field& field, bool last) {
    MODELC_ASSIGN_OR_RETURN(std::string type, field["type"].String());
    if (type == "Sequence") {
      const Field steps = field["pretokenizers"];
      MODELC_ASSIGN_OR_RETURN(size_t size, steps.ArraySize());
      if (size == 0 && last) return Wrong(steps.path(), " is empty; its last must be ByteLevel");
      for (size_t i = 0; i < size; ++i) MODELC_RETURN_IF_ERROR(ReadPreTokenizer(steps.At(i), last && i + 1 == size));
      return absl::OkStatus();
    }
    if ((type == "ByteLevel") != last) {
      return Wrong(field.path(), ".type is '", type, "'; splits and then one ByteLevel are supported");
    }
    if (type == "ByteLevel") return ReadByteLevel(field);
    if (type != "Split") return Wrong(field.path(), ".type '", type, "' is not supported");
    return ReadSplit(field);
  }

  absl::Status ReadByteLevel(const Field& field) {
    MODELC_ASSIGN_OR_RETURN(bool prefix, field["add_prefix_space"].Bool(true));
    if (prefix) return Wrong(field.path(), ".add_prefix_space must be false");
    MODELC_ASSIGN_OR_RETURN(bool regex, field["use_regex"].Bool(true));
    return regex ? spec_.splitter.Add(kGpt2Split, /*literal=*/false) : absl::OkStatus();
  }

  absl::Status ReadSplit(const Field& field) {
    MODELC_RETURN_IF_ERROR(field["invert"].MustBe(false));
    MODELC_ASSIGN_OR_RETURN(std::string behavior, field["behavior"].String());
    if (behavior != "Isolated") {
      return Wrong(field.path(), ".behavior '", behavior, "' is not supported; only Isolated is");
    }
    const bool literal = field["pattern"]["String"].present();
    const Field pattern = field["pattern"][literal ? "String" : "Regex"];
    MODELC_ASSIGN_OR_RETURN(std::string text, pattern.String());
    if (text.empty()) return Wrong(pattern.path(), " is empty");
    absl::Status added = spec_.splitter.Add(text, literal);
    return added.ok() ? added : Wrong(pattern.path(), ": ", added.message());
  }

  absl::Status ReadModel(const Field& model) {
    MODELC_ASSIGN_OR_RETURN(std::string type, model["type"].String());
    if (type != "BPE") return Wrong("model.type '", type, "' is not supported; only BPE is");
    if (model["dropout"].present() && model["dropout"].value() != 0) {
      return Wrong("model.dropout must be null or 0; encoding is deterministic");
    }
    MODELC_RETURN_IF_ERROR(model["continuing_subword_prefix"].MustBe(""));
    MODELC_RETURN_IF_ERROR(model["end_of_word_suffix"].MustBe(""));
    MODELC_ASSIGN_OR_RETURN(spec_.bpe.ignore_merges, model["ignore_merges"].Bool(false));
    MODELC_RETURN_IF_ERROR(ReadVocab(model["vocab"]));
    return ReadMerges(model["merges"]);
  }

  absl::Status ReadVocab(const Field& vocab) {
    if (!vocab.present() || !vocab.value().is_object()) return vocab.Want("an object");
    ids_.reserve(vocab.value().size());
    for (auto entry = vocab.value().begin(); entry != vocab.value().end(); ++entry) {
      const std::string& token = entry.key();
      MODELC_ASSIGN_OR_RETURN(int32_t id, Field(&*entry, absl::StrCat("model.vocab[\"", token, "\"]")).Id());
      if (token.empty()) return Wrong("model.vocab[\"\"]: a token must not be empty");
      if (Has(id)) return Wrong("model.vocab[\"", token, "\"]: id ", id, " is another token's");
      SetBytes(id, token);
      ids_.emplace(token, id);
    }
    spec_.bpe.bytes.fill(-1);
    for (const auto& [token, id] : ids_) {
      auto bytes = alphabet_.Bytes(Std(token));
      if (bytes && bytes->size() == 1) spec_.bpe.bytes[static_cast<uint8_t>((*bytes)[0])] = id;
    }
    for (int byte = 0; byte < 256; ++byte) {
      const bool occurs = byte < 0xF5 && byte != 0xC0 && byte != 0xC1;  // in UTF-8
      if (occurs && spec_.bpe.bytes[byte] < 0) return Wrong("model.vocab lacks a token for byte ", byte);
    }
    return absl::OkStatus();
  }

  // "left right", or ["left", "right"] as newer files write it.
  absl::Status ReadMerges(const Field& merges) {
    MODELC_ASSIGN_OR_RETURN(size_t size, merges.ArraySize());
    spec_.bpe.merges.reserve(size);
    for (size_t i = 0; i < size; ++i) {
      const SortedJson& merge = merges.value()[i];
      std::string_view left, right;
      if (merge.is_string()) {
        const std::string_view text = merge.get_ref<const std::string&>();
        const size_t space = text.find(' ');
        if (space != text.npos && text.find(' ', space + 1) == text.npos) {
          left = text.substr(0, space);
          right = text.substr(space + 1);
        }
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        left = merge[0].get_ref<const std::string&>();
        right = merge[1].get_ref<const std::string&>();
      }
      if (left.empty() || right.empty()) return Wrong(merges.At(i).path(), " is not a pair of tokens");
      const std::string joined = absl::StrCat(Absl(left), Absl(right));
      Bpe::Merge ids;
      for (auto [token, id] :
           {std::pair{left, &ids.left}, {right, &ids.right}, {std::string_view(joined), &ids.result}}) {
        auto entry = ids_.find(Absl(token));
        if (entry == ids_.end()) return Wrong(merges.At(i).path(), ": '", Absl(token), "' is not in model.vocab");
        *id = entry->second;
      }
      spec_.bpe.merges.push_back(ids);
    }
    return absl::OkStatus();
  }

  absl::Status ReadAddedTokens(const Field& tokens) {
    if (!tokens.present()) return absl::OkStatus();
    MODELC_ASSIGN_OR_RETURN(size_t size, tokens.ArraySize());
    for (size_t i = 0; i < size; ++i) {
      const Field token = tokens.At(i);
      TokenizerSpec::AddedToken added;
      MODELC_ASSIGN_OR_RETURN(added.text, token["content"].String());
      MODELC_ASSIGN_OR_RETURN(added.id, token["id"].Id());
      MODELC_ASSIGN_OR_RETURN(added.normalized, token["normalized"].Bool(false));
      for (const char* flag : {"single_word", "lstrip", "rstrip"}) MODELC_RETURN_IF_ERROR(token[flag].MustBe(false));
      if (added.text.empty()) return Wrong(token.path(), ".content is empty");
      auto entry = ids_.find(added.text);
      const bool known = entry != ids_.end();
      if (known ? entry->second != added.id : Has(added.id)) {
        return Wrong(token.path(), ".id is ", added.id, ", but ",
                     known ? absl::StrCat("'", added.text, "' has id ", entry->second) : "another token has it");
      }
      if (!known) SetBytes(added.id, added.text);
      spec_.added.push_back(std::move(added));
    }
    return absl::OkStatus();
  }

  bool Has(int32_t id) const {
    return static_cast<size_t>(id) < spec_.token_bytes.size() && !spec_.token_bytes[id].empty();
  }
  void SetBytes(int32_t id, const std::string& token) {
    if (static_cast<size_t>(id) >= spec_.token_bytes.size()) spec_.token_bytes.resize(id + 1);
    // A token that the alphabet does not spell is its own text.
    spec_.token_bytes[id] = alphabet_.Bytes(token).value_or(token);
  }

  const Field root_;
  const ByteAlphabet alphabet_;
  absl::flat_hash_map<std::string, int32_t> ids_;  // of the vocabulary
  TokenizerSpec spec_;
};

}  // namespace

absl::StatusOr<TokenizerSpec> ReadTokenizerJson(std::string_view json) {
  absl::StatusOr<SortedJson> parsed = ParseSortedJson(json);
  if (!parsed.ok()) return Wrong(parsed.status().message());
  return TokenizerJsonReader(*parsed).Read();
}

}  // namespace modelc
