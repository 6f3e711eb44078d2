#include "backends/cpu/kernels/args.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace modelc::cpu {
namespace {

const char* DTypeName(modelc_dtype dtype) {
  switch (dtype) {
    case MODELC_F32: return "f32";
    case MODELC_BF16: return "bf16";
    case MODELC_F8E4M3: return "f8e4m3";
    case MODELC_I32: return "i32";
    case MODELC_U8: return "u8";
    case MODELC_INT8: return "int8";
    case MODELC_INT4: return "int4";
  }
  return "?";
}

std::string ShapeText(const Tensor& t) {
  return absl::StrCat("[", absl::StrJoin(absl::MakeConstSpan(t.shape, t.rank), ", "), "]");
}

// "[T, h, L]"
std::string DimsText(const char* dims) {
  std::string text = "[";
  for (const char* d = dims; *d; ++d) absl::StrAppend(&text, d == dims ? "" : ", ", *d == '*' ? "…" : std::string(1, *d));
  return text + "]";
}

}  // namespace

Attributes::Attributes(const nlohmann::json& json) : json_(json) {
  if (!json.is_object()) Fail("attributes are not a JSON object");
}

void Attributes::Fail(std::string message) {
  if (status_.ok()) status_ = absl::InvalidArgumentError(message);
}

const nlohmann::json* Attributes::Find(const char* name) {
  if (!status_.ok()) return nullptr;
  read_.insert(name);
  const auto it = json_.find(name);
  if (it == json_.end()) {
    Fail(absl::StrCat("attribute '", name, "' is missing"));
    return nullptr;
  }
  return &*it;
}

namespace {

// For messages; what is nested is not written out, which would take a stack as deep.
std::string Shown(const nlohmann::json& value) { return value.is_structured() ? value.type_name() : value.dump(); }

}  // namespace

void Attributes::Number(const char* name, float* out) {
  const nlohmann::json* value = Find(name);
  if (!value) return;
  if (!value->is_number() || !std::isfinite(static_cast<float>(value->get<double>())))
    return Fail(absl::StrCat("attribute '", name, "' is ", Shown(*value), "; wanted a finite number"));
  *out = static_cast<float>(value->get<double>());
}

void Attributes::Integer(const char* name, int64_t* out, int64_t least) {
  const nlohmann::json* value = Find(name);
  if (!value) return;
  if (!value->is_number_integer() || value->get<int64_t>() < least ||
      value->get<int64_t>() > std::numeric_limits<int32_t>::max())
    return Fail(absl::StrCat("attribute '", name, "' is ", Shown(*value), "; wanted an integer of at least ", least));
  *out = value->get<int64_t>();
}

void Attributes::Boolean(const char* name, bool* out) {
  const nlohmann::json* value = Find(name);
  if (!value) return;
  if (!value->is_boolean())
    return Fail(absl::StrCat("attribute '", name, "' is ", Shown(*value), "; wanted true or false"));
  *out = value->get<bool>();
}

void Attributes::Choice(const char* name, std::initializer_list<const char*> words, int* out) {
  const nlohmann::json* value = Find(name);
  if (!value) return;
  int number = 0;
  for (const char* word : words) {
    if (value->is_string() && value->get_ref<const std::string&>() == word) {
      *out = number;
      return;
    }
    ++number;
  }
  Fail(absl::StrCat("attribute '", name, "' is ", Shown(*value), "; wanted one of: ", absl::StrJoin(words, ", ")));
}

absl::Status Attributes::Finish() {
  if (status_.ok()) {
    for (const auto& item : json_.items())
      if (!read_.contains(item.key())) {
        Fail(absl::StrCat("attribute '", item.key(), "' is unknown; known: ", absl::StrJoin(read_, ", ")));
        break;
      }
  }
  return status_;
}

absl::StatusOr<Dims> Match(std::initializer_list<TensorSpec> specs, absl::Span<const Tensor> tensors) {
  if (tensors.size() != specs.size())
    return absl::InvalidArgumentError(absl::StrCat("got ", tensors.size(), " tensors; wanted ", specs.size()));
  Dims dims;
  std::array<const char*, 128> set_by{};  // the tensor that gave a letter its size
  const Tensor* leading = nullptr;        // the tensor that gave '*' its dimensions
  int n_leading = 0;
  size_t i = 0;
  for (const TensorSpec& spec : specs) {
    const Tensor& t = tensors[i++];
    if (!t) {
      if (spec.optional) continue;
      return absl::InvalidArgumentError(absl::StrCat("tensor '", spec.name, "' is missing"));
    }
    bool dtype_ok = false;
    for (modelc_dtype d : spec.dtypes) dtype_ok |= d == t.dtype;
    if (!dtype_ok)
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor '", spec.name, "' is ", DTypeName(t.dtype), "; wanted ",
          absl::StrJoin(spec.dtypes, " or ",
                        [](std::string* out, modelc_dtype d) { absl::StrAppend(out, DTypeName(d)); })));

    const bool star = spec.dims[0] == '*';
    const char* letters = spec.dims + (star ? 1 : 0);
    const int n = static_cast<int>(std::strlen(letters));
    if (star ? t.rank < n : t.rank != n)
      return absl::InvalidArgumentError(
          absl::StrCat("tensor '", spec.name, "' has shape ", ShapeText(t), "; wanted ", DimsText(spec.dims)));
    const int lead = t.rank - n;
    if (star) {
      if (leading == nullptr) {
        leading = &t;
        n_leading = lead;
      } else if (lead != n_leading || !std::equal(t.shape, t.shape + lead, leading->shape)) {
        return absl::InvalidArgumentError(absl::StrCat("tensor '", spec.name, "' has shape ", ShapeText(t),
                                                       "; its leading dimensions differ from ", ShapeText(*leading)));
      }
    }
    for (int d = 0; d < n; ++d) {
      const unsigned char letter = letters[d];
      const int64_t size = t.shape[lead + d];
      if (set_by[letter] == nullptr) {
        set_by[letter] = spec.name;
        dims.Set(letter, size);
      } else if (dims[letter] != size) {
        return absl::InvalidArgumentError(absl::StrCat("tensor '", spec.name, "' has shape ", ShapeText(t), "; wanted ",
                                                       DimsText(spec.dims), " with ", std::string(1, letter), " = ",
                                                       dims[letter], " as in '", set_by[letter], "'"));
      }
    }
  }
  return dims;
}

}  // namespace modelc::cpu
