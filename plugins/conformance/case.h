// The op table: what a kernel of each op is tested with, and what it must answer. An op's cases and its reference stand
// together in the file of its family.
#ifndef MODELC_PLUGINS_CONFORMANCE_CASE_H_
#define MODELC_PLUGINS_CONFORMANCE_CASE_H_

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "plugins/conformance/tensor.h"
#include "plugins/manifest/manifest.h"

namespace modelc::conformance {

using Tensors = std::vector<HostTensor>;
using Attributes = nlohmann::json;
using Names = std::map<std::string, WhereValue, std::less<>>;

// In a reference's answer: any value will do (padding rows), and: the kernel must not have written here. NaN wants NaN.
inline constexpr double kAny = std::numeric_limits<double>::lowest();
inline constexpr double kUntouched = -std::numeric_limits<double>::infinity();

struct Case {
  std::string op;    // row of ops.md
  std::string name;  // sizes and what is special about it
  Attributes attributes = Attributes::object();
  Names names;  // what a manifest's `where` may ask
  // Inputs, then outputs, in the order of ops.md.
  std::function<Tensors(Random&)> make;
  // The values of the output and in-out tensors, in order, in float64.
  std::function<std::vector<Values>(const Tensors&)> reference;
  // Largest normalized mean squared error of a float result, sum (x-y)^2 / sum y^2: float32 arithmetic in any order of
  // summation passes, bfloat16 arithmetic does not. 0: equal bit by bit. Integers and bytes are always compared
  // exactly.
  double nmse = 1e-9;
  double flops = 0, bytes = 0;  // of one run: arithmetic; weights, caches and activations moved
  bool timed = false;           // a size of the real model, for perf alone: its reference would take too long
  // The same computation with one row alone; empty: the per-row tensors are cut.
  std::function<Tensors(const Tensors&, int64_t row)> alone;
};

std::vector<Case> LinearCases();   // linear, linear_silu_mul, head_linear
std::vector<Case> GroupedCases();  // grouped_linear, grouped_linear_silu_mul
std::vector<Case> NormCases();     // rms_norm, add_rms_norm, layer_norm
std::vector<Case> RowCases();      // embed, rope, hadamard, fake_quantize, add, copy, concat, take_rows
std::vector<Case> MLACases();      // mla.*
std::vector<Case> IndexerCases();  // dsa.*
std::vector<Case> MoECases();      // moe.route, moe.dispatch, moe.combine

std::vector<Case> AllCases();

// A case of the published model's sizes, for perf alone.
inline Case Timed(Case c) {
  c.timed = true;
  return c;
}

// "T=3 K=200"
std::string SizesName(std::initializer_list<std::pair<const char*, int64_t>> sizes);

}  // namespace modelc::conformance

#endif  // MODELC_PLUGINS_CONFORMANCE_CASE_H_
