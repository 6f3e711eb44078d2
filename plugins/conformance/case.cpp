#include "plugins/conformance/case.h"

#include <iterator>

namespace modelc::conformance {

std::vector<Case> AllCases() {
  std::vector<Case> all;
  for (auto make : {LinearCases, GroupedCases, NormCases, RowCases, MLACases, IndexerCases, MoECases}) {
    std::vector<Case> cases = make();
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  }
  return all;
}

std::string SizesName(std::initializer_list<std::pair<const char*, int64_t>> sizes) {
  std::string name;
  for (const auto& [letter, size] : sizes)
    name += (name.empty() ? "" : " ") + std::string(letter) + "=" + std::to_string(size);
  return name;
}

}  // namespace modelc::conformance
