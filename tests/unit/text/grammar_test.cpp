// Grammars, those of JSON and of tool calls, and the masks they put over a vocabulary.
#include "core/text/grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/text/chat.h"
#include "core/text/json_grammar.h"
#include "core/text/token_mask.h"
#include "core/text/tool_grammar.h"

namespace modelc {
namespace {

using testing::HasSubstr;

constexpr const char* kNano = "models/nano/checkpoint/tokenizer.json";

// A finished grammar and its matcher.
class Language {
 public:
  explicit Language(std::shared_ptr<Grammar> grammar) : matcher_(std::move(grammar)) {}
  GrammarMatcher::State After(std::string_view text) {
    GrammarMatcher::State state = matcher_.start();
    for (const char byte : text) state = matcher_.Next(state, static_cast<uint8_t>(byte));
    return state;
  }
  bool Has(std::string_view text) {
    const GrammarMatcher::State state = After(text);
    return state != GrammarMatcher::kDead && matcher_.Accepts(state);
  }
  GrammarMatcher& matcher() { return matcher_; }

 private:
  GrammarMatcher matcher_;
};

Language AnyJson() {
  auto grammar = std::make_shared<Grammar>();
  grammar->SetStart(JsonGrammar(grammar.get()).value());
  return Language(grammar);
}

absl::StatusOr<Language> OfSchema(std::string_view schema, bool strict = true) {
  auto grammar = std::make_shared<Grammar>();
  const absl::StatusOr<Grammar::Expr> start = JsonGrammar(grammar.get()).Schema(*ParseJson(schema), strict);
  if (!start.ok()) return start.status();
  grammar->SetStart(*start);
  return Language(grammar);
}

TEST(Grammar, RepeatsAndChoices) {
  auto g = std::make_shared<Grammar>();
  g->SetStart(g->Sequence({g->Repeat(g->Text("ab"), 1, 3), g->Optional(g->Text("c")), g->Repeat(g->OneOf({g->Text("x"), g->Text("xy")}), 0)}));
  Language language(g);
  for (const char* text : {"ab", "abab", "ababab", "abc", "abcx", "abxyx", "abxxyxy"}) EXPECT_TRUE(language.Has(text)) << text;
  for (const char* text : {"", "a", "abababab", "c", "abcc", "aby", "abxyy"}) EXPECT_FALSE(language.Has(text)) << text;
}

TEST(Grammar, RecursionThatLeadsNowhereMatchesNothing) {
  auto g = std::make_shared<Grammar>();
  const Grammar::Expr loop = g->Declare();
  g->Define(loop, g->OneOf({loop}));
  g->SetStart(loop);
  EXPECT_EQ(GrammarMatcher(g).start(), GrammarMatcher::kDead);
}

TEST(Grammar, ForgettingKeepsThePlace) {
  Language language = AnyJson();
  GrammarMatcher& m = language.matcher();
  GrammarMatcher::State state = language.After(R"({"a": [1, {"b": "x)");
  state = m.Forget(state);
  EXPECT_LE(m.states(), 1u);
  for (const char byte : std::string_view(R"("}, 2]})")) state = m.Next(state, static_cast<uint8_t>(byte));
  ASSERT_NE(state, GrammarMatcher::kDead);
  EXPECT_TRUE(m.Accepts(state));
}

TEST(JsonGrammar, ItsTextsAreJson) {
  Language json = AnyJson();
  for (const char* text : {"1", "-0.5e+10", "{}", R"({"a": 1, "b":[1,2,{"c":null}]})", R"("\u12aF\ud83d\ude00\n")", "\"é漢😀\"", "true",
                           "[\n  1,\n  2\n]", "[[[]]]", "\"\""}) {
    EXPECT_TRUE(json.Has(text)) << text;
    EXPECT_TRUE(nlohmann::json::accept(std::string(text))) << text;
  }
  for (const char* text : {"", "01", "[1,]", R"("\ud800")", R"("\x")", "tru", "\"\xff\"", "\"\xed\xa0\x80\"", "\"a", R"({"a":1,})", "{a:1}", "\"\n\"",
                           "1.", "+1", "[1 2]", "\"｜\""}) {
    EXPECT_FALSE(json.Has(text)) << text;
  }
}

// Whatever is written byte by byte as the grammar allows is JSON in the end.
TEST(JsonGrammar, RandomWalksEndInJson) {
  Language json = AnyJson();
  GrammarMatcher& m = json.matcher();
  std::mt19937 random(3);
  int ended = 0;
  for (int walk = 0; walk < 300; ++walk) {
    std::string text;
    GrammarMatcher::State state = m.start();
    while (text.size() < 200 && !(m.Accepts(state) && random() % 4 == 0)) {
      std::string bytes;
      for (int b = 0; b < 256; ++b) {
        if (m.Next(state, static_cast<uint8_t>(b)) != GrammarMatcher::kDead) bytes += static_cast<char>(b);
      }
      if (bytes.empty()) break;
      // Closing ones come often, so that walks end.
      const size_t close = bytes.find_first_of("\"]}");
      const char next = close != bytes.npos && random() % 3 == 0 ? bytes[close] : bytes[random() % bytes.size()];
      text += next;
      state = m.Next(state, static_cast<uint8_t>(next));
    }
    if (!m.Accepts(state)) continue;
    ++ended;
    EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  }
  EXPECT_GT(ended, 100);
}

TEST(JsonGrammar, SchemaOfAnObject) {
  auto language = OfSchema(R"({"type": "object", "title": "T", "additionalProperties": false, "required": ["a"], "properties":
      {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"enum": ["x", 2, null]}}})");
  ASSERT_TRUE(language.ok()) << language.status();
  for (const char* text : {R"({"a":1})", R"({"a": -7, "c": "x"})", R"({"a":1,"b":"q","c":null})", "{\n  \"a\": 1\n}"}) {
    EXPECT_TRUE(language->Has(text)) << text;
  }
  for (const char* text : {"{}", R"({"b":""})", R"({"a":1.5})", R"({"a":1,"c":"z"})", R"({"c":2,"a":1})", R"({"a":1,"d":1})", R"({"a":1,})"}) {
    EXPECT_FALSE(language->Has(text)) << text;
  }
}

TEST(JsonGrammar, SchemaOfListsReferencesAndAlternatives) {
  auto language = OfSchema(R"({"type": "array", "minItems": 2, "maxItems": 3, "items": {"$ref": "#/$defs/tree"},
      "$defs": {"tree": {"anyOf": [{"type": ["number", "null"]}, {"type": "object", "required": ["l"], "properties": {"l": {"$ref": "#/$defs/tree"}}}]}}})");
  ASSERT_TRUE(language.ok()) << language.status();
  for (const char* text : {"[1, null]", "[1,2,3]", R"([{"l": {"l": {"l": 0.5}}}, 1])"}) EXPECT_TRUE(language->Has(text)) << text;
  for (const char* text : {"[]", "[1]", "[1,2,3,4]", "[1,true]", R"([{"l":{}},1])"}) EXPECT_FALSE(language->Has(text)) << text;
  EXPECT_TRUE(OfSchema(R"({"type": "object", "additionalProperties": {"type": "integer"}})")->Has(R"({"q": 1, "r": 2})"));
  EXPECT_FALSE(OfSchema(R"({"type": "object", "additionalProperties": {"type": "integer"}})")->Has(R"({"q": "1"})"));
  EXPECT_TRUE(OfSchema("true")->Has("[{}]"));
}

TEST(JsonGrammar, WhatCannotBeEnforcedIsNamed) {
  const auto message = [](std::string_view schema) { return std::string(OfSchema(schema).status().message()); };
  EXPECT_THAT(message(R"({"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}})"),
              HasSubstr("'schema.properties.a.pattern' cannot be enforced"));
  EXPECT_TRUE(OfSchema(R"({"type": "string", "pattern": "x"})", /*strict=*/false).ok());
  EXPECT_THAT(message(R"({"type": "text"})"), HasSubstr("'schema.type' must be"));
  EXPECT_THAT(message(R"({"$ref": "#/no"})"), HasSubstr("which is not there"));
  EXPECT_THAT(message(R"({"$ref": "other.json"})"), HasSubstr("a place in the same schema"));
  EXPECT_THAT(message("5"), HasSubstr("must be a schema"));
  EXPECT_THAT(message(R"({"enum": []})"), HasSubstr("'schema.enum'"));
  EXPECT_THAT(message(R"({"type": "array", "minItems": 3, "maxItems": 2})"), HasSubstr("less than minItems"));
  EXPECT_THAT(message(R"({"type": "array", "maxItems": 1000000})"), HasSubstr("'schema.maxItems'"));
  EXPECT_THAT(message(R"({"type": "object", "required": ["a"], "properties": {"b": {}}})"), HasSubstr("'a', which is no property"));
}

TEST(JsonGrammar, SchemasNobodyWritesAreRefused) {
  Json chain = {{"$ref", "#/$defs/0"}}, many = {{"type", "object"}}, listed;
  for (int i = 0; i < 20000; ++i) chain["$defs"][std::to_string(i)]["$ref"] = "#/$defs/" + std::to_string(i + 1);
  EXPECT_THAT(std::string(OfSchema(chain.dump()).status().message()), HasSubstr("128 schemas deep; flatten it"));
  for (int i = 0; i < 2000; ++i) many["properties"][std::to_string(i)]["$ref"] = "#/properties/a" + std::to_string(i);
  for (int i = 0; i < 2000; ++i) many["properties"]["a" + std::to_string(i)] = true;
  EXPECT_THAT(std::string(OfSchema(many.dump()).status().message()), HasSubstr("one of more than 1000 references"));
  for (int i = 0; i < 100000; ++i) listed["enum"].push_back(i);
  EXPECT_THAT(std::string(OfSchema(listed.dump()).status().message()), HasSubstr("too large to be enforced"));
}

// As many as are taken: each byte of an answer costs what they are, not their square.
TEST(JsonGrammar, ThousandsOfChoicesAreFollowed) {
  Json listed, optional = {{"type", "object"}};
  for (int i = 0; i < 10000; ++i) listed["enum"].push_back("value " + std::to_string(i));
  auto values = OfSchema(listed.dump());
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_TRUE(values->Has("\"value 9999\""));
  EXPECT_FALSE(values->Has("\"value 10000\""));
  for (int i = 0; i < 2000; ++i) optional["properties"]["p" + std::to_string(i)] = {{"type", "null"}};
  auto object = OfSchema(optional.dump());
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_TRUE(object->Has(R"({"p7":null,"p1999":null})"));
  EXPECT_FALSE(object->Has(R"({"p1999":null,"p7":null})"));
}

constexpr const char* kTools = R"([
  {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "required": ["a", "n"], "properties":
    {"a": {"type": "string"}, "n": {"type": "number"}, "o": {"type": ["string", "null"]}, "e": {"enum": ["x", 1]}}}}},
  {"type": "function", "function": {"name": "now"}}])";

// What the chat format writes for an assistant message with these calls.
std::string Written(const std::vector<std::pair<std::string, std::string>>& calls) {
  Json list = Json::array();
  for (const auto& [name, arguments] : calls) list.push_back({{"function", {{"name", name}, {"arguments", arguments}}}});
  const Json messages = Json::array({{{"role", "user"}, {"content", "q"}}, {{"role", "assistant"}, {"tool_calls", list}}});
  std::string text = *EncodeChat(messages, {.thinking = false});
  text = text.substr(text.find("</think>") + 8);
  return text.substr(0, text.find("<｜end"));
}

TEST(ToolGrammar, HasWhatTheChatFormatWrites) {
  auto grammar = std::make_shared<Grammar>();
  JsonGrammar json(grammar.get());
  grammar->SetStart(*ToolCalls(*grammar, json, *ParseJson(kTools), ""));
  Language calls(grammar);
  EXPECT_TRUE(calls.Has(Written({{"f", R"({"a": "hi <b> there\nx", "n": 3})"}})));
  EXPECT_TRUE(calls.Has(Written({{"f", R"({"a": "", "n": -1.5, "o": null, "e": 1})"}})));
  EXPECT_TRUE(calls.Has(Written({{"f", R"({"a": "hi", "n": 3, "o": "zz", "e": "x"})"}})));
  EXPECT_TRUE(calls.Has(Written({{"now", "{}"}, {"f", R"({"a": "hi", "n": 3})"}})));
  EXPECT_FALSE(calls.Has(Written({{"f", R"({"n": 3})"}}))) << "a is required";
  EXPECT_FALSE(calls.Has(Written({{"f", R"({"a": "hi", "n": "3"})"}}))) << "n is a number";
  EXPECT_FALSE(calls.Has(Written({{"g", "{}"}}))) << "there is no such tool";
  EXPECT_FALSE(calls.Has("Hello")) << "nothing but calls";
}

TEST(ToolGrammar, ANamedToolIsCalledOnce) {
  auto grammar = std::make_shared<Grammar>();
  JsonGrammar json(grammar.get());
  grammar->SetStart(*ToolCalls(*grammar, json, *ParseJson(kTools), "now"));
  Language calls(grammar);
  EXPECT_TRUE(calls.Has(Written({{"now", "{}"}})));
  EXPECT_FALSE(calls.Has(Written({{"now", "{}"}, {"now", "{}"}})));
  EXPECT_FALSE(calls.Has(Written({{"f", R"({"a": "hi", "n": 3})"}})));
  EXPECT_THAT(std::string(ToolCalls(*grammar, json, *ParseJson(kTools), "then").status().message()), HasSubstr("no tool is called 'then'"));
}

// The mask says of every token what its bytes say one by one.
TEST(TokenTable, MasksAgreeWithTheMatcher) {
  const auto tokenizer = Tokenizer::Load(kNano);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const TokenTable table(**tokenizer);
  Language json = AnyJson();
  std::vector<uint8_t> mask;
  for (const char* text : {"", "{", "{\"a", "{\"a\": ", "[1", "[1,", "\"\\", "\"\xe6", "t", "{\"a\": [\"x\"]", "12"}) {
    table.Mask(json.matcher(), json.After(text), mask);
    ASSERT_EQ(mask.size(), static_cast<size_t>((*tokenizer)->vocab_size()));
    for (int32_t id = 0; id < (*tokenizer)->vocab_size(); ++id) {
      const std::string_view bytes = (*tokenizer)->TokenBytes(id);
      const bool added = (*tokenizer)->AddedToken(bytes) == id;
      const bool fits = !bytes.empty() && !added && json.After(std::string(text) + std::string(bytes)) != GrammarMatcher::kDead;
      ASSERT_EQ(mask[id], fits) << "'" << text << "' then '" << bytes << "'";
    }
  }
  EXPECT_EQ(table.plain()[*(*tokenizer)->AddedToken("</think>")], 0);
}

}  // namespace
}  // namespace modelc
