//===- Json.h - what crosses to the runtime as JSON -------------*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_KERNEL_JSON_H
#define MODELC_CORE_COMPILER_KERNEL_JSON_H

#include "dialects/kernel/Kernel.h"
#include "nlohmann/json.hpp"

namespace modelc {

DType dtypeOf(mlir::Type type);
/// Numbers, truth values, strings, and lists and dictionaries of them; fails at anything else.
mlir::FailureOr<nlohmann::json> jsonOf(mlir::Attribute attr);
/// Of compiled code, as kernel_load takes it (plugins/abi/codegen.md).
std::string descriptionOf(kernel::CodeOp code);

} // namespace modelc

#endif // MODELC_CORE_COMPILER_KERNEL_JSON_H
