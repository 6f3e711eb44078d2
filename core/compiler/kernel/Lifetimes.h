//===- Lifetimes.h - when each buffer holds something needed ----*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_KERNEL_LIFETIMES_H
#define MODELC_CORE_COMPILER_KERNEL_LIFETIMES_H

#include "dialects/kernel/Kernel.h"
#include "llvm/ADT/BitVector.h"
#include "llvm/ADT/MapVector.h"

namespace modelc {

/// Per buffer, the moments at which its content is or will be needed. A moment is a launch of an entry in one range of
/// contexts: conditions on the context split all contexts into ranges in each of which the same launches run. Two
/// buffers may share memory when no moment has both.
///
/// Fails with a diagnostic at a launch that reads what nothing wrote.
mlir::FailureOr<llvm::MapVector<kernel::BufferOp, llvm::BitVector>> findLifetimes(kernel::ProgramOp program);

} // namespace modelc

#endif // MODELC_CORE_COMPILER_KERNEL_LIFETIMES_H
