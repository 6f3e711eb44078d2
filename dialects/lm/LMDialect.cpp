//===- LMDialect.cpp - registration and generated definitions -------------===//
#include "dialects/lm/LM.h"
#include "dialects/lm/Syntax.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace modelc::lm;

#include "dialects/lm/LMDialect.cpp.inc"
#include "dialects/lm/LMInterfaces.cpp.inc"

// A type after `as`; nothing stands for `!lm.rows`.
static ParseResult parseRowTypes(OpAsmParser &parser, Type &type) {
  type = RowsType::get(parser.getContext());
  if (failed(parser.parseOptionalKeyword("as")))
    return success();
  return parser.parseType(type);
}
static void printRowTypes(OpAsmPrinter &printer, Operation *, Type type) {
  if (!isa<RowsType>(type))
    printer << "as " << type;
}
#include "dialects/lm/LMEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/lm/LMAttrs.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/lm/LMTypes.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/lm/LM.cpp.inc"

LogicalResult WeightAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef, StringRef, RankedTensorType,
                                 StringAttr format) {
  if (!format || isWeightFormat(format.getValue()))
    return success();
  return emitError() << "weight format " << format << " is not one of bf16, int8, int4";
}

LogicalResult CacheType::verify(function_ref<InFlightDiagnostic()> emitError, StringRef kind) {
  if (kind == "latent" || kind == "index")
    return success();
  return emitError() << "cache '" << kind << "' is neither latent nor index";
}

void LMDialect::initialize() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/lm/LMTypes.cpp.inc"
      >();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/lm/LMAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/lm/LM.cpp.inc"
      >();
}
