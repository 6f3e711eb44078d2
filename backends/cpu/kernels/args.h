// What every kernel checks before it runs: the attributes it was resolved with, and the tensors of a command.
#ifndef MODELC_BACKENDS_CPU_KERNELS_ARGS_H_
#define MODELC_BACKENDS_CPU_KERNELS_ARGS_H_

#include <array>
#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "backends/cpu/kernels/kernel.h"
#include "nlohmann/json.hpp"

namespace modelc::cpu {

// Reads a kernel's attributes; all that ops.md names must be there, and nothing else. Remembers the first error:
//   Attributes a(json);
//   a.Number("eps", &eps);
//   a.Integer("first", &first, 0);
//   MODELC_CPU_RETURN_IF_ERROR(a.Finish());
class Attributes {
 public:
  explicit Attributes(const nlohmann::json& json);
  void Number(const char* name, float* out);                         // finite
  void Integer(const char* name, int64_t* out, int64_t least);       // least … 2^31-1
  void Boolean(const char* name, bool* out);
  void Choice(const char* name, std::initializer_list<const char*> words, int* out);  // the word's number
  // The first error, or one that names an attribute nobody read.
  absl::Status Finish();

 private:
  const nlohmann::json* Find(const char* name);
  void Fail(std::string message);

  const nlohmann::json& json_;
  std::set<std::string> read_;
  absl::Status status_;
};

// The tensors of an op. Dimensions are letters, one each, and one letter means one size in all tensors; '*' at the
// front stands for any number of leading dimensions, the same ones wherever it appears.
struct TensorSpec {
  const char* name;
  std::initializer_list<modelc_dtype> dtypes;
  const char* dims;        // "ThL"; "*D"
  bool optional = false;   // may be left out
};

// Sizes by letter.
class Dims {
 public:
  int64_t operator[](char letter) const { return sizes_[static_cast<unsigned char>(letter)]; }
  void Set(char letter, int64_t size) { sizes_[static_cast<unsigned char>(letter)] = size; }

 private:
  std::array<int64_t, 128> sizes_{};
};

// Compares a command's tensors with an op's; the error names the tensor, what was found and what is wanted.
absl::StatusOr<Dims> Match(std::initializer_list<TensorSpec> specs, absl::Span<const Tensor> tensors);

}  // namespace modelc::cpu

#define MODELC_CPU_RETURN_IF_ERROR(expr)               \
  do {                                                 \
    if (absl::Status s_ = (expr); !s_.ok()) return s_; \
  } while (false)

#endif  // MODELC_BACKENDS_CPU_KERNELS_ARGS_H_
