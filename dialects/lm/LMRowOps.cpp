//===- LMRowOps.cpp - text, checks and launches of ops over rows ----------===//
#include "dialects/lm/LM.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace modelc::lm;

namespace {

struct Kind {
  char letter;
  bool optional;
};

SmallVector<Kind> kindsOf(StringRef letters) {
  SmallVector<Kind> kinds;
  for (char c : letters) {
    if (c == '?')
      kinds.back().optional = true;
    else
      kinds.push_back({c, false});
  }
  return kinds;
}

Type defaultType(MLIRContext *context, char letter) {
  if (letter == 'l')
    return CacheType::get(context, "latent");
  if (letter == 'i')
    return CacheType::get(context, "index");
  return RowsType::get(context);
}

bool sourceForm(TypeRange types) {
  return llvm::none_of(types, [](Type t) { return isa<RankedTensorType>(t); });
}

SmallVector<StringRef> words(StringRef text) {
  SmallVector<StringRef> parts;
  llvm::SplitString(text, parts);
  return parts;
}

// Weights and sizes are attributes of any kind; numbers default to i64 and f64. A resolved weight is written `<name,
// scale, type, format>`: with `#lm.weight` in front, the `#` would make it a result number of the value before.
ParseResult parseClauseValue(OpAsmParser &parser, StringRef name, NamedAttrList &attrs) {
  Attribute value;
  const SMLoc loc = parser.getCurrentLocation();
  if (succeeded(parser.parseOptionalLess())) {
    std::string tensor, scale, format;
    RankedTensorType type;
    if (parser.parseString(&tensor) || parser.parseComma() || parser.parseString(&scale) || parser.parseComma() ||
        parser.parseType(type) || (succeeded(parser.parseOptionalComma()) && parser.parseString(&format)) ||
        parser.parseGreater())
      return failure();
    Builder &b = parser.getBuilder();
    value = WeightAttr::getChecked([&] { return parser.emitError(loc); }, b.getContext(), StringRef(tensor),
                                   StringRef(scale), type, format.empty() ? StringAttr() : b.getStringAttr(format));
    if (!value)
      return failure();
  } else if (parser.parseAttribute(value, Type())) {
    return failure();
  }
  attrs.set(name, value);
  return success();
}

void printClauseValue(OpAsmPrinter &printer, Attribute value) {
  if (auto weight = dyn_cast<WeightAttr>(value))
    weight.print(printer);
  else if (isa<IntegerAttr, FloatAttr>(value))
    printer.printAttributeWithoutType(value);
  else
    printer.printAttribute(value);
}

} // namespace

ParseResult modelc::lm::parseRowOp(OpAsmParser &parser, OperationState &result, RowOpSpec spec) {
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseOperandList(operands))
    return failure();
  SmallVector<Kind> kinds = kindsOf(spec.operandKinds);
  for (StringRef clause : words(spec.clauses)) {
    if (clause.consume_back("!")) {
      if (succeeded(parser.parseOptionalKeyword(clause)))
        result.addAttribute(clause, parser.getBuilder().getUnitAttr());
    } else if (clause.consume_back("=")) {
      // Absent clauses are left to the op's constraints, which name the attribute that is missing.
      if (succeeded(parser.parseOptionalKeyword(clause)) && parseClauseValue(parser, clause, result.attributes))
        return failure();
    } else if (parseClauseValue(parser, clause, result.attributes)) {
      return failure();
    }
  }
  if (parser.parseOptionalAttrDict(result.attributes))
    return failure();
  // Here and not in the verifier: an op with properties drops an attribute of another kind when it is made.
  if (failed(result.name.verifyInherentAttrs(result.attributes, [&] { return parser.emitError(loc); })))
    return failure();
  SmallVector<Type> operandTypes, resultTypes;
  // Not after a colon: a number or attribute before it would take what follows for its own type.
  if (succeeded(parser.parseOptionalKeyword("as"))) {
    FunctionType type;
    if (parser.parseType(type))
      return failure();
    llvm::append_range(operandTypes, type.getInputs());
    llvm::append_range(resultTypes, type.getResults());
  } else {
    if (operands.size() > kinds.size())
      return parser.emitError(loc, "takes at most ") << kinds.size() << " values, has " << operands.size();
    for (size_t i = 0; i < operands.size(); ++i)
      operandTypes.push_back(defaultType(parser.getContext(), kinds[i].letter));
    for (Kind kind : kindsOf(spec.resultKinds))
      resultTypes.push_back(defaultType(parser.getContext(), kind.letter));
  }
  if (parser.resolveOperands(operands, operandTypes, loc, result.operands))
    return failure();
  result.addTypes(resultTypes);
  return success();
}

void modelc::lm::printRowOp(OpAsmPrinter &printer, Operation *op, RowOpSpec spec) {
  if (op->getNumOperands())
    printer << ' ' << op->getOperands();
  SmallVector<StringRef> written;
  for (StringRef clause : words(spec.clauses)) {
    const bool flag = clause.consume_back("!");
    const bool keyword = clause.consume_back("=");
    written.push_back(clause);
    Attribute value = op->getAttr(clause);
    if (!value)
      continue;
    printer << ' ';
    if (flag || keyword)
      printer << clause;
    if (keyword)
      printer << ' ';
    if (!flag)
      printClauseValue(printer, value);
  }
  printer.printOptionalAttrDict(op->getAttrs(), written);
  if (!sourceForm(op->getOperandTypes()) || !sourceForm(op->getResultTypes())) {
    printer << " as ";
    printer.printFunctionalType(op->getOperandTypes(), op->getResultTypes());
  }
}

// Whether an attribute is, or holds, a parameter or a table by name.
static bool namesSomething(Attribute attr) {
  if (auto list = dyn_cast<ArrayAttr>(attr))
    return llvm::any_of(list, namesSomething);
  return isa<FlatSymbolRefAttr>(attr);
}

LogicalResult modelc::lm::verifyRowOp(Operation *op, RowOpSpec spec) {
  SmallVector<Kind> kinds = kindsOf(spec.operandKinds);
  for (auto [i, type] : llvm::enumerate(op->getOperandTypes()))
    if (isa<RowsType>(type) && i < kinds.size() && kinds[i].letter == 'r')
      return success(); // source form: shapes are not known yet
  for (NamedAttribute attr : op->getAttrs())
    if (namesSomething(attr.getValue()))
      return success(); // composites keep rope tables by name; sizes are resolved together
  SmallVector<Type> expected;
  if (failed(inferResultTypes(op, expected)))
    return failure();
  for (auto [i, pair] : llvm::enumerate(llvm::zip(expected, op->getResultTypes())))
    if (std::get<0>(pair) != std::get<1>(pair))
      return op->emitOpError("result ") << i << " is " << std::get<1>(pair) << ", its operands make it "
                                        << std::get<0>(pair);
  return success();
}

LogicalResult modelc::lm::checkResolved(Operation *root) {
  WalkResult walked = root->walk([](Operation *op) -> WalkResult {
    const bool source = isa<RowOpInterface>(op) && llvm::any_of(op->getResultTypes(), llvm::IsaPred<RowsType>);
    return source ? WalkResult(op->emitOpError("is not resolved; run lm-resolve first")) : WalkResult::advance();
  });
  return failure(walked.wasInterrupted());
}

bool modelc::lm::isPrimitive(Operation *op) {
  auto row = dyn_cast<RowOpInterface>(op);
  return row && !row.getSpec().kernel.empty();
}

KernelCall modelc::lm::getKernelCall(RowOpInterface rowOp) {
  Operation *op = rowOp;
  KernelCall call;
  call.op = op->getName().stripDialect();
  auto [tensors, rest] = StringRef(rowOp.getSpec().kernel).split('|');
  auto [statics, rows] = rest.split('>');
  if (rest.empty())
    std::tie(tensors, rows) = tensors.split('>');
  for (StringRef word : words(tensors)) {
    KernelOperand operand;
    StringRef name = word.drop_front();
    switch (word.front()) {
    case '@':
      operand = {KernelOperand::Weight, {}, op->getAttr(name), name};
      break;
    case '#':
      operand = {KernelOperand::Constant, {}, op->getAttr(name), name};
      break;
    case '$':
      operand = {KernelOperand::Input, {}, {}, name};
      break;
    case '%':
      operand = {KernelOperand::Cache, {}, {}, name};
      break;
    default: {
      unsigned index = word.front() - '0';
      if (index < op->getNumOperands())
        operand = {KernelOperand::Value, op->getOperand(index), {}, {}};
    }
    }
    call.operands.push_back(operand);
  }
  Builder b(op->getContext());
  for (StringRef word : words(statics)) {
    const bool flag = word.consume_back("!");
    auto [left, otherwise] = word.split(':');
    auto [name, from] = left.split('=');
    Attribute value = op->getAttr(from.empty() ? name : from);
    int64_t number = 0;
    if (flag)
      value = b.getBoolAttr(value && (isa<UnitAttr>(value) || sizeOf(value) != 0));
    else if (!value && !otherwise.getAsInteger(10, number))
      value = b.getI64IntegerAttr(number);
    if (value)
      call.attributes.push_back({name, value});
  }
  SmallVector<StringRef> sizes;
  rows.trim().split(sizes, ',', -1, /*KeepEmpty=*/false);
  for (unsigned i = 0; i < op->getNumResults(); ++i)
    call.resultRows.push_back(i < sizes.size() ? sizes[i].front() : 'T');
  return call;
}
