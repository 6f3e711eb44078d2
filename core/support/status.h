// Status plumbing: early return, and MODELC_ASSIGN_OR_RETURN for StatusOr.
#ifndef MODELC_CORE_SUPPORT_STATUS_H_
#define MODELC_CORE_SUPPORT_STATUS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define MODELC_RETURN_IF_ERROR(expr)                            \
  do {                                                          \
    if (absl::Status modelc_status = (expr); !modelc_status.ok()) \
      return modelc_status;                                     \
  } while (false)

#define MODELC_CONCAT_INNER(a, b) a##b
#define MODELC_CONCAT(a, b) MODELC_CONCAT_INNER(a, b)
#define MODELC_ASSIGN_OR_RETURN(lhs, expr) \
  MODELC_ASSIGN_OR_RETURN_IMPL(MODELC_CONCAT(modelc_statusor_, __LINE__), lhs, expr)
#define MODELC_ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                                 \
  if (!tmp.ok()) return std::move(tmp).status();     \
  lhs = *std::move(tmp)

#endif  // MODELC_CORE_SUPPORT_STATUS_H_
