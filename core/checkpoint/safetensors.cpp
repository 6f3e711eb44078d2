#include "core/checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "nlohmann/json.hpp"

namespace modelc {
namespace {

using nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own limit

struct ElementType {
  const char* name;
  std::optional<DType> dtype;
  uint64_t bytes;
};
constexpr ElementType kElementTypes[] = {
    {"F32", DType::kF32, 4}, {"BF16", DType::kBF16, 2}, {"F8_E4M3", DType::kF8E4M3, 1},
    {"I32", DType::kI32, 4}, {"U8", DType::kU8, 1},     {"I64", std::nullopt, 8},
};

// JSON keeps the last of equal keys without a word; in a header that would hide a tensor.
absl::StatusOr<json> ParseWithoutDuplicates(std::string_view text) {
  std::set<std::string> names;  // of the tensors
  std::string duplicate;
  const auto watch = [&](int depth, json::parse_event_t event, json& value) {
    if (event == json::parse_event_t::key && depth == 1 && !names.insert(value.get<std::string>()).second) {
      duplicate = value.get<std::string>();
    }
    return true;
  };
  json header = json::parse(text, watch, /*allow_exceptions=*/false);
  if (!header.is_object()) return absl::InvalidArgumentError("the header is not a JSON object");
  if (!duplicate.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("tensor '", duplicate, "' is in the header twice"));
  }
  return header;
}

absl::Status Complain(std::string_view name, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("tensor '", Absl(name), "': ", Absl(what)));
}

absl::StatusOr<SafetensorsEntry> ReadEntry(const std::string& name, const json& value, uint64_t data_bytes) {
  const auto member = [&](const char* key) -> const json& {
    static const json kNull;
    const auto it = value.is_object() ? value.find(key) : value.end();
    return value.is_object() && it != value.end() ? *it : kNull;
  };
  SafetensorsEntry entry;
  entry.name = name;

  const json& dtype = member("dtype");
  if (!dtype.is_string()) return Complain(name, "has no dtype");
  const std::string& type_name = dtype.get_ref<const std::string&>();
  const auto type = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                                 [&](const ElementType& t) { return type_name == t.name; });
  if (type == std::end(kElementTypes)) {
    return Complain(name, absl::StrCat("dtype '", type_name, "' is none of ",
                                       absl::StrJoin(kElementTypes, ", ", [](std::string* out, const ElementType& t) {
                                         out->append(t.name);
                                       })));
  }
  entry.dtype = type->dtype;

  const json& shape = member("shape");
  if (!shape.is_array()) return Complain(name, "has no shape");
  uint64_t wanted = type->bytes;
  for (const json& dim : shape) {
    constexpr uint64_t kMaxDim = uint64_t{1} << 48;
    if (!dim.is_number_unsigned() || dim.get<uint64_t>() > kMaxDim) {
      // Not dumped where it is nested: that takes a stack as deep.
      return Complain(name, absl::StrCat("shape holds ", dim.is_number() ? dim.dump() : dim.type_name(), ", which is no dimension"));
    }
    if (__builtin_mul_overflow(wanted, dim.get<uint64_t>(), &wanted)) {
      return Complain(name, "shape overflows");
    }
    entry.shape.push_back(dim.get<int64_t>());
  }

  const json& offsets = member("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) {
    return Complain(name, "data_offsets are not two numbers");
  }
  const uint64_t begin = offsets[0].get<uint64_t>(), end = offsets[1].get<uint64_t>();
  if (begin > end || end > data_bytes) {
    return Complain(name, absl::StrCat("data_offsets [", begin, ", ", end, "] leave the file, which holds ", data_bytes,
                                       " bytes of data; is it truncated?"));
  }
  if (end - begin != wanted) {
    return Complain(name, absl::StrCat("has ", end - begin, " bytes, but ", type_name, shape.dump(), " takes ", wanted));
  }
  entry.offset = begin;
  entry.bytes = wanted;
  return entry;
}

// No byte belongs to two tensors, and none to no tensor: either means that offsets are wrong.
absl::Status CheckCover(absl::Span<const SafetensorsEntry> sorted, uint64_t data_bytes) {
  uint64_t covered = 0;
  std::string_view before = "the header";
  for (const SafetensorsEntry& entry : sorted) {
    if (entry.offset < covered) {
      return Complain(entry.name, absl::StrCat("overlaps tensor '", Absl(before), "'"));
    }
    if (entry.offset > covered) {
      return Complain(entry.name, absl::StrCat("leaves ", entry.offset - covered, " bytes unused after ", Absl(before)));
    }
    covered = entry.offset + entry.bytes;
    before = entry.name;
  }
  if (covered != data_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("the file has ", data_bytes - covered, " bytes after the last tensor"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<SafetensorsEntry>> ReadSafetensorsHeader(absl::Span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    return absl::InvalidArgumentError(absl::StrCat("has ", file.size(), " bytes, too few for a safetensors header"));
  }
  uint64_t length = 0;
  for (int i = kLengthBytes - 1; i >= 0; --i) length = length << 8 | std::to_integer<uint64_t>(file[i]);
  if (length > kMaxHeader || length > file.size() - kLengthBytes) {
    return absl::InvalidArgumentError(absl::StrCat("claims a header of ", length, " bytes; the file has ", file.size(),
                                                   " bytes; it is truncated or no safetensors file"));
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  MODELC_ASSIGN_OR_RETURN(const json header, ParseWithoutDuplicates(text));
  const uint64_t data_start = kLengthBytes + length, data_bytes = file.size() - data_start;
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") continue;
    MODELC_ASSIGN_OR_RETURN(SafetensorsEntry entry, ReadEntry(name, value, data_bytes));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  MODELC_RETURN_IF_ERROR(CheckCover(entries, data_bytes));
  for (SafetensorsEntry& entry : entries) entry.offset += data_start;
  return entries;
}

}  // namespace modelc
