#include "core/runtime/executor/commands.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"

namespace modelc {
namespace {

bool Holds(const Condition& condition, int64_t context) {
  switch (condition.when) {
    case Condition::When::kAlways: return true;
    case Condition::When::kContextAbove: return context > condition.context;
    case Condition::When::kContextAtMost: return context <= condition.context;
  }
  return true;
}

Dim Dynamic(Size size) { return {.factor = 1, .dynamic = true, .size = size}; }

}  // namespace

absl::StatusOr<Shape> InputShape(const Program& program, Input input) {
  switch (input) {
    case Input::kIds:
    case Input::kPos:
    case Input::kSeq: return Shape{DType::kI32, {Dynamic(Size::kT)}};
    case Input::kPages: return Shape{DType::kI32, {Dynamic(Size::kS), Dynamic(Size::kP)}};
    case Input::kWanted: return Shape{DType::kI32, {Dynamic(Size::kN)}};
    case Input::kHidden: {
      MODELC_ASSIGN_OR_RETURN(const int64_t hidden, program.Parameter("hidden_size"));
      return Shape{DType::kF32, {Dynamic(Size::kT), {.factor = hidden}}};
    }
  }
  return absl::InternalError("unknown input");
}

absl::StatusOr<CommandList> CommandList::Build(const Program& program, const Entry& entry, Binder& binder) {
  CommandList list;
  list.entry_ = &entry;
  for (const Repeat& repeat : entry.body) {
    for (int64_t layer = repeat.first; layer < repeat.first + repeat.count; ++layer) {
      for (const Launch& launch : repeat.launches) {
        const auto in_launch = [&](const absl::Status& status) {
          return absl::Status(status.code(), absl::StrCat(launch.location.empty() ? "" : launch.location + ": ", launch.op,
                                                          " of layer ", layer, ": ", status.message()));
        };
        absl::StatusOr<modelc_kernel*> kernel = binder.Kernel(launch);
        if (!kernel.ok()) return in_launch(kernel.status());
        list.commands_.push_back({*kernel, nullptr, static_cast<uint32_t>(launch.operands.size())});
        list.origins_.push_back({&launch, layer});
        if (launch.condition.when != Condition::When::kAlways) list.thresholds_.push_back(launch.condition.context);
        for (const Operand& operand : launch.operands) {
          absl::StatusOr<modelc_tensor> tensor = binder.Tensor(operand, layer);
          if (!tensor.ok()) return in_launch(tensor.status());
          Shape shape;
          if (operand.kind == Operand::Kind::kBuffer) {
            shape = program.buffers[operand.index].shape;
          } else if (operand.kind == Operand::Kind::kInput) {
            list.uses_[operand.index] = true;
            MODELC_ASSIGN_OR_RETURN(shape, InputShape(program, static_cast<Input>(operand.index)));
          }
          for (uint32_t d = 0; d < shape.dims.size(); ++d) {
            const Dim& dim = shape.dims[d];
            if (!dim.dynamic) continue;
            list.patches_[static_cast<int>(dim.size)].push_back(
                {static_cast<uint32_t>(list.tensors_.size()), d, dim.factor});
          }
          list.tensors_.push_back(*tensor);
        }
      }
    }
  }
  const modelc_tensor* tensors = list.tensors_.data();
  for (modelc_command& command : list.commands_) {
    command.tensors = tensors;
    tensors += command.n_tensors;
  }
  std::sort(list.thresholds_.begin(), list.thresholds_.end());
  list.sizes_.fill(-1);
  return list;
}

void CommandList::Prepare(const Sizes& sizes) {
  bool changed = false;
  for (int size = 0; size < kNumSizes; ++size) {
    if (sizes[size] == sizes_[size]) continue;
    for (const Patch& patch : patches_[size]) tensors_[patch.tensor].shape[patch.dim] = patch.factor * sizes[size];
    changed |= !patches_[size].empty();
  }
  const int64_t context = sizes[static_cast<int>(Size::kC)];
  const int64_t band = std::lower_bound(thresholds_.begin(), thresholds_.end(), context) - thresholds_.begin();
  if (band != band_) {
    band_ = band;
    changed = true;
    active_.clear();
    active_origins_.clear();
    for (uint32_t i = 0; i < commands_.size(); ++i) {
      if (!Holds(origins_[i].launch->condition, context)) continue;
      active_.push_back(commands_[i]);
      active_origins_.push_back(i);
    }
  }
  sizes_ = sizes;
  replay_key_ += changed;
}

}  // namespace modelc
