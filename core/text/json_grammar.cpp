#include "core/text/json_grammar.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

using Expr = Grammar::Expr;

constexpr int64_t kMostItems = 1000;
constexpr int64_t kMostDigits = 16;    // before and after a number's point: a model may count for ever
constexpr int64_t kMostIndent = 20;
constexpr int kMostDepth = 128;        // of schemas in schemas, references followed
constexpr size_t kMostRefs = 1000;

// Keywords that allow and forbid nothing.
constexpr std::string_view kDescribing[] = {"title",   "description", "default",   "examples",   "deprecated", "readOnly",
                                            "$schema", "$id",         "$comment",  "writeOnly",  "$defs",      "definitions",
                                            "strict",  "name",        "nullable"};

Grammar::Bytes Range(int first, int last) {
  Grammar::Bytes bytes;
  for (int b = first; b <= last; ++b) bytes.set(b);
  return bytes;
}

}  // namespace

JsonGrammar::JsonGrammar(Grammar* grammar) : grammar_(*grammar) {
  DefineCharacters();
  DefineValues();
}

Expr JsonGrammar::Between(char first, char last) {
  return grammar_.OneByte(Range(static_cast<unsigned char>(first), static_cast<unsigned char>(last)));
}

void JsonGrammar::DefineCharacters() {
  Grammar& g = grammar_;
  const auto bytes = [&](int first, int last) { return g.OneByte(Range(first, last)); };
  const Expr rest = bytes(0x80, 0xbf);
  // Unicode 15, table 3-7, beyond ASCII; without U+FF5C (ef bd 9c).
  const Expr wide = g.OneOf({
      g.Sequence({bytes(0xc2, 0xdf), rest}),
      g.Sequence({bytes(0xe0, 0xe0), bytes(0xa0, 0xbf), rest}),
      g.Sequence({bytes(0xe1, 0xec), rest, rest}),
      g.Sequence({bytes(0xed, 0xed), bytes(0x80, 0x9f), rest}),
      g.Sequence({bytes(0xee, 0xee), rest, rest}),
      g.Sequence({bytes(0xef, 0xef), bytes(0x80, 0xbc), rest}),
      g.Sequence({bytes(0xef, 0xef), bytes(0xbd, 0xbd), g.OneByte(Range(0x80, 0xbf).reset(0x9c))}),
      g.Sequence({bytes(0xef, 0xef), bytes(0xbe, 0xbf), rest}),
      g.Sequence({bytes(0xf0, 0xf0), bytes(0x90, 0xbf), rest, rest}),
      g.Sequence({bytes(0xf1, 0xf3), rest, rest, rest}),
      g.Sequence({bytes(0xf4, 0xf4), bytes(0x80, 0x8f), rest, rest}),
  });
  plain_ = g.OneOf({g.OneByte(Range(0x20, 0x7e).set('\n').set('\t')), wide});

  const auto hex = [&](std::string_view first) {
    Grammar::Bytes bytes;
    for (const char c : first) bytes.set(static_cast<unsigned char>(c));
    return g.OneByte(bytes);
  };
  const Expr digit = hex("0123456789abcdefABCDEF"), d = hex("dD");
  const Expr one_unit = g.OneOf({g.Sequence({hex("0123456789abcefABCEF"), digit, digit, digit}),
                                 g.Sequence({d, hex("01234567"), digit, digit})});
  const Expr pair = g.Sequence({d, hex("89abAB"), digit, digit, g.Text("\\u"), d, hex("cdefCDEF"), digit, digit});
  character_ = g.OneOf({g.OneByte(Range(0x20, 0x7e).reset('"').reset('\\')), wide, g.Sequence({g.Text("\\"), hex("\"\\/bfnrt")}),
                        g.Sequence({g.Text("\\u"), g.OneOf({one_unit, pair})})});
}

void JsonGrammar::DefineValues() {
  Grammar& g = grammar_;
  // As much white space as people and models write, and no more: it says nothing and might have no end.
  space_ = g.OneOf({g.Text(""), g.Text(" "),
                    g.Sequence({g.Text("\n"), g.Repeat(g.OneByte(Grammar::Bytes().set(' ').set('\t')), 0, kMostIndent)})});
  comma_ = g.Sequence({g.Text(","), space_});
  colon_ = g.Sequence({g.Text(":"), space_});
  string_ = g.Sequence({g.Text("\""), g.Repeat(character_, 0), g.Text("\"")});
  const Expr digits = g.Repeat(Between('0', '9'), 1, kMostDigits);
  integer_ = g.Sequence({g.Optional(g.Text("-")),
                         g.OneOf({g.Text("0"), g.Sequence({Between('1', '9'), g.Repeat(Between('0', '9'), 0, kMostDigits - 1)})})});
  const Expr exponent = g.Sequence({g.OneByte(Grammar::Bytes().set('e').set('E')),
                                    g.Optional(g.OneByte(Grammar::Bytes().set('+').set('-'))), g.Repeat(Between('0', '9'), 1, 2)});
  number_ = g.Sequence({integer_, g.Optional(g.Sequence({g.Text("."), digits})), g.Optional(exponent)});
  boolean_ = g.OneOf({g.Text("true"), g.Text("false")});
  null_ = g.Text("null");
  value_ = g.Declare();
  const Expr member = g.Sequence({string_, colon_, value_});
  const auto list = [&](Expr item) {
    return g.Optional(g.Sequence({item, g.Repeat(g.Sequence({comma_, item}), 0), space_}));
  };
  array_ = g.Sequence({g.Text("["), space_, list(value_), g.Text("]")});
  object_ = g.Sequence({g.Text("{"), space_, list(member), g.Text("}")});
  g.Define(value_, g.OneOf({string_, number_, boolean_, null_, array_, object_}));
}

Expr JsonGrammar::Literal(const Json& value) { return grammar_.Text(PythonDumps(value)); }

// One schema with everything it refers to.
class JsonGrammar::Reader {
 public:
  Reader(JsonGrammar* json, const Json& root, bool strict) : j_(*json), g_(json->grammar_), root_(root), strict_(strict) {}

  absl::StatusOr<Expr> Read(const Json& schema, const std::string& at) {
    if (depth_ == kMostDepth) {
      return Wrong(at, absl::StrCat("nests or refers more than ", kMostDepth, " schemas deep; flatten it"));
    }
    ++depth_;
    absl::StatusOr<Expr> read = ReadAtDepth(schema, at);
    --depth_;
    return read;
  }

 private:
  static absl::Status Wrong(const std::string& at, absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("'", at, "' ", what));
  }

  absl::Status CheckRoom(const std::string& at) const {
    return g_.full() ? Wrong(at, "is part of a schema that is too large to be enforced; ask for less of it") : absl::OkStatus();
  }

  absl::StatusOr<Expr> ReadAtDepth(const Json& schema, const std::string& at) {
    MODELC_RETURN_IF_ERROR(CheckRoom(at));
    if (schema == true) return j_.value_;
    if (!schema.is_object()) return Wrong(at, "must be a schema: an object");
    if (schema.contains("$ref")) return ReadRef(schema, at);
    if (schema.contains("const")) return Check(schema, at, {"const", "type"}, j_.Literal(schema["const"]));
    if (schema.contains("enum")) return ReadEnum(schema, at);
    for (const char* any : {"anyOf", "oneOf", "allOf"}) {
      if (schema.contains(any)) return ReadAny(schema, any, at);
    }
    return ReadTyped(schema, at);
  }

  // `meaning`, unless the schema has a keyword besides `known` that would forbid some of it.
  absl::StatusOr<Expr> Check(const Json& schema, const std::string& at, const std::set<std::string_view>& known, Expr meaning) {
    for (const auto& [key, value] : schema.items()) {
      if (!strict_ || known.contains(key) || std::count(std::begin(kDescribing), std::end(kDescribing), key)) continue;
      return Wrong(absl::StrCat(at, ".", key), "cannot be enforced here; drop it, or ask without 'strict'");
    }
    return meaning;
  }

  absl::StatusOr<Expr> ReadRef(const Json& schema, const std::string& at) {
    const Json& ref = schema["$ref"];
    const std::string text = ref.is_string() ? ref.get<std::string>() : "";
    if (const auto it = refs_.find(text); it != refs_.end()) return it->second;
    if (!text.starts_with("#")) return Wrong(at + ".$ref", "must be '#' or '#/…', a place in the same schema");
    if (refs_.size() == kMostRefs) return Wrong(at + ".$ref", absl::StrCat("is one of more than ", kMostRefs, " references"));
    const Json* target = &root_;
    try {
      const Json::json_pointer pointer(text.substr(1));
      if (!root_.contains(pointer)) return Wrong(at + ".$ref", absl::StrCat("names '", text, "', which is not there"));
      target = &root_[pointer];
    } catch (const Json::exception&) {
      return Wrong(at + ".$ref", absl::StrCat("is '", text, "', which is no JSON pointer"));
    }
    const Expr declared = refs_[text] = g_.Declare();
    MODELC_ASSIGN_OR_RETURN(const Expr meaning, Read(*target, text));
    g_.Define(declared, meaning);
    return Check(schema, at, {"$ref"}, declared);
  }

  absl::StatusOr<Expr> ReadEnum(const Json& schema, const std::string& at) {
    const Json& values = schema["enum"];
    if (!values.is_array() || values.empty()) return Wrong(at + ".enum", "must be an array of values");
    std::vector<Expr> choices;
    for (const Json& value : values) {
      MODELC_RETURN_IF_ERROR(CheckRoom(at + ".enum"));
      choices.push_back(j_.Literal(value));
    }
    return Check(schema, at, {"enum", "type"}, g_.OneOf(std::move(choices)));
  }

  absl::StatusOr<Expr> ReadAny(const Json& schema, const char* keyword, const std::string& at) {
    const Json& of = schema[keyword];
    const std::string place = absl::StrCat(at, ".", keyword);
    if (!of.is_array() || of.empty()) return Wrong(place, "must be an array of schemas");
    if (keyword == std::string_view("allOf") && of.size() > 1) return Wrong(place, "of several schemas cannot be enforced");
    std::vector<Expr> choices;
    for (size_t i = 0; i < of.size(); ++i) {
      MODELC_ASSIGN_OR_RETURN(const Expr choice, Read(of[i], absl::StrCat(place, "[", i, "]")));
      choices.push_back(choice);
    }
    return Check(schema, at, {keyword}, g_.OneOf(std::move(choices)));
  }

  absl::StatusOr<Expr> ReadTyped(const Json& schema, const std::string& at) {
    Json types = schema.value("type", Json());
    if (types.is_null() && (schema.contains("properties") || schema.contains("additionalProperties"))) types = "object";
    if (types.is_null() && schema.contains("items")) types = "array";
    if (types.is_null()) return Check(schema, at, {}, j_.value_);
    if (types.is_string()) types = Json::array({types});
    if (!types.is_array() || types.empty()) return Wrong(at + ".type", "must be a type or an array of types");
    std::vector<Expr> choices;
    std::set<std::string_view> known = {"type"};
    for (const Json& type : types) {
      Expr choice;
      if (type == "string") {
        choice = j_.string_;
      } else if (type == "integer") {
        choice = j_.integer_;
      } else if (type == "number") {
        choice = j_.number_;
      } else if (type == "boolean") {
        choice = j_.boolean_;
      } else if (type == "null") {
        choice = j_.null_;
      } else if (type == "object") {
        MODELC_ASSIGN_OR_RETURN(choice, ReadObject(schema, at));
        known.insert({"properties", "required", "additionalProperties"});
      } else if (type == "array") {
        MODELC_ASSIGN_OR_RETURN(choice, ReadArray(schema, at));
        known.insert({"items", "minItems", "maxItems"});
      } else {
        return Wrong(at + ".type", "must be string, number, integer, boolean, null, object or array");
      }
      choices.push_back(choice);
    }
    return Check(schema, at, known, g_.OneOf(std::move(choices)));
  }

  // Objects hold the listed properties alone, whatever additionalProperties allows besides; those without a list hold any.
  absl::StatusOr<Expr> ReadObject(const Json& schema, const std::string& at) {
    const Json properties = schema.value("properties", Json::object()), required = schema.value("required", Json::array());
    if (!properties.is_object()) return Wrong(at + ".properties", "must be an object");
    std::set<std::string> needed;
    if (!required.is_array()) return Wrong(at + ".required", "must be an array of names");
    for (const Json& name : required) {
      if (!name.is_string()) return Wrong(at + ".required", "must be an array of names");
      needed.insert(name.get<std::string>());
    }
    if (properties.empty() && needed.empty()) return ReadMap(schema.value("additionalProperties", Json(true)), at);
    struct Member {
      Expr text;
      bool needed;
    };
    std::vector<Member> members;
    for (const auto& [name, property] : properties.items()) {
      MODELC_ASSIGN_OR_RETURN(const Expr value, Read(property, absl::StrCat(at, ".properties.", name)));
      members.push_back({g_.Sequence({j_.Literal(name), j_.colon_, value}), needed.erase(name) > 0});
    }
    if (!needed.empty()) return Wrong(at + ".required", absl::StrCat("names '", *needed.begin(), "', which is no property"));
    // From the last member on: what may follow when something came before (with a comma), and when nothing did.
    Expr after = g_.Text(""), first = after;
    for (auto member = members.rbegin(); member != members.rend(); ++member) {
      const Expr with_comma = g_.Sequence({j_.comma_, member->text, after}), without = g_.Sequence({member->text, after});
      first = member->needed ? without : g_.OneOf({without, first});
      after = member->needed ? with_comma : g_.OneOf({with_comma, after});
    }
    return g_.Sequence({g_.Text("{"), j_.space_, first, j_.space_, g_.Text("}")});
  }

  absl::StatusOr<Expr> ReadMap(const Json& values, const std::string& at) {
    if (values == false) return g_.Sequence({g_.Text("{"), j_.space_, g_.Text("}")});
    MODELC_ASSIGN_OR_RETURN(const Expr value, Read(values, at + ".additionalProperties"));
    const Expr member = g_.Sequence({j_.string_, j_.colon_, value});
    return g_.Sequence({g_.Text("{"), j_.space_,
                        g_.Optional(g_.Sequence({member, g_.Repeat(g_.Sequence({j_.comma_, member}), 0), j_.space_})), g_.Text("}")});
  }

  absl::StatusOr<Expr> ReadArray(const Json& schema, const std::string& at) {
    Expr item = j_.value_;
    if (schema.contains("items")) {
      MODELC_ASSIGN_OR_RETURN(item, Read(schema["items"], at + ".items"));
    }
    const auto count = [&](const char* key, int64_t otherwise) -> absl::StatusOr<int64_t> {
      if (!schema.contains(key)) return otherwise;
      const Json& value = schema[key];
      if (value.is_number_integer() && value >= 0 && value <= kMostItems) return value.get<int64_t>();
      return Wrong(absl::StrCat(at, ".", key), absl::StrCat("must be a whole number from 0 to ", kMostItems));
    };
    MODELC_ASSIGN_OR_RETURN(const int64_t least, count("minItems", 0));
    MODELC_ASSIGN_OR_RETURN(const int64_t most, count("maxItems", -1));
    if (most >= 0 && most < least) return Wrong(at + ".maxItems", "is less than minItems");
    const Expr some = g_.Sequence({item, g_.Repeat(g_.Sequence({j_.comma_, item}), std::max<int64_t>(least - 1, 0), most < 0 ? -1 : most - 1),
                                   j_.space_});
    const Expr items = most == 0 ? g_.Text("") : least == 0 ? g_.Optional(some) : some;
    return g_.Sequence({g_.Text("["), j_.space_, items, g_.Text("]")});
  }

  JsonGrammar& j_;
  Grammar& g_;
  const Json& root_;
  const bool strict_;
  std::map<std::string, Expr> refs_;
  int depth_ = 0;
};

absl::StatusOr<Expr> JsonGrammar::Schema(const Json& schema, bool strict, const Json& root) {
  return Reader(this, root, strict).Read(schema, "schema");
}

}  // namespace modelc
