#include "core/serving/fields.h"

#include "absl/strings/str_cat.h"
#include "core/serving/error.h"
#include "core/support/strings.h"
#include "core/text/json.h"

namespace modelc {
namespace {

// Type names as JSON's standard has them.
const char* TypeName(const Json& value) { return value.is_binary() ? "number" : value.type_name(); }

}  // namespace

absl::StatusOr<Json> ParseJsonObject(std::string_view text) {
  absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok()) {
    // Without the parser's quotation of the text, which may be long.
    const absl::string_view what = json.status().message();
    return WithCode(absl::InvalidArgumentError(what.substr(0, what.find("; last read"))), "invalid_json");
  }
  if (!json->is_object()) {
    return WithCode(absl::InvalidArgumentError(absl::StrCat("expected a JSON object, not ", TypeName(*json))),
                    "invalid_json");
  }
  return json;
}

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

const Json* FieldReader::Find(const char* name) const {
  const auto it = object_.find(name);
  return it == object_.end() || it->is_null() ? nullptr : &*it;
}

void FieldReader::Read(const char* name, bool& out) {
  const Json* value = Find(name);
  if (value == nullptr) return;
  if (!value->is_boolean()) return WrongType(name, "true or false", *value);
  out = value->get<bool>();
}

void FieldReader::Read(const char* name, std::string& out) {
  const Json* value = Find(name);
  if (value == nullptr) return;
  if (!value->is_string()) return WrongType(name, "a string", *value);
  out = value->get<std::string>();
}

void FieldReader::Read(const char* name, int64_t& out, int64_t low, int64_t high) {
  const Json* value = Find(name);
  if (value == nullptr) return;
  // Integers beyond 64 bits are read as binary.
  const bool huge = value->is_binary() ||
                    (value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX));
  if (!huge && !value->is_number_integer()) return WrongType(name, "an integer", *value);
  const int64_t number = huge ? INT64_MAX : value->get<int64_t>();
  if (huge || number < low || number > high) {
    return Fail(name, high == INT64_MAX ? absl::StrCat("must be at least ", low)
                                        : absl::StrCat("must be between ", low, " and ", high));
  }
  out = number;
}

void FieldReader::Read(const char* name, double& out, double low, double high) {
  const Json* value = Find(name);
  if (value == nullptr) return;
  if (!value->is_number()) return WrongType(name, "a number", *value);
  const double number = value->get<double>();
  if (!(number >= low && number <= high)) {
    return Fail(name, absl::StrCat("must be between ", low, " and ", high));
  }
  out = number;
}

void FieldReader::Read(const char* name, std::optional<uint64_t>& out) {
  const Json* value = Find(name);
  if (value == nullptr) return;
  if (!value->is_number_integer()) return WrongType(name, "an integer of at most 64 bits", *value);
  out = value->get<uint64_t>();
}

const Json* FieldReader::FindTyped(const char* name, Json::value_t type) {
  const Json* value = Find(name);
  if (value == nullptr || value->type() == type) return value;
  WrongType(name, type == Json::value_t::object ? "an object" : "an array", *value);
  return nullptr;
}
const Json* FieldReader::FindObject(const char* name) { return FindTyped(name, Json::value_t::object); }
const Json* FieldReader::FindArray(const char* name) { return FindTyped(name, Json::value_t::array); }

std::string FieldReader::Path(std::string_view name) const {
  if (path_.empty()) return std::string(name);
  return name.empty() ? path_ : absl::StrCat(path_, ".", Absl(name));
}

void FieldReader::Fail(std::string_view name, std::string_view message, std::string_view code) {
  if (!status_.ok()) return;
  const std::string path = Path(name);
  status_ = FieldError(path, absl::StrCat("'", path, "' ", Absl(message)), code);
}

void FieldReader::Adopt(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

void FieldReader::WrongType(const char* name, const char* wanted, const Json& found) {
  Fail(name, absl::StrCat("must be ", wanted, ", not ", TypeName(found)), "invalid_type");
}

}  // namespace modelc
