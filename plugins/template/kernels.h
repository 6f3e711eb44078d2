// The kernels of the mydevice backend and the table its manifest is made from.
#ifndef BACKEND_KERNELS_H_
#define BACKEND_KERNELS_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "plugins/abi/plugin.h"

namespace backend {

// A tensor of a command, its buffer looked up and its range checked. data is null where the host left it out.
struct Tensor {
  unsigned char* data;
  uint32_t dtype;
  uint32_t rank;
  int64_t shape[4];

  template <typename T>
  T* As() const {
    return reinterpret_cast<T*>(data);
  }
  bool Is(uint32_t wanted, uint32_t wanted_rank) const { return data && dtype == wanted && rank == wanted_rank; }
};

// Empty: all is well. Otherwise what was found and what is wanted.
using Message = std::string;

class Kernel {
 public:
  virtual ~Kernel() = default;
  // Checks number, dtypes, ranks and sizes of the tensors. Called for all commands of a submit before the first runs.
  virtual Message Check(const std::vector<Tensor>& tensors) const = 0;
  virtual void Run(const std::vector<Tensor>& tensors) const = 0;
};

// One line of the manifest.
struct KernelEntry {
  const char* name;   // what the host asks for
  const char* op;     // row of ops.md
  const char* where;  // when it applies (manifest.md); "" for always
  int rank;           // the highest whose `where` holds is taken
  // Makes the kernel for static attributes, or says what is wrong with them.
  Message (*make)(const nlohmann::json& attributes, std::unique_ptr<Kernel>* out);
};

const std::vector<KernelEntry>& Kernels();

}  // namespace backend

#endif  // BACKEND_KERNELS_H_
