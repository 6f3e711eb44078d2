#include "core/text/tokenizer.h"

#include <fstream>
#include <random>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/text/cases.h"

namespace modelc {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

const char kNano[] = "models/nano/checkpoint/tokenizer.json";

const Tokenizer& V3() {
  static const auto tokenizer = Tokenizer::Load("tests/fixtures/deepseek-v3-tokenizer/tokenizer.json").value();
  return *tokenizer;
}

TEST(Tokenizer, EqualsEveryRecordedCase) {
  for (const Json& c : ReadJsonLines("tests/fixtures/deepseek-v3-tokenizer/goldens.jsonl")) {
    SCOPED_TRACE(c["text"]);
    const auto ids = c["ids"].get<std::vector<int32_t>>();
    absl::StatusOr<std::vector<int32_t>> encoded = V3().Encode(c["text"].get<std::string>());
    ASSERT_TRUE(encoded.ok()) << encoded.status();
    EXPECT_EQ(*encoded, ids);
    EXPECT_EQ(V3().Decode(ids).value(), c["decoded"].get<std::string>());
    // A second time, now that words were met before.
    EXPECT_EQ(V3().Encode(c["text"].get<std::string>()).value(), ids);
  }
}

// Text of every kind that a split, an added token or a merge cares about.
std::string RandomText(std::mt19937& random, int pieces) {
  static const char* const kPieces[] = {"a",
                                        "B",
                                        "the ",
                                        " token",
                                        "12",
                                        "3456",
                                        "٣",
                                        "½",
                                        "é",
                                        "e\u0301",
                                        "ß",
                                        "中文",
                                        "かな",
                                        "カナ",
                                        "한글",
                                        " ",
                                        "  ",
                                        "\t",
                                        "\n",
                                        "\r\n",
                                        "\u00a0",
                                        "\u2003",
                                        "\u180e",
                                        "\u200b",
                                        "🙂",
                                        "👩‍👩‍👧",
                                        "\u0301",
                                        ".",
                                        "...",
                                        "!?",
                                        "$x",
                                        "#a",
                                        "_",
                                        "-",
                                        "「",
                                        "」",
                                        "｜",
                                        "▁",
                                        "\x01",
                                        "\x7f",
                                        "\ufeff",
                                        "ﷺ",
                                        "𝔘",
                                        "नमस्ते",
                                        "שלום",
                                        "<think>",
                                        "</think>",
                                        "<｜User｜>",
                                        "<｜Use",
                                        "｜DSML｜",
                                        "<｜end▁of▁sentence｜>",
                                        "<｜place▁holder▁no▁7｜>",
                                        "<<think>"};
  std::string text;
  while (pieces-- > 0) text += kPieces[random() % std::size(kPieces)];
  return text;
}

TEST(Tokenizer, DecodingAnEncodedTextGivesItBack) {
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = RandomText(random, i % 40);
    EXPECT_EQ(V3().Decode(V3().Encode(text).value()).value(), text);
  }
}

TEST(Tokenizer, LongRunsTakeReasonableTime) {
  for (const char* unit : {"a", " ", "1", "中", "\n", "!", "\u0301", "\x01", "🙂", " \n", "ab "}) {
    std::string text;
    while (text.size() < (1 << 20)) text += unit;
    absl::StatusOr<std::vector<int32_t>> ids = V3().Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(V3().Decode(*ids).value(), text);
  }
}

TEST(Tokenizer, KnowsItsTokens) {
  EXPECT_EQ(V3().vocab_size(), 128815);
  EXPECT_EQ(V3().AddedToken("<｜User｜>"), 128803);
  EXPECT_EQ(V3().AddedToken("the"), std::nullopt);
  EXPECT_EQ(V3().TokenBytes(128803), "<｜User｜>");
  EXPECT_EQ(V3().TokenBytes(V3().Encode(" the").value()[0]), " the");
  EXPECT_EQ(V3().TokenBytes(-1), "");
  EXPECT_EQ(V3().TokenBytes(128815), "");
  EXPECT_THAT(V3().Encode("").value(), SizeIs(0));
}

TEST(Tokenizer, RefusesInvalidUtf8) {
  absl::StatusOr<std::vector<int32_t>> ids = V3().Encode("caf\xE9 x");
  EXPECT_EQ(ids.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(ids.status().message()), HasSubstr("byte 3"));
}

TEST(Tokenizer, RefusesUnknownIds) {
  for (int32_t id : {-1, 128815, INT32_MAX}) {
    EXPECT_EQ(V3().Decode(std::vector<int32_t>{0, id}).status().code(), absl::StatusCode::kOutOfRange) << id;
  }
}

TEST(StreamDecoder, AddsUpToDecode) {
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    std::vector<int32_t> ids = V3().Encode(RandomText(random, 20)).value();
    for (int n = 0; n < 3; ++n)
      ids.insert(ids.begin() + random() % (ids.size() + 1), random() % 256 + 3);  // stray bytes
    StreamDecoder decoder(&V3());
    std::string text;
    for (int32_t id : ids) text += decoder.Push(id);
    text += decoder.Finish();
    EXPECT_EQ(text, V3().Decode(ids).value());
  }
}

TEST(StreamDecoder, WaitsForWholeCharacters) {
  const std::vector<int32_t> ids = V3().Encode("\U0001FAE8").value();
  ASSERT_GT(ids.size(), 1u);
  StreamDecoder decoder(&V3());
  for (size_t i = 0; i + 1 < ids.size(); ++i) EXPECT_EQ(decoder.Push(ids[i]), "");
  EXPECT_EQ(decoder.Push(ids.back()), "\U0001FAE8");
  EXPECT_EQ(decoder.Push(ids[0]), "");
  EXPECT_EQ(decoder.Finish(), "\uFFFD");
  EXPECT_EQ(decoder.Finish(), "");
}

// Changes the nano tokenizer's JSON and returns what FromJson says of it.
class BrokenTokenizer : public testing::Test {
 protected:
  BrokenTokenizer() {
    std::ifstream in(kNano);
    std::ostringstream text;
    text << in.rdbuf();
    text_ = text.str();
    json_ = Json::parse(text_);
  }
  std::string Error(const char* pointer, const Json& value) const {
    Json json = json_;
    json[Json::json_pointer(pointer)] = value;
    return ErrorOf(json.dump());
  }
  static std::string ErrorOf(const std::string& text) {
    absl::StatusOr<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::FromJson(text);
    if (tokenizer.ok()) return "no error";
    EXPECT_EQ(tokenizer.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(tokenizer.status().message());
  }
  std::string text_;
  Json json_;
};

TEST_F(BrokenTokenizer, IsTheGoodOneUnchanged) { EXPECT_EQ(ErrorOf(text_), "no error"); }

TEST_F(BrokenTokenizer, ErrorsNameThePath) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("not JSON"));
  EXPECT_THAT(ErrorOf(text_.substr(0, text_.size() / 2)), HasSubstr("not JSON at byte"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("decoder.type is missing"));
  EXPECT_THAT(Error("/model", nullptr), HasSubstr("model.type is missing"));
  EXPECT_THAT(Error("/model/type", "Unigram"), HasSubstr("model.type 'Unigram'"));
  EXPECT_THAT(Error("/model/vocab", 3), HasSubstr("model.vocab is number; wanted an object"));
  EXPECT_THAT(Error("/model/vocab/a", "x"), HasSubstr("model.vocab[\"a\"] is string; wanted an integer"));
  EXPECT_THAT(Error("/model/vocab/a", -5), HasSubstr("model.vocab[\"a\"] is -5"));
  EXPECT_THAT(Error("/model/vocab/a", 1e10), HasSubstr("model.vocab[\"a\"] is number"));
  EXPECT_THAT(Error("/model/vocab/a", 4000000000u), HasSubstr("model.vocab[\"a\"] is 4000000000"));
  EXPECT_THAT(Error("/model/vocab/a", json_["model"]["vocab"]["b"]), HasSubstr("another token's"));
  EXPECT_THAT(Error("/model/merges", 3), HasSubstr("model.merges is number; wanted an array"));
  EXPECT_THAT(Error("/model/merges/5", "a b c"), HasSubstr("model.merges[5] is not a pair"));
  EXPECT_THAT(Error("/model/merges/5", Json::array({"a"})), HasSubstr("model.merges[5] is not a pair"));
  EXPECT_THAT(Error("/model/merges/5", Json::array({"a", 1})), HasSubstr("model.merges[5] is not a pair"));
  EXPECT_THAT(Error("/model/merges/5", Json::array({"q", "qqqq"})),
              HasSubstr("model.merges[5]: 'qqqq' is not in model.vocab"));
  EXPECT_THAT(Error("/model/dropout", 0.1), HasSubstr("model.dropout"));
  EXPECT_THAT(Error("/model/end_of_word_suffix", "</w>"), HasSubstr("model.end_of_word_suffix"));
  EXPECT_THAT(Error("/normalizer", {{"type", "NFC"}}), HasSubstr("normalizer.type 'NFC'"));
  EXPECT_THAT(Error("/decoder", {{"type", "WordPiece"}}), HasSubstr("decoder.type 'WordPiece'"));
  EXPECT_THAT(Error("/pre_tokenizer", nullptr), HasSubstr("pre_tokenizer.type is missing"));
  EXPECT_THAT(Error("/pre_tokenizer/type", "Whitespace"), HasSubstr("pre_tokenizer.type is 'Whitespace'"));
  EXPECT_THAT(Error("/pre_tokenizer/pretokenizers", Json::array()), HasSubstr("pre_tokenizer.pretokenizers is empty"));
  EXPECT_THAT(Error("/pre_tokenizer/pretokenizers/3", {{"type", "Digits"}}),
              HasSubstr("pre_tokenizer.pretokenizers[3].type is 'Digits'"));
  EXPECT_THAT(Error("/pre_tokenizer/pretokenizers/0/behavior", "Removed"),
              HasSubstr("pre_tokenizer.pretokenizers[0].behavior 'Removed'"));
  EXPECT_THAT(Error("/pre_tokenizer/pretokenizers/0/invert", true), HasSubstr("pretokenizers[0].invert"));
  EXPECT_THAT(Error("/pre_tokenizer/pretokenizers/0/pattern", {{"Regex", "(["}}),
              HasSubstr("pre_tokenizer.pretokenizers[0].pattern.Regex: regex error at byte"));
  EXPECT_THAT(Error("/pre_tokenizer/pretokenizers/0/pattern", {{"Regex", "\\w+"}}), HasSubstr("\\w is not supported"));
  EXPECT_THAT(Error("/pre_tokenizer/pretokenizers/3/add_prefix_space", true), HasSubstr("add_prefix_space"));
  EXPECT_THAT(Error("/added_tokens", 1), HasSubstr("added_tokens is number"));
  EXPECT_THAT(Error("/added_tokens/1/content", nullptr), HasSubstr("added_tokens[1].content is missing"));
  EXPECT_THAT(Error("/added_tokens/1/content", ""), HasSubstr("added_tokens[1].content is empty"));
  EXPECT_THAT(Error("/added_tokens/1/id", 7), HasSubstr("added_tokens[1].id is 7"));
  EXPECT_THAT(Error("/added_tokens/4/id", 7), HasSubstr("added_tokens[4].id is 7, but another token has it"));
  EXPECT_THAT(Error("/added_tokens/1/lstrip", true), HasSubstr("added_tokens[1].lstrip is true"));
  Json json = json_;
  json["model"]["vocab"].erase("\u0100");
  EXPECT_THAT(ErrorOf(json.dump()), HasSubstr("byte 0"));
}

TEST_F(BrokenTokenizer, MissingFileIsAnError) {
  EXPECT_EQ(Tokenizer::Load("no/such/tokenizer.json").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Tokenizer::Load("tests").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace modelc
