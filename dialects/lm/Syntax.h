//===- Syntax.h - textual forms that ops share ------------------*- C++ -*-===//
#ifndef MODELC_DIALECTS_LM_SYNTAX_H
#define MODELC_DIALECTS_LM_SYNTAX_H

#include "mlir/IR/OpImplementation.h"

namespace modelc::lm {

/// A size: a number, or the name of a parameter. Whole numbers are i64, others f64; a colon after one is not its
/// type's.
mlir::ParseResult parseSize(mlir::OpAsmParser &parser, mlir::Attribute &size);
void printSize(mlir::OpAsmPrinter &printer, mlir::Operation *op, mlir::Attribute size);

} // namespace modelc::lm

#endif // MODELC_DIALECTS_LM_SYNTAX_H
