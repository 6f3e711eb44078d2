// JSON → Program. A file may be damaged or hostile: whatever is indexed, multiplied or allocated later is checked here.
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/program/program.h"
#include "core/program/schema.h"
#include "core/support/strings.h"
#include "nlohmann/json.hpp"

namespace modelc {
namespace {

using nlohmann::json;

constexpr int64_t kMaxHidden = int64_t{1} << 24;
constexpr int64_t kMaxSize = int64_t{1} << 31;   // of a step-time size or one dimension
constexpr int64_t kMaxBytes = int64_t{1} << 50;  // of anything
constexpr int64_t kMaxLayers = int64_t{1} << 16;
constexpr size_t kMaxRank = 4;

// Walks a JSON document and remembers the first complaint; after one, every read gives a default, so that a parser
// needs no branch per field and checks `status` once.
class Reader {
 public:
  explicit Reader(absl::Status* status) : status_(status) {}

  bool ok() const { return status_->ok(); }
  void Fail(std::string_view where, std::string_view what) {
    if (status_->ok()) {
      *status_ = absl::InvalidArgumentError(absl::StrCat("damaged program file: ", Absl(where), " ", Absl(what)));
    }
  }
  void Check(bool holds, std::string_view where, std::string_view what) {
    if (!holds) Fail(where, what);
  }

  const json& Member(const json& object, std::string_view key, std::string_view where) {
    static const json kNull;
    if (object.is_object()) {
      if (auto it = object.find(key); it != object.end()) return *it;
    }
    Fail(where, absl::StrCat("has no '", Absl(key), "'"));
    return kNull;
  }
  const json& Array(const json& object, std::string_view key, std::string_view where) {
    static const json kEmpty = json::array();
    const json& value = Member(object, key, where);
    if (value.is_array()) return value;
    Fail(where, absl::StrCat("wants an array as '", Absl(key), "'"));
    return kEmpty;
  }
  std::string Text(const json& value, std::string_view where) {
    if (value.is_string()) return value.get<std::string>();
    Fail(where, "wants a string");
    return {};
  }
  int64_t Int(const json& value, std::string_view where, int64_t low, int64_t high) {
    const bool fits = value.is_number_unsigned() ? value.get<uint64_t>() <= std::numeric_limits<int64_t>::max()
                                                 : value.is_number_integer();
    const int64_t number = fits ? value.get<int64_t>() : 0;
    if (fits && number >= low && number <= high) return number;
    Fail(where, absl::StrCat("wants a whole number from ", low, " to ", high));
    return low;
  }
  double Number(const json& value, std::string_view where) {
    if (value.is_number()) return value.get<double>();
    Fail(where, "wants a number");
    return 0;
  }
  // The index of a word in a closed list.
  template <size_t kCount>
  int Word(const json& value, std::string_view where, const std::string_view (&words)[kCount]) {
    if (value.is_string()) {
      for (size_t i = 0; i < kCount; ++i) {
        if (value.get_ref<const std::string&>() == words[i]) return static_cast<int>(i);
      }
    }
    Fail(where, absl::StrCat("has an unknown word where '", Absl(words[0]), "' … '", Absl(words[kCount - 1]),
                             "' may stand"));
    return 0;
  }
  DType ElementType(const json& value, std::string_view where) {
    if (value.is_string()) {
      if (auto dtype = ParseDType(value.get_ref<const std::string&>())) return *dtype;
    }
    Fail(where, "wants a dtype");
    return DType::kF32;
  }

 private:
  absl::Status* status_;
};

// a * b for non-negative numbers, or a number above kMaxBytes.
int64_t Product(int64_t a, int64_t b) {
  int64_t out;
  return __builtin_mul_overflow(a, b, &out) || out > kMaxBytes ? kMaxBytes + 1 : out;
}

Shape ReadShape(Reader& read, const json& value, std::string_view where) {
  static constexpr std::string_view kSizes[kNumSizes] = {"T", "N", "S", "P", "C", "M"};
  Shape shape;
  shape.dtype = read.ElementType(read.Member(value, "dtype", where), where);
  const json& dims = read.Array(value, "dims", where);
  read.Check(dims.size() <= kMaxRank, where, "has more than 4 dimensions");
  for (const json& dim : dims) {
    if (dim.is_array() && dim.size() == 2) {
      shape.dims.push_back({.factor = read.Int(dim[0], where, 1, kMaxSize),
                            .dynamic = true,
                            .size = static_cast<Size>(read.Word(dim[1], where, kSizes))});
    } else {
      shape.dims.push_back({.factor = read.Int(dim, where, 1, kMaxSize)});
    }
  }
  return shape;
}

int64_t BytesAt(const Shape& shape, const Sizes& sizes) {
  int64_t bytes = ByteSize(shape.dtype);
  for (const Dim& dim : shape.dims) {
    bytes = Product(bytes, dim.dynamic ? Product(dim.factor, sizes[static_cast<int>(dim.size)]) : dim.factor);
  }
  return bytes;
}

Buffer ReadBuffer(Reader& read, const json& value, std::string_view where, const Program& program) {
  Buffer buffer;
  buffer.name = read.Text(read.Member(value, "name", where), where);
  buffer.shape = ReadShape(read, read.Member(value, "shape", where), where);
  buffer.offset = read.Int(read.Member(value, "offset", where), where, 0, kMaxBytes);
  buffer.bytes = read.Int(read.Member(value, "bytes", where), where, 0, kMaxBytes);
  read.Check(ByteSize(buffer.shape.dtype) > 0, where, "has a dtype of weights alone");
  read.Check(buffer.offset % 64 == 0, where, "starts at an offset that is no multiple of 64");
  read.Check(buffer.offset + buffer.bytes <= program.arena_bytes, where, "ends outside the arena");
  read.Check(BytesAt(buffer.shape, program.limits) <= static_cast<int64_t>(buffer.bytes), where,
             "is smaller than its shape at the limits");
  return buffer;
}

Weight ReadWeight(Reader& read, const json& value, std::string_view where) {
  Weight weight;
  weight.name = read.Text(read.Member(value, "name", where), where);
  weight.scale = read.Text(read.Member(value, "scale", where), where);
  weight.dtype = read.ElementType(read.Member(value, "dtype", where), where);
  weight.experts = read.Int(read.Member(value, "experts", where), where, 0, kMaxSize);
  const json& shape = read.Array(value, "shape", where);
  int64_t bytes = ByteSize(weight.dtype);
  for (const json& dim : shape) {
    weight.shape.push_back(read.Int(dim, where, 1, kMaxSize));
    bytes = Product(bytes, weight.shape.back());
  }
  read.Check(!weight.name.empty(), where, "has no name");
  read.Check(shape.size() >= 1 && shape.size() <= kMaxRank, where, "wants 1 to 4 dimensions");
  read.Check(bytes <= kMaxBytes, where, "is too large");
  const bool stacked = weight.name.find("{expert}") != std::string::npos;
  read.Check(stacked == (weight.experts > 0), where, "must have {expert} in its name when it has experts, and only then");
  read.Check(!stacked || weight.shape.empty() || weight.shape[0] == weight.experts, where,
             "wants the experts as its first dimension");
  if (value.is_object() && value.contains("format")) {
    weight.format = read.ElementType(value["format"], where);
    read.Check(IsWeightFormat(*weight.format), where, "has a format that is none of bf16, int8, int4");
    read.Check(weight.shape.size() == (stacked ? 3u : 2u), where, "has a format but is no matrix, nor one for each expert");
  }
  read.Check(ByteSize(weight.dtype) > 0, where, "is stored in a dtype that no checkpoint has");
  read.Check(weight.scale.empty() || weight.shape.size() >= 2, where, "has scales but fewer than 2 dimensions");
  return weight;
}

Cache ReadCache(Reader& read, const json& value, std::string_view where) {
  Cache cache;
  cache.kind = static_cast<CacheKind>(read.Word(read.Member(value, "kind", where), where, schema::kCacheKinds));
  cache.layers = read.Int(read.Member(value, "layers", where), where, 1, kMaxLayers);
  cache.page_bytes = read.Int(read.Member(value, "page_bytes", where), where, 1, kMaxSize);
  cache.format = read.Text(read.Member(value, "format", where), where);
  return cache;
}

Operand ReadOperand(Reader& read, const json& value, std::string_view where, const Program& program, const Repeat& repeat) {
  Operand operand;
  if (!value.is_array() || value.empty()) {
    read.Fail(where, "has an operand that is no [kind, index]");
    return operand;
  }
  operand.kind = static_cast<Operand::Kind>(read.Word(value[0], where, schema::kOperandKinds));
  if (operand.kind == Operand::Kind::kNone) return operand;
  if (value.size() != 2) {
    read.Fail(where, "has an operand without an index");
    return operand;
  }
  const auto index_below = [&](size_t count) -> uint32_t {
    read.Check(count > 0, where, "names an element of an empty list");
    return static_cast<uint32_t>(read.Int(value[1], where, 0, static_cast<int64_t>(count) - 1));
  };
  switch (operand.kind) {
    case Operand::Kind::kNone: break;
    case Operand::Kind::kBuffer: operand.index = index_below(program.buffers.size()); break;
    case Operand::Kind::kInput: operand.index = read.Word(value[1], where, schema::kInputs); break;
    case Operand::Kind::kWeight: operand.index = index_below(program.weights.size()); break;
    case Operand::Kind::kConstant: operand.index = index_below(program.constants.size()); break;
    case Operand::Kind::kCache:
      operand.index = index_below(program.caches.size());
      read.Check(read.ok() && repeat.first + repeat.count <= program.caches[operand.index].layers, where,
                 "runs for a layer its cache does not have");
      break;
  }
  return operand;
}

Launch ReadLaunch(Reader& read, const json& value, std::string_view where, const Program& program, const Repeat& repeat) {
  Launch launch;
  launch.op = read.Text(read.Member(value, "op", where), where);
  launch.kernel = read.Text(read.Member(value, "kernel", where), where);
  launch.attributes = read.Text(read.Member(value, "attributes", where), where);
  for (const json& operand : read.Array(value, "operands", where)) {
    launch.operands.push_back(ReadOperand(read, operand, where, program, repeat));
  }
  if (!value.is_object()) return launch;
  if (auto it = value.find("code"); it != value.end()) {
    read.Check(!program.code.empty(), where, "runs code that the file does not hold");
    launch.code = read.Int(*it, where, 0, static_cast<int64_t>(program.code.size()) - 1);
  }
  if (auto it = value.find("condition"); it != value.end()) {
    launch.condition.when = static_cast<Condition::When>(read.Word(read.Member(*it, "when", where), where, schema::kWhens));
    launch.condition.context = read.Int(read.Member(*it, "context", where), where, 0, kMaxSize);
  }
  if (value.contains("taps")) {
    for (const json& element : read.Array(value, "taps", where)) {
      TapPoint tap;
      tap.name = read.Text(read.Member(element, "name", where), where);
      const json& operand = read.Member(element, "operand", where);
      tap.operand = read.Int(operand, where, 0, static_cast<int64_t>(launch.operands.size()));
      read.Check(read.ok() && tap.operand < launch.operands.size() &&
                     launch.operands[tap.operand].kind == Operand::Kind::kBuffer,
                 where, "has a tap on what is no buffer");
      launch.taps.push_back(std::move(tap));
    }
  }
  if (auto it = value.find("location"); it != value.end()) launch.location = read.Text(*it, where);
  return launch;
}

Entry ReadEntry(Reader& read, const json& value, std::string_view where, const Program& program) {
  Entry entry;
  entry.name = read.Text(read.Member(value, "name", where), where);
  for (const json& part : read.Array(value, "body", where)) {
    Repeat repeat;
    repeat.first = read.Int(read.Member(part, "first", where), where, 0, kMaxLayers);
    repeat.count = read.Int(read.Member(part, "count", where), where, 0, kMaxLayers);
    const json& launches = read.Array(part, "launches", where);
    for (size_t i = 0; i < launches.size() && read.ok(); ++i) {
      const std::string launch = absl::StrCat(Absl(where), " part ", entry.body.size(), " launch ", i);
      repeat.launches.push_back(ReadLaunch(read, launches[i], launch, program, repeat));
    }
    entry.body.push_back(std::move(repeat));
  }
  const json& outputs = read.Member(value, "outputs", where);
  read.Check(outputs.is_object(), where, "wants an object as 'outputs'");
  if (!outputs.is_object()) return entry;
  for (const auto& [name, index] : outputs.items()) {
    read.Check(!program.buffers.empty(), where, "has an output but the program no buffers");
    entry.outputs[name] = read.Int(index, where, 0, static_cast<int64_t>(program.buffers.size()) - 1);
  }
  return entry;
}

}  // namespace

absl::StatusOr<Program> ParseProgram(std::string_view text) {
  const json document = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object() || !document.contains(schema::kMagic)) {
    return absl::InvalidArgumentError("not a program file; 'modelc build' writes them");
  }
  absl::Status status;
  Reader read(&status);
  const std::string_view top = "the file";
  if (const json& version = document[schema::kMagic]; version != schema::kVersion) {
    return absl::FailedPreconditionError(absl::StrCat("the program file has format version ",
                                                      version.is_number() ? version.dump() : "unknown", ", this modelc reads ",
                                                      schema::kVersion, "; build it again"));
  }
  Program program;
  program.model = read.Text(read.Member(document, "model", top), top);
  program.backend = read.Text(read.Member(document, "backend", top), top);
  program.numerics = read.Text(read.Member(document, "numerics", top), top);
  program.hash = read.Text(read.Member(document, "hash", top), top);
  program.weights_folder = read.Text(read.Member(document, "weights_folder", top), top);
  program.arena_bytes = read.Int(read.Member(document, "arena_bytes", top), "arena_bytes", 0, kMaxBytes);
  const json& parameters = read.Member(document, "parameters", top);
  read.Check(parameters.is_object(), "parameters", "wants an object");
  if (parameters.is_object()) {
    for (const auto& [name, value] : parameters.items()) program.parameters[name] = read.Number(value, name);
  }
  const json& limits = read.Member(document, "limits", top);
  for (int i = 0; i < kNumSizes; ++i) {
    const std::string_view name = Name(static_cast<Size>(i));
    program.limits[i] = read.Int(read.Member(limits, name, "limits"), name, 0, kMaxSize);
  }
  // Step inputs take memory by these.
  const auto limit = [&](Size size) { return program.limits[static_cast<int>(size)]; };
  read.Check(Product(Product(limit(Size::kS), limit(Size::kP)), sizeof(int32_t)) <= kMaxBytes, "limits", "are too large");
  if (const auto hidden = program.parameters.find("hidden_size"); hidden != program.parameters.end()) {
    read.Check(hidden->second >= 1 && hidden->second <= kMaxHidden, "hidden_size", absl::StrCat("wants 1 to ", kMaxHidden));
  }
  // Reads a list's elements until the first complaint.
  const auto each = [&](const char* list, auto&& element) {
    const json& array = read.Array(document, list, top);
    for (size_t i = 0; i < array.size() && read.ok(); ++i) element(array[i], absl::StrCat(list, "[", i, "]"));
  };
  each("buffers", [&](const json& v, const std::string& at) { program.buffers.push_back(ReadBuffer(read, v, at, program)); });
  each("weights", [&](const json& v, const std::string& at) { program.weights.push_back(ReadWeight(read, v, at)); });
  each("constants", [&](const json& v, const std::string& at) {
    Constant& constant = program.constants.emplace_back();
    constant.name = read.Text(read.Member(v, "name", at), at);
    for (const json& number : read.Array(v, "values", at)) {
      constant.values.push_back(static_cast<float>(read.Number(number, at)));
    }
    read.Check(!constant.values.empty(), at, "has no values");
  });
  each("code", [&](const json& v, const std::string& at) {
    Code& code = program.code.emplace_back();
    code.description = read.Text(read.Member(v, "description", at), at);
    const std::string image = read.Text(read.Member(v, "image", at), at);
    read.Check(absl::Base64Unescape(image, &code.image), at, "has an image that is no base64");
    const int64_t sum = read.Int(read.Member(v, "crc32", at), at, 0, std::numeric_limits<uint32_t>::max());
    read.Check(read.ok() && sum == schema::Checksum(code), at, "has another checksum than it says: the code is damaged");
  });
  each("caches", [&](const json& v, const std::string& at) { program.caches.push_back(ReadCache(read, v, at)); });
  each("entries", [&](const json& v, const std::string& at) { program.entries.push_back(ReadEntry(read, v, at, program)); });
  if (!status.ok()) return status;
  return program;
}

}  // namespace modelc
