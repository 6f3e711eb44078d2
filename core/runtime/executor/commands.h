// An entry of a program as the flat command array a plugin takes: repeats unrolled over their layers, every operand bound to
// a buffer. Only shapes and conditions depend on a step, so a step patches the dimensions that changed and nothing else.
#ifndef MODELC_CORE_RUNTIME_EXECUTOR_COMMANDS_H_
#define MODELC_CORE_RUNTIME_EXECUTOR_COMMANDS_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "core/program/program.h"
#include "plugins/abi/plugin.h"

namespace modelc {

// Shape of a step input: ids, pos, seq [T], pages [S, P], wanted [N] i32; hidden [T, hidden_size] f32.
absl::StatusOr<Shape> InputShape(const Program& program, Input input);

// What a program's names stand for on a device.
class Binder {
 public:
  virtual ~Binder() = default;
  // Dynamic dimensions may hold anything: they are set for each step.
  virtual absl::StatusOr<modelc_tensor> Tensor(const Operand& operand, int64_t layer) = 0;
  virtual absl::StatusOr<modelc_kernel*> Kernel(const Launch& launch) = 0;
};

class CommandList {
 public:
  // The program must outlive the list.
  static absl::StatusOr<CommandList> Build(const Program& program, const Entry& entry, Binder& binder);

  // Sets the shapes for a step and drops the launches whose condition does not hold.
  void Prepare(const Sizes& sizes);

  // As prepared last.
  absl::Span<const modelc_command> commands() const { return active_; }
  uint64_t replay_key() const { return replay_key_; }  // changes whenever a shape or the list of commands does
  // Where commands()[i] comes from.
  struct Origin {
    const Launch* launch;
    int64_t layer;
  };
  const Origin& origin(size_t i) const { return origins_[active_origins_[i]]; }

  const Entry& entry() const { return *entry_; }
  bool Uses(Input input) const { return uses_[static_cast<int>(input)]; }

 private:
  struct Patch {
    uint32_t tensor;
    uint32_t dim;
    int64_t factor;
  };

  const Entry* entry_ = nullptr;
  std::vector<modelc_tensor> tensors_;
  std::vector<modelc_command> commands_;  // every launch of every layer; their tensors point into tensors_
  std::vector<Origin> origins_;           // of commands_
  std::array<std::vector<Patch>, kNumSizes> patches_;
  std::array<bool, 6> uses_{};

  std::vector<int64_t> thresholds_;       // contexts that conditions compare with, ascending

  Sizes sizes_{};
  int64_t band_ = -1;                     // thresholds below the context: all that conditions depend on
  uint64_t replay_key_ = 0;
  std::vector<modelc_command> active_;
  std::vector<uint32_t> active_origins_;
};

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_EXECUTOR_COMMANDS_H_
