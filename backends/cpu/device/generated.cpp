// Kernels of generated code: an image in executable memory, and a description that commands are checked against.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "backends/cpu/device/device.h"
#include "backends/cpu/device/table.h"
#include "backends/cpu/kernels/args.h"

namespace modelc::cpu {
namespace {

constexpr int64_t kMaxScratch = int64_t{1} << 32;

// Memory that holds the image and may be executed.
class Code {
 public:
  static absl::StatusOr<Code> Make(absl::Span<const std::byte> image) {
    Code code;
    code.bytes_ = image.size();
    void* memory = mmap(nullptr, image.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      return absl::ResourceExhaustedError(absl::StrCat("no memory for ", image.size(), " bytes of code"));
    code.memory_ = static_cast<std::byte*>(memory);
    std::memcpy(code.memory_, image.data(), image.size());
    if (mprotect(code.memory_, image.size(), PROT_READ | PROT_EXEC) != 0)
      return absl::FailedPreconditionError("the system does not let memory be made executable");
    return code;
  }
  Code() = default;
  Code(Code&& o) noexcept { *this = std::move(o); }
  Code& operator=(Code&& o) noexcept {
    std::swap(memory_, o.memory_);
    std::swap(bytes_, o.bytes_);
    return *this;
  }
  ~Code() {
    if (memory_) munmap(memory_, bytes_);
  }
  modelc_code_fn At(int64_t entry) const { return reinterpret_cast<modelc_code_fn>(memory_ + entry); }

 private:
  std::byte* memory_ = nullptr;
  size_t bytes_ = 0;
};

// A size of a tensor or of the grid: a number, or the size that a tensor's dimension has in the command at hand (the
// first of those with one name).
struct SizeOf {
  int64_t number = 0;
  int tensor = -1, dim = 0;
  std::string name;

  int64_t In(absl::Span<const Tensor> tensors) const { return tensor < 0 ? number : tensors[tensor].shape[dim]; }
};

struct Form {
  bool left_out = false;
  modelc_dtype dtype = MODELC_F32;
  std::vector<SizeOf> dims;
};

struct GridDim {
  SizeOf size;
  int64_t per = 1;
};

// What codegen.md says a description holds.
struct Description {
  std::string name;
  int64_t entry = 0, scratch = 0;
  std::vector<Form> tensors;
  std::vector<GridDim> grid;
};

class GeneratedKernel final : public Kernel {
 public:
  GeneratedKernel(Description description, Code code) : description_(std::move(description)), code_(std::move(code)) {}

  absl::Status Check(absl::Span<const Tensor> tensors) const override;

  void Run(absl::Span<const Tensor> tensors, Worker& worker) const override {
    int64_t items = 1;
    for (const GridDim& dim : description_.grid) items *= (dim.size.In(tensors) + dim.per - 1) / dim.per;
    const size_t table = (tensors.size() * sizeof(modelc_code_tensor) + 63) / 64 * 64;
    std::byte* memory = worker.Scratch(table + description_.scratch);
    auto* operands = reinterpret_cast<modelc_code_tensor*>(memory);
    for (size_t i = 0; i < tensors.size(); ++i) {
      operands[i] = {tensors[i].data, tensors[i].scale, {}};
      std::copy_n(tensors[i].shape, 4, operands[i].shape);
    }
    // Enough pieces that no worker waits long for another, of more than one item where there are many.
    const int64_t grain = std::max<int64_t>(1, items / (16 * worker.count()));
    const modelc_code_fn function = code_.At(description_.entry);
    for (int64_t piece; (piece = worker.Next()) * grain < items;)
      function(operands, piece * grain, std::min(items, (piece + 1) * grain), memory + table);
  }

 private:
  Description description_;
  Code code_;
};

absl::Status GeneratedKernel::Check(absl::Span<const Tensor> tensors) const {
  if (tensors.size() != description_.tensors.size())
    return absl::InvalidArgumentError(
        absl::StrCat("got ", tensors.size(), " tensors; wanted ", description_.tensors.size()));
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Form& form = description_.tensors[i];
    const Tensor& t = tensors[i];
    const auto bad = [&](auto... what) { return absl::InvalidArgumentError(absl::StrCat("tensor ", i, " ", what...)); };
    if (form.left_out && t) return bad("is given; the code was made without it");
    if (form.left_out) continue;
    if (!t) return bad("is missing");
    if (t.dtype != form.dtype)
      return bad("has dtype ", static_cast<int>(t.dtype), "; wanted ", static_cast<int>(form.dtype));
    if (t.rank != static_cast<int>(form.dims.size())) return bad("has rank ", t.rank, "; wanted ", form.dims.size());
    if (form.dtype == MODELC_F8E4M3 && !t.scale) return bad("has no block scales");
    for (int d = 0; d < t.rank; ++d)
      if (const int64_t size = form.dims[d].In(tensors); t.shape[d] != size)
        return bad("has size ", t.shape[d], " in dimension ", d, "; wanted ", size, " ", form.dims[d].name);
  }
  return absl::OkStatus();
}

std::optional<modelc_dtype> ParseDtype(const nlohmann::json& word) {
  static const std::map<std::string, modelc_dtype> words = {
      {"f32", MODELC_F32}, {"bf16", MODELC_BF16}, {"f8e4m3", MODELC_F8E4M3}, {"i32", MODELC_I32}, {"u8", MODELC_U8}};
  const auto it = word.is_string() ? words.find(word.get<std::string>()) : words.end();
  return it == words.end() ? std::nullopt : std::optional(it->second);
}

// `known` has the dimensions that gave names their sizes.
std::optional<SizeOf> ParseSize(const nlohmann::json& value, const std::map<std::string, SizeOf>& known) {
  if (value.is_number_unsigned()) return SizeOf{value.get<int64_t>()};
  const auto it = value.is_string() ? known.find(value.get<std::string>()) : known.end();
  return it == known.end() ? std::nullopt : std::optional(it->second);
}

absl::StatusOr<Description> ParseDescription(std::string_view text, uint64_t image_bytes) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto bad = [](auto... what) {
    return absl::InvalidArgumentError(absl::StrCat("description of generated code: ", what...));
  };
  if (!json.is_object()) return bad("is no JSON object");
  const auto number = [&](const char* name, int64_t most) -> std::optional<int64_t> {
    const auto it = json.find(name);
    if (it == json.end() || !it->is_number_unsigned() || it->get<uint64_t>() > static_cast<uint64_t>(most))
      return std::nullopt;
    return it->get<int64_t>();
  };
  Description out;
  if (json.contains("name") && json["name"].is_string()) out.name = json["name"].get<std::string>();
  const auto entry = number("entry", static_cast<int64_t>(image_bytes) - 1), scratch = number("scratch", kMaxScratch);
  if (!entry) return bad("'entry' is not a byte of the image, which has ", image_bytes);
  if (!scratch) return bad("'scratch' is not a number of bytes up to ", kMaxScratch);
  out.entry = *entry;
  out.scratch = *scratch;
  if (json.contains("target")) {  // hosts of ABI 1.4 and before do not say it
    if (!json["target"].is_string()) return bad("'target' is no text");
    if (absl::Status known = CheckTarget(json["target"].get<std::string>()); !known.ok()) return known;
  }
  if (!json.contains("tensors") || !json["tensors"].is_array()) return bad("'tensors' is no list");
  std::map<std::string, SizeOf> known;
  for (const nlohmann::json& value : json["tensors"]) {
    Form& form = out.tensors.emplace_back();
    form.left_out = value.is_null();
    if (form.left_out) continue;
    const auto dtype = value.is_array() && !value.empty() ? ParseDtype(value[0]) : std::nullopt;
    if (!dtype || value.size() > 5) return bad("a tensor is ", value.dump(), "; want a dtype and up to 4 sizes");
    form.dtype = *dtype;
    for (size_t d = 1; d < value.size(); ++d) {
      if (value[d].is_string()) {
        const std::string name = value[d].get<std::string>();
        const int tensor = static_cast<int>(out.tensors.size()) - 1;
        known.try_emplace(name, SizeOf{0, tensor, static_cast<int>(d) - 1, name});
      }
      const auto size = ParseSize(value[d], known);
      if (!size) return bad("a size is ", value[d].dump());
      form.dims.push_back(*size);
    }
  }
  if (!json.contains("grid") || !json["grid"].is_array()) return bad("'grid' is no list");
  for (const nlohmann::json& value : json["grid"]) {
    const auto size = value.is_array() && value.size() == 2 ? ParseSize(value[0], known) : std::nullopt;
    if (!size || !value[1].is_number_unsigned() || value[1] == 0)
      return bad("a grid dimension is ", value.dump(), "; want a size, by number or a tensor's name, and a count");
    out.grid.push_back({*size, value[1].get<int64_t>()});
  }
  return out;
}

}  // namespace

absl::StatusOr<std::unique_ptr<modelc_kernel>> LoadKernel(absl::Span<const std::byte> image,
                                                          std::string_view description_json) {
  if (image.empty()) return absl::InvalidArgumentError("generated code of 0 bytes");
  absl::StatusOr<Description> description = ParseDescription(description_json, image.size());
  if (!description.ok()) return description.status();
  absl::StatusOr<Code> code = Code::Make(image);
  if (!code.ok()) return code.status();
  auto out = std::make_unique<modelc_kernel>();
  out->name = absl::StrCat("generated ", description->name);
  out->kernel = std::make_unique<GeneratedKernel>(*std::move(description), *std::move(code));
  return out;
}

}  // namespace modelc::cpu
