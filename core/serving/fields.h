// Reading the typed fields of a JSON object that a stranger sent; errors name the field.
#ifndef MODELC_CORE_SERVING_FIELDS_H_
#define MODELC_CORE_SERVING_FIELDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/text/chat.h"

namespace modelc {

// A JSON object. InvalidArgument names the byte where the text stops being JSON (or UTF-8), or says that it is no object.
absl::StatusOr<Json> ParseJsonObject(std::string_view text);

// One line of JSON. Invalid UTF-8 becomes U+FFFD.
std::string Dump(const Json& json);

// Reads typed fields of one object. A field that is absent or null leaves its target alone; a wrong type or a value out
// of range is kept as status(), the first one only.
class FieldReader {
 public:
  // `path` names the object inside the request: "" for the request itself, "messages[2]".
  FieldReader(const Json& object, std::string path) : object_(object), path_(std::move(path)) {}

  void Read(const char* name, bool& out);
  void Read(const char* name, std::string& out);
  void Read(const char* name, int64_t& out, int64_t low, int64_t high);
  void Read(const char* name, double& out, double low, double high);
  void Read(const char* name, std::optional<uint64_t>& out);  // any 64-bit integer; negative ones wrap
  // The raw value, or null when absent or null.
  const Json* Find(const char* name) const;
  const Json* FindObject(const char* name);
  const Json* FindArray(const char* name);

  void Fail(std::string_view name, std::string_view message, std::string_view code = "");
  void Adopt(absl::Status status);  // an error found while checking a part
  std::string Path(std::string_view name) const;
  const absl::Status& status() const { return status_; }

 private:
  const Json* FindTyped(const char* name, Json::value_t type);
  void WrongType(const char* name, const char* wanted, const Json& found);

  const Json& object_;
  std::string path_;
  absl::Status status_;
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_FIELDS_H_
