//===- Parameters.h - lm.param values from the configs ----------*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_RESOLVE_PARAMETERS_H
#define MODELC_CORE_COMPILER_RESOLVE_PARAMETERS_H

#include "core/compiler/resolve/Config.h"
#include "dialects/lm/LM.h"

namespace modelc {

/// Every parameter's number, by name. All problems are reported, not the first alone.
mlir::FailureOr<mlir::DictionaryAttr> resolveParameters(lm::ModelOp model, const nlohmann::json &config);
/// Whether the config holds a model's sizes; one with none of them is a preset, and the model file's defaults hold.
bool configDescribes(lm::ModelOp model, const nlohmann::json &config);

} // namespace modelc

#endif // MODELC_CORE_COMPILER_RESOLVE_PARAMETERS_H
