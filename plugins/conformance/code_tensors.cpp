#include "plugins/conformance/code_tensors.h"

#include <map>

#include "absl/strings/str_cat.h"

namespace modelc::conformance {
namespace {

// Of each tensor the sizes that are known at run time alone, from the first on ('G' pages of a cache); what follows is
// static.
const std::map<std::string, std::vector<std::string>>& DynamicSizes() {
  static const auto* sizes = new std::map<std::string, std::vector<std::string>>{
      {"embed", {"T", "", "T"}},
      {"linear", {"T", "", "T"}},
      {"linear_silu_mul", {"T", "", "", "T"}},
      {"head_linear", {"T", "", "T"}},
      {"rms_norm", {"T", "", "T"}},
      {"add_rms_norm", {"T", "T", "", "T", "T"}},
      {"layer_norm", {"T", "", "", "T"}},
      {"rope", {"T", "T", "", "T"}},
      {"hadamard", {"T", "T"}},
      {"fake_quantize", {"T", "T"}},
      {"mla.append", {"T", "T", "T", "T", "SP", "G"}},
      {"mla.attend_latent", {"T", "T", "T", "T", "T", "SP", "G", "T"}},
      {"mla.attend_expanded", {"T", "T", "T", "T", "T", "SP", "G", "", "T"}},
      {"mla.attend_parts", {"T", "T", "T", "T", "T", "SP", "G", "T"}},
      {"mla.merge_parts", {"T", "T"}},
      {"dsa.append", {"T", "T", "T", "SP", "G"}},
      {"dsa.logits", {"T", "T", "T", "T", "SP", "G", "TC"}},
      {"dsa.block_scores", {"TC", "T", "T", "TC"}},
      {"dsa.window_scores", {"TC", "T", "T", "TC"}},
      {"dsa.select", {"TC", "T", "T", "T"}},
      {"dsa.logits_select", {"T", "T", "T", "T", "SP", "G", "T"}},
      {"moe.route", {"T", "", "T", "T"}},
      {"moe.dispatch", {"T", "", "M", "T"}},
      {"grouped_linear_silu_mul", {"T", "M", "", "", "", "M"}},
      {"grouped_linear", {"M", "", "", "M"}},
      {"moe.combine", {"M", "T", "T", "T", "T"}},
      {"add", {"T", "T", "T"}},
      {"copy", {"T", "T"}},
      {"concat", {"T", "T", "T"}},
      {"take_rows", {"T", "N", "N"}},
  };
  return *sizes;
}

}  // namespace

std::vector<CodeTensor> CodeTensors(const std::string& op, const Tensors& tensors) {
  const std::vector<std::string>& dynamic = DynamicSizes().at(op);
  std::vector<CodeTensor> out;
  for (size_t i = 0; i < tensors.size(); ++i) {
    CodeTensor& tensor = out.emplace_back();
    if (tensors[i].left_out) continue;
    tensor.dtype = Name(tensors[i].dtype);
    for (size_t d = 0; d < tensors[i].shape.size(); ++d) {
      tensor.dims.push_back(d < dynamic[i].size() ? std::string(1, dynamic[i][d]) : absl::StrCat(tensors[i].shape[d]));
    }
  }
  return out;
}

}  // namespace modelc::conformance
