#include "core/runtime/executor/executor.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/runtime/executor/batch.h"
#include "core/runtime/executor/commands.h"
#include "core/runtime/executor/weights.h"
#include "core/support/status.h"
#include "core/support/strings.h"

namespace modelc {
namespace {

constexpr int kNumInputs = 6;
constexpr uint64_t kAlign = 64;

absl::Status Context(const absl::Status& status, const std::string& what) {
  return absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
}

uint64_t BytesAt(const Shape& shape, const Sizes& sizes) {
  uint64_t bytes = ByteSize(shape.dtype);
  for (const Dim& dim : shape.dims) bytes *= dim.at(sizes);
  return bytes;
}

modelc_tensor View(const DeviceBuffer& buffer, uint64_t offset, const Shape& shape, const Sizes& sizes) {
  modelc_tensor tensor{};
  tensor.buffer = buffer.get();
  tensor.offset = offset;
  tensor.dtype = static_cast<uint32_t>(shape.dtype);
  tensor.rank = static_cast<uint32_t>(shape.dims.size());
  for (size_t d = 0; d < shape.dims.size(); ++d) tensor.shape[d] = shape.dims[d].at(sizes);
  return tensor;
}

// The engine takes rows of `width` floats from an output: what a program says of its size must be so.
absl::Status CheckOutput(const Program& program, const Entry& entry, const char* output, Size rows, int64_t width) {
  const auto it = entry.outputs.find(output);
  if (it == entry.outputs.end()) return absl::OkStatus();
  const Shape& shape = program.buffers[it->second].shape;
  if (shape.dtype == DType::kF32 && shape.dims.size() == 2 && shape.dims[0].dynamic && shape.dims[0].factor == 1 &&
      shape.dims[0].size == rows && !shape.dims[1].dynamic && shape.dims[1].factor == width) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("entry '", entry.name, "': output '", output, "' is not f32 [",
                                                 Absl(Name(rows)), ", ", width, "]"));
}

bool UsesInput(const Entry& entry, Input input) {
  for (const Repeat& repeat : entry.body) {
    for (const Launch& launch : repeat.launches) {
      for (const Operand& operand : launch.operands) {
        if (operand.kind == Operand::Kind::kInput && operand.index == static_cast<uint32_t>(input)) return true;
      }
    }
  }
  return false;
}

}  // namespace

struct Executor::Impl final : Binder {
  Program program;
  std::unique_ptr<Device> device;  // declared before what is made from it
  int64_t pages = 0;

  BoundWeights weights;
  std::vector<DeviceBuffer> constants;
  std::vector<DeviceBuffer> caches;  // [layers][pages][page_bytes] each
  DeviceBuffer arena;
  DeviceBuffer inputs;               // every input at its offset, sized at the limits
  std::array<uint64_t, kNumInputs> input_offsets{};
  std::map<std::pair<std::string, std::string>, DeviceKernel> kernels;  // by name and attributes
  std::map<std::string, CommandList, std::less<>> entries;
  BatchLimits limits;

  std::vector<float> logits, hidden;  // of the last step

  absl::Status Allocate();
  absl::StatusOr<modelc_tensor> Tensor(const Operand& operand, int64_t layer) override;
  absl::StatusOr<modelc_kernel*> Kernel(const Launch& launch) override;

  // Checks the batch, sets the entry's shapes and uploads the inputs.
  struct Prepared {
    CommandList* commands;
    Sizes sizes;
  };
  absl::StatusOr<Prepared> Prepare(std::string_view entry, const StepBatch& batch);
  absl::Status ShowTaps(const CommandList::Origin& origin, const Sizes& sizes, const Tap& tap);
  absl::StatusOr<StepOutput> Collect(const Prepared& step);
  absl::Status Read(const Entry& entry, const char* output, const Sizes& sizes, std::vector<float>& values);
};

absl::Status Executor::Impl::Allocate() {
  absl::StatusOr<DeviceBuffer> buffer = device->Alloc(std::max<uint64_t>(program.arena_bytes, kAlign));
  if (!buffer.ok()) return Context(buffer.status(), absl::StrCat("activations, ", program.arena_bytes, " bytes"));
  arena = *std::move(buffer);

  uint64_t offset = 0;
  for (int i = 0; i < kNumInputs; ++i) {
    const Input input = static_cast<Input>(i);
    const bool used = std::any_of(program.entries.begin(), program.entries.end(),
                                  [&](const Entry& entry) { return UsesInput(entry, input); });
    if (!used) continue;
    MODELC_ASSIGN_OR_RETURN(const Shape shape, InputShape(program, input));
    input_offsets[i] = offset;
    offset += (BytesAt(shape, program.limits) + kAlign - 1) / kAlign * kAlign;
  }
  MODELC_ASSIGN_OR_RETURN(inputs, device->Alloc(std::max(offset, kAlign)));

  for (const Cache& cache : program.caches) {
    const uint64_t bytes = static_cast<uint64_t>(cache.layers) * pages * cache.page_bytes;
    buffer = device->Alloc(bytes);
    if (!buffer.ok()) return Context(buffer.status(), absl::StrCat("cache of ", pages, " pages, ", bytes, " bytes"));
    caches.push_back(*std::move(buffer));
  }
  for (const Constant& constant : program.constants) {
    const uint64_t bytes = constant.values.size() * sizeof(float);
    MODELC_ASSIGN_OR_RETURN(DeviceBuffer values, device->Alloc(bytes));
    MODELC_RETURN_IF_ERROR(device->Upload(values, 0, constant.values.data(), bytes));
    constants.push_back(std::move(values));
  }
  return device->Sync();
}

absl::StatusOr<modelc_tensor> Executor::Impl::Tensor(const Operand& operand, int64_t layer) {
  switch (operand.kind) {
    case Operand::Kind::kNone: return modelc_tensor{};
    case Operand::Kind::kWeight: return weights.Tensor(operand.index, layer);
    case Operand::Kind::kBuffer: {
      const Buffer& buffer = program.buffers[operand.index];
      return View(arena, buffer.offset, buffer.shape, program.limits);
    }
    case Operand::Kind::kInput: {
      MODELC_ASSIGN_OR_RETURN(const Shape shape, InputShape(program, static_cast<Input>(operand.index)));
      return View(inputs, input_offsets[operand.index], shape, program.limits);
    }
    case Operand::Kind::kConstant: {
      const int64_t values = program.constants[operand.index].values.size();
      return View(constants[operand.index], 0, {DType::kF32, {{.factor = values}}}, program.limits);
    }
    case Operand::Kind::kCache: {
      const Cache& cache = program.caches[operand.index];
      const uint64_t layer_bytes = static_cast<uint64_t>(pages) * cache.page_bytes;
      return View(caches[operand.index], layer * layer_bytes,
                  {DType::kU8, {{.factor = pages}, {.factor = cache.page_bytes}}}, program.limits);
    }
  }
  return absl::InternalError("unknown operand");
}

absl::StatusOr<modelc_kernel*> Executor::Impl::Kernel(const Launch& launch) {
  // Code is told apart by its number, kernels by their attributes.
  const auto key = std::pair(launch.kernel, launch.code ? absl::StrCat(*launch.code) : launch.attributes);
  auto it = kernels.find(key);
  if (it == kernels.end()) {
    absl::StatusOr<DeviceKernel> made = launch.code ? device->Load(program.code[*launch.code].image,
                                                                   program.code[*launch.code].description)
                                                    : device->Resolve(launch.kernel, launch.attributes);
    MODELC_ASSIGN_OR_RETURN(DeviceKernel kernel, std::move(made));
    it = kernels.emplace(key, std::move(kernel)).first;
  }
  return it->second.get();
}

absl::StatusOr<Executor::Impl::Prepared> Executor::Impl::Prepare(std::string_view entry, const StepBatch& batch) {
  const auto it = entries.find(entry);
  if (it == entries.end()) {
    return absl::NotFoundError(absl::StrCat("the program has no entry '", Absl(entry), "'"));
  }
  CommandList& commands = it->second;
  BatchLimits entry_limits = limits;
  if (!commands.Uses(Input::kHidden)) entry_limits.hidden = 0;
  MODELC_ASSIGN_OR_RETURN(const Sizes sizes, CheckBatch(batch, entry_limits));
  commands.Prepare(sizes);
  const auto upload = [&](Input input, const void* data, uint64_t bytes) {
    if (bytes == 0 || !commands.Uses(input)) return absl::OkStatus();
    return device->Upload(inputs, input_offsets[static_cast<int>(input)], data, bytes);
  };
  const auto upload_ints = [&](Input input, absl::Span<const int32_t> values) {
    return upload(input, values.data(), values.size() * sizeof(int32_t));
  };
  MODELC_RETURN_IF_ERROR(upload_ints(Input::kIds, batch.ids));
  MODELC_RETURN_IF_ERROR(upload_ints(Input::kPos, batch.pos));
  MODELC_RETURN_IF_ERROR(upload_ints(Input::kSeq, batch.seq));
  MODELC_RETURN_IF_ERROR(upload_ints(Input::kPages, batch.pages));
  MODELC_RETURN_IF_ERROR(upload_ints(Input::kWanted, batch.wanted));
  MODELC_RETURN_IF_ERROR(upload(Input::kHidden, batch.hidden.data(), batch.hidden.size() * sizeof(float)));
  return Prepared{&commands, sizes};
}

absl::Status Executor::Impl::ShowTaps(const CommandList::Origin& origin, const Sizes& sizes, const Tap& tap) {
  for (const TapPoint& point : origin.launch->taps) {
    const Operand& operand = origin.launch->operands[point.operand];
    if (operand.kind != Operand::Kind::kBuffer) continue;
    const Buffer& buffer = program.buffers[operand.index];
    TapValue value{point.name, origin.layer, buffer.shape.dtype, {}, {}};
    for (const Dim& dim : buffer.shape.dims) value.shape.push_back(dim.at(sizes));
    value.bytes.resize(BytesAt(buffer.shape, sizes));
    MODELC_RETURN_IF_ERROR(device->Download(arena, buffer.offset, value.bytes.data(), value.bytes.size()));
    if (tap(value)) {
      MODELC_RETURN_IF_ERROR(device->Upload(arena, buffer.offset, value.bytes.data(), value.bytes.size()));
      MODELC_RETURN_IF_ERROR(device->Sync());
    }
  }
  return absl::OkStatus();
}

absl::Status Executor::Impl::Read(const Entry& entry, const char* output, const Sizes& sizes, std::vector<float>& values) {
  values.clear();
  const auto it = entry.outputs.find(output);
  if (it == entry.outputs.end()) return absl::OkStatus();
  const Buffer& buffer = program.buffers[it->second];
  const uint64_t bytes = BytesAt(buffer.shape, sizes);
  values.resize(bytes / sizeof(float));
  return bytes == 0 ? absl::OkStatus() : device->Download(arena, buffer.offset, values.data(), bytes);
}

absl::StatusOr<StepOutput> Executor::Impl::Collect(const Prepared& step) {
  const Entry& entry = step.commands->entry();
  MODELC_RETURN_IF_ERROR(Read(entry, "logits", step.sizes, logits));
  MODELC_RETURN_IF_ERROR(Read(entry, "hidden", step.sizes, hidden));
  MODELC_RETURN_IF_ERROR(device->Sync());  // inputs may go away, even where nothing was read
  return StepOutput{logits, hidden};
}

Executor::Executor() : impl_(std::make_unique<Impl>()) {}
Executor::~Executor() = default;

absl::StatusOr<std::unique_ptr<Executor>> Executor::Create(Program program, const Checkpoint& checkpoint,
                                                           std::unique_ptr<Device> device, int64_t pages,
                                                           const LoadProgress& progress) {
  if (program.backend != device->plugin().name()) {
    return absl::FailedPreconditionError(absl::StrCat("the program was compiled for backend '", program.backend,
                                                      "', the device belongs to '", Absl(device->plugin().name()),
                                                      "'; compile it for this one"));
  }
  if (pages < 1) return absl::InvalidArgumentError(absl::StrCat("a cache of ", pages, " pages; at least 1 is needed"));
  std::unique_ptr<Executor> executor(new Executor());
  Impl& impl = *executor->impl_;
  impl.program = std::move(program);
  impl.device = std::move(device);
  impl.pages = pages;
  impl.limits.sizes = impl.program.limits;
  impl.limits.pages = pages;
  MODELC_ASSIGN_OR_RETURN(impl.limits.vocab, impl.program.Parameter("vocab_size"));
  MODELC_ASSIGN_OR_RETURN(impl.limits.hidden, impl.program.Parameter("hidden_size"));
  for (const Entry& entry : impl.program.entries) {
    MODELC_RETURN_IF_ERROR(CheckOutput(impl.program, entry, "logits", Size::kN, impl.limits.vocab));
    MODELC_RETURN_IF_ERROR(CheckOutput(impl.program, entry, "hidden", Size::kT, impl.limits.hidden));
  }
  MODELC_ASSIGN_OR_RETURN(impl.weights, BoundWeights::Bind(impl.program, checkpoint, *impl.device, progress));
  MODELC_RETURN_IF_ERROR(impl.Allocate());
  for (const Entry& entry : impl.program.entries) {
    MODELC_ASSIGN_OR_RETURN(CommandList commands, CommandList::Build(impl.program, entry, impl));
    impl.entries.emplace(entry.name, std::move(commands));
  }
  return executor;
}

const Program& Executor::program() const { return impl_->program; }
const Device& Executor::device() const { return *impl_->device; }
int64_t Executor::pages() const { return impl_->pages; }
uint64_t Executor::weight_bytes() const { return impl_->weights.bytes(); }

int64_t Executor::PageBytes(const Program& program) {
  int64_t bytes = 0;
  for (const Cache& cache : program.caches) bytes += cache.layers * cache.page_bytes;
  return bytes;
}

absl::StatusOr<StepOutput> Executor::Run(std::string_view entry, const StepBatch& batch) {
  MODELC_ASSIGN_OR_RETURN(const Impl::Prepared step, impl_->Prepare(entry, batch));
  // Entries have their own counts, so the plugin sees keys of different entries apart.
  const uint64_t entry_number = &step.commands->entry() - impl_->program.entries.data();
  const uint64_t replay_key = step.commands->replay_key() * impl_->program.entries.size() + entry_number;
  const absl::Status status = impl_->device->Submit(step.commands->commands(), replay_key);
  if (!status.ok()) {
    (void)impl_->device->Sync();  // the uploads still read the batch
    return status;
  }
  return impl_->Collect(step);
}

absl::StatusOr<StepOutput> Executor::RunWithTaps(std::string_view entry, const StepBatch& batch, const Tap& tap) {
  MODELC_ASSIGN_OR_RETURN(const Impl::Prepared step, impl_->Prepare(entry, batch));
  const absl::Span<const modelc_command> commands = step.commands->commands();
  for (size_t i = 0; i < commands.size(); ++i) {
    const CommandList::Origin& origin = step.commands->origin(i);
    const absl::Status status = impl_->device->Submit(commands.subspan(i, 1));
    if (!status.ok()) return Context(status, absl::StrCat(origin.launch->location, " layer ", origin.layer));
    MODELC_RETURN_IF_ERROR(impl_->ShowTaps(origin, step.sizes, tap));
  }
  return impl_->Collect(step);
}

absl::StatusOr<StepOutput> Executor::RunTimed(std::string_view entry, const StepBatch& batch, const LaunchTimer& timer) {
  MODELC_ASSIGN_OR_RETURN(const Impl::Prepared step, impl_->Prepare(entry, batch));
  MODELC_RETURN_IF_ERROR(impl_->device->Sync());  // uploads are no launch's time
  const absl::Span<const modelc_command> commands = step.commands->commands();
  for (size_t i = 0; i < commands.size(); ++i) {
    const CommandList::Origin& origin = step.commands->origin(i);
    const auto start = std::chrono::steady_clock::now();
    absl::Status status = impl_->device->Submit(commands.subspan(i, 1));
    if (status.ok()) status = impl_->device->Sync();
    if (!status.ok()) return Context(status, absl::StrCat(origin.launch->location, " layer ", origin.layer));
    timer(*origin.launch, origin.layer, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return impl_->Collect(step);
}

absl::StatusOr<Device::Counters> Executor::ReadCounters() { return impl_->device->ReadCounters(); }

}  // namespace modelc
