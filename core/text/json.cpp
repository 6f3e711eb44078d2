#include "core/text/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/support/strings.h"
#include "core/text/utf8.h"

namespace modelc {
namespace {

constexpr size_t kMaxDepth = 512;

// Builds a value from the parser's events. (The library's own builder finds keys of ordered objects in linear time,
// which makes large objects quadratic, and turns large integers into floats.)
template <typename J>
class Reader : public nlohmann::json_sax<J> {
 public:
  using typename nlohmann::json_sax<J>::number_integer_t;
  using typename nlohmann::json_sax<J>::number_unsigned_t;
  using typename nlohmann::json_sax<J>::number_float_t;
  using typename nlohmann::json_sax<J>::string_t;
  using typename nlohmann::json_sax<J>::binary_t;

  absl::StatusOr<J> Take() {
    if (!error_.empty()) return absl::InvalidArgumentError(error_);
    return std::move(root_);
  }

  bool null() override { return Put(nullptr); }
  bool boolean(bool value) override { return Put(value); }
  bool number_integer(number_integer_t value) override { return Put(value); }
  bool number_unsigned(number_unsigned_t value) override { return Put(value); }
  bool number_float(number_float_t value, const string_t& digits) override {
    if (digits.find_first_of(".eE") != string_t::npos) return Put(value);
    return Put(J::binary({digits.begin(), digits.end()}));
  }
  bool string(string_t& value) override { return Put(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(J::object()); }
  bool key(string_t& name) override {
    Level& level = open_.back();
    if constexpr (std::is_same_v<J, Json>) {
      auto& object = level.value.template get_ref<typename J::object_t&>();
      auto [place, added] = level.places.try_emplace(name, object.size());
      if (added) object.push_back({std::move(name), nullptr});
      level.place = place->second;
    } else {
      level.name = std::move(name);
    }
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(size_t) override { return Open(J::array()); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while …"
    std::string_view what = error.what();
    if (size_t colon = what.find(": "); colon != std::string_view::npos) what.remove_prefix(colon + 2);
    error_ = absl::StrCat("not JSON at byte ", position, ": ", Absl(what));
    return false;
  }

 private:
  struct Level {
    J value;
    typename J::string_t name;                          // of the member to come, in a sorted object
    size_t place = 0;                                   // of the member to come, in an ordered object
    absl::flat_hash_map<std::string, size_t> places{};  // of an ordered object's members
  };

  bool Open(J value) {
    if (open_.size() == kMaxDepth) {
      error_ = absl::StrCat("JSON nests deeper than ", kMaxDepth, " levels");
      return false;
    }
    open_.push_back(Level{std::move(value), {}});
    return true;
  }
  bool Close() {
    J value = std::move(open_.back().value);
    open_.pop_back();
    return Put(std::move(value));
  }
  bool Put(J value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Level& level = open_.back(); level.value.is_array()) {
      level.value.push_back(std::move(value));
    } else if constexpr (std::is_same_v<J, Json>) {
      (level.value.template get_ref<typename J::object_t&>().begin() + level.place)->second = std::move(value);
    } else {
      level.value[level.name] = std::move(value);
    }
    return true;
  }

  J root_;
  std::vector<Level> open_;
  std::string error_;
};

template <typename J>
absl::StatusOr<J> Parse(std::string_view text) {
  Reader<J> reader;
  J::sax_parse(text.begin(), text.end(), &reader);
  return reader.Take();
}

// repr(float): the fewest digits that read back the same; an exponent below -4 and from 16 on.
std::string FloatRepr(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  const std::string_view scientific(buffer, end - buffer);
  const size_t e = scientific.find('e');
  int exponent = 0;
  const char* digits = scientific.data() + e + 1;
  std::from_chars(*digits == '+' ? digits + 1 : digits, end, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(scientific);
  const auto fixed_end = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed).ptr;
  std::string fixed(buffer, fixed_end);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

std::string Quoted(std::string_view text) { return absl::StrCat("\"", JsonEscape(text), "\""); }

// str.isprintable's exceptions beyond ASCII: controls, formats, separators and private use.
constexpr std::pair<char32_t, char32_t> kUnprintable[] = {
    {0x80, 0xA0},       {0xAD, 0xAD},       {0x600, 0x605},     {0x61C, 0x61C},     {0x6DD, 0x6DD},
    {0x70F, 0x70F},     {0x890, 0x891},     {0x8E2, 0x8E2},     {0x1680, 0x1680},   {0x180E, 0x180E},
    {0x2000, 0x200F},   {0x2028, 0x202F},   {0x205F, 0x206F},   {0x3000, 0x3000},   {0xE000, 0xF8FF},
    {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD}, {0x110CD, 0x110CD}, {0x13430, 0x13438},
    {0x1BCA0, 0x1BCA3}, {0x1D173, 0x1D17A}, {0xE0001, 0xE007F}, {0xF0000, 0x10FFFF}};

// repr(str): single quotes unless only those occur inside; escapes for what does not print.
std::string StringRepr(std::string_view text) {
  const bool has_single = text.find('\'') != text.npos, has_double = text.find('"') != text.npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, quote);
  for (size_t i = 0; i < text.size();) {
    const utf8::Sequence sequence = utf8::At(text, i);
    const std::string_view bytes = text.substr(i, sequence.length);
    const char32_t c = utf8::CodePoint(bytes);
    i += sequence.length;
    const bool prints = c < 0x7F ? c >= 0x20
                                 : c != 0x7F && std::none_of(std::begin(kUnprintable), std::end(kUnprintable),
                                                             [&](auto r) { return r.first <= c && c <= r.second; });
    if (c == '\\' || c == static_cast<unsigned char>(quote))
      absl::StrAppend(&out, "\\", Absl(bytes));
    else if (prints)
      out += bytes;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else if (c == '\t')
      out += "\\t";
    else if (c < 0x100)
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<uint32_t>(c));
    else if (c < 0x10000)
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<uint32_t>(c));
    else
      absl::StrAppendFormat(&out, "\\U%08x", static_cast<uint32_t>(c));
  }
  return out += quote;
}

// How json.dumps and repr spell what they spell differently.
struct Spelling {
  const char *null, *yes, *no;
  std::string (*string)(std::string_view);
};
constexpr Spelling kDumps = {"null", "true", "false", Quoted};
constexpr Spelling kRepr = {"None", "True", "False", StringRepr};

void Append(const Json& value, const Spelling& spelling, std::string& out) {
  switch (value.type()) {
    case Json::value_t::null:
      out += spelling.null;
      break;
    case Json::value_t::boolean:
      out += value.get<bool>() ? spelling.yes : spelling.no;
      break;
    case Json::value_t::number_integer:
      absl::StrAppend(&out, value.get<int64_t>());
      break;
    case Json::value_t::number_unsigned:
      absl::StrAppend(&out, value.get<uint64_t>());
      break;
    case Json::value_t::number_float:
      out += FloatRepr(value.get<double>());
      break;
    case Json::value_t::string:
      out += spelling.string(value.get_ref<const std::string&>());
      break;
    case Json::value_t::binary:
      out.append(value.get_binary().begin(), value.get_binary().end());
      break;
    case Json::value_t::array: {
      const char* separator = "";
      out += '[';
      for (const Json& element : value) {
        out += separator;
        Append(element, spelling, out);
        separator = ", ";
      }
      out += ']';
      break;
    }
    case Json::value_t::object: {
      const char* separator = "";
      out += '{';
      for (const auto& [name, member] : value.items()) {
        out += separator;
        out += spelling.string(name);
        out += ": ";
        Append(member, spelling, out);
        separator = ", ";
      }
      out += '}';
      break;
    }
    case Json::value_t::discarded:
      break;
  }
}

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text) { return Parse<Json>(text); }

absl::StatusOr<nlohmann::json> ParseSortedJson(std::string_view text) { return Parse<nlohmann::json>(text); }

std::string PythonDumps(const Json& value) {
  std::string out;
  Append(value, kDumps, out);
  return out;
}

std::string JsonEscape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20)
          absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned char>(c));
        else
          out += c;
    }
  }
  return out;
}

std::string PythonStr(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string out;
  Append(value, kRepr, out);
  return out;
}

bool PythonTruth(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return false;
    case Json::value_t::boolean:
      return value.get<bool>();
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float:
      return value.get<double>() != 0;
    case Json::value_t::string:
      return !value.get_ref<const std::string&>().empty();
    default:
      return !value.empty();
  }
}

}  // namespace modelc
