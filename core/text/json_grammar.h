// Grammars of JSON texts: any value, or those a JSON schema allows.
//
// Of JSON Schema (draft 2020-12) these restrict the text: type, properties, required, additionalProperties, items,
// minItems, maxItems, enum, const, anyOf, oneOf (as anyOf), allOf of one schema, and $ref within the same schema.
// Properties come in the order in which the schema lists them, others after them. Keywords that only describe (title,
// description, default, examples, …) are passed over; any other is an error where `strict`, and passed over elsewhere.
#ifndef MODELC_CORE_TEXT_JSON_GRAMMAR_H_
#define MODELC_CORE_TEXT_JSON_GRAMMAR_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/text/grammar.h"
#include "core/text/json.h"

namespace modelc {

// Adds expressions to `grammar`, which must outlive it.
class JsonGrammar {
 public:
  explicit JsonGrammar(Grammar* grammar);

  Grammar::Expr value() const { return value_; }
  Grammar::Expr object() const { return object_; }
  // A character of a string, escapes included, or of a text that is not quoted: any but U+FF5C, which DSML's markers
  // are made with.
  Grammar::Expr string_character() const { return character_; }
  Grammar::Expr plain_character() const { return plain_; }

  // `schema` is a part of `root` or all of it: what $ref refers to. InvalidArgument names the place in the schema
  // ("schema.properties.a.type") and what is wrong.
  absl::StatusOr<Grammar::Expr> Schema(const Json& schema, bool strict, const Json& root);
  absl::StatusOr<Grammar::Expr> Schema(const Json& schema, bool strict) { return Schema(schema, strict, schema); }
  // The value itself, and no other.
  Grammar::Expr Literal(const Json& value);

 private:
  class Reader;

  Grammar::Expr Between(char first, char last);
  void DefineCharacters();
  void DefineValues();

  Grammar& grammar_;
  Grammar::Expr space_, comma_, colon_, character_, plain_, string_, integer_, number_, boolean_, null_, array_, object_, value_;
};

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_JSON_GRAMMAR_H_
