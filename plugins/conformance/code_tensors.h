// The tensors of a case as generated code is asked for them: static sizes by number, the others by the letters of
// ops.md.
#ifndef MODELC_PLUGINS_CONFORMANCE_CODE_TENSORS_H_
#define MODELC_PLUGINS_CONFORMANCE_CODE_TENSORS_H_

#include "plugins/conformance/case.h"
#include "plugins/conformance/conformance.h"

namespace modelc::conformance {

std::vector<CodeTensor> CodeTensors(const std::string& op, const Tensors& tensors);

}  // namespace modelc::conformance

#endif  // MODELC_PLUGINS_CONFORMANCE_CODE_TENSORS_H_
