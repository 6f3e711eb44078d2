// JSON as the published chat encoder's Python reads and writes it.
#ifndef MODELC_CORE_TEXT_JSON_H_
#define MODELC_CORE_TEXT_JSON_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace modelc {

// Keeps the order of keys, as Python's dicts do.
using Json = nlohmann::ordered_json;

// One JSON value. Of equal keys the last value counts, at the first one's place. Integers beyond 64 bits keep their
// digits (as a binary value, which PythonDumps writes back). InvalidArgument with the byte where the text stops being
// JSON (or UTF-8), or where it nests deeper than 512 levels.
absl::StatusOr<Json> ParseJson(std::string_view text);
// The same for large objects whose order does not matter: finding a key takes O(log n).
absl::StatusOr<nlohmann::json> ParseSortedJson(std::string_view text);

// json.dumps(value, ensure_ascii=False).
std::string PythonDumps(const Json& value);

// The inside of a JSON string as json.dumps writes it. Works on bytes, so text may be escaped piece by piece.
std::string JsonEscape(std::string_view text);

// str(value): what str.format puts in a template. Strings stand as they are, null is None, lists and objects are reprs.
std::string PythonStr(const Json& value);

// bool(value): null, false, zero and everything empty are false.
bool PythonTruth(const Json& value);

}  // namespace modelc

#endif  // MODELC_CORE_TEXT_JSON_H_
