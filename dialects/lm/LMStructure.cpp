//===- LMStructure.cpp - text and checks of models, blocks, layers --------===//
#include "dialects/lm/LM.h"
#include "dialects/lm/Syntax.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace modelc::lm;

namespace {

bool allRows(TypeRange types) {
  return llvm::all_of(types, [](Type t) { return isa<RowsType>(t); });
}

// `%a, %b` then, unless all are rows, `: types`.
ParseResult parseValues(OpAsmParser &parser, SmallVectorImpl<Value> &values) {
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> types;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseOperandList(operands))
    return failure();
  if (succeeded(parser.parseOptionalColon())) {
    if (parser.parseTypeList(types))
      return failure();
  } else {
    types.assign(operands.size(), RowsType::get(parser.getContext()));
  }
  return parser.resolveOperands(operands, types, loc, values);
}

void printValues(OpAsmPrinter &printer, OperandRange values) {
  if (values.empty())
    return;
  printer << ' ' << values;
  if (!allRows(values.getTypes()))
    printer << " : " << values.getTypes();
}

} // namespace

ParseResult modelc::lm::parseSize(OpAsmParser &parser, Attribute &size) {
  SMLoc loc = parser.getCurrentLocation();
  int64_t whole;
  if (OptionalParseResult isWhole = parser.parseOptionalInteger(whole); isWhole.has_value()) {
    size = parser.getBuilder().getI64IntegerAttr(whole);
    return *isWhole;
  }
  if (parser.parseAttribute(size))
    return failure();
  if (isa<FloatAttr, FlatSymbolRefAttr>(size))
    return success();
  return parser.emitError(loc, "expected a number or a parameter such as @hidden_size");
}

void modelc::lm::printSize(OpAsmPrinter &printer, Operation *, Attribute size) {
  printer.printAttributeWithoutType(size);
}

ParseResult ParamOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr name;
  Attribute value, rhs;
  Builder &b = parser.getBuilder();
  if (parser.parseSymbolName(name, "sym_name", result.attributes) || parser.parseEqual() || parseSize(parser, value))
    return failure();
  result.addAttribute("value", value);
  StringRef combine;
  if (succeeded(parser.parseOptionalPlus()))
    combine = "+";
  else if (succeeded(parser.parseOptionalStar()))
    combine = "*";
  if (!combine.empty()) {
    if (parseSize(parser, rhs))
      return failure();
    result.addAttribute("combine", b.getStringAttr(combine));
    result.addAttribute("rhs", rhs);
  }
  std::string from;
  if (succeeded(parser.parseOptionalKeyword("from"))) {
    if (parser.parseString(&from))
      return failure();
    result.addAttribute("from", b.getStringAttr(from));
  }
  if (succeeded(parser.parseOptionalKeyword("else"))) {
    Attribute otherwise;
    if (parseSize(parser, otherwise))
      return failure();
    result.addAttribute("otherwise", otherwise);
  }
  return parser.parseOptionalAttrDict(result.attributes);
}

void ParamOp::print(OpAsmPrinter &printer) {
  printer << ' ';
  printer.printSymbolName(getSymName());
  printer << " = ";
  printer.printAttributeWithoutType(getValue());
  if (getCombine()) {
    printer << ' ' << *getCombine() << ' ';
    printer.printAttributeWithoutType(*getRhs());
  }
  if (getFrom())
    printer << " from " << getFromAttr();
  if (getOtherwise()) {
    printer << " else ";
    printer.printAttributeWithoutType(*getOtherwise());
  }
  printer.printOptionalAttrDict((*this)->getAttrs(), {"sym_name", "value", "combine", "rhs", "from", "otherwise"});
}

LogicalResult ParamOp::verify() {
  const bool computed = getCombine().has_value();
  if (computed != getRhs().has_value() || (computed && *getCombine() != "+" && *getCombine() != "*"))
    return emitOpError("(C1) a computed parameter is A + B or A * B");
  if (computed && getFrom())
    return emitOpError("(C2) a computed parameter takes nothing from the config; drop 'from'");
  return success();
}

LogicalResult RopeTableOp::verify() {
  if (getYarn() && getYarn()->size() != 5)
    return emitOpError("(C1) yarn has ") << getYarn()->size()
                                         << " numbers; want [factor, original, beta_fast, beta_slow, mscale_all_dim]";
  if (!isa<FlatSymbolRefAttr>(getDim()) && (sizeOf(getDim()) <= 0 || sizeOf(getDim()) % 2))
    return emitOpError("(C2) dim is ") << sizeOf(getDim()) << "; it must be even and positive";
  return success();
}

ParseResult BlockOp::parse(OpAsmParser &parser, OperationState &result) {
  StringAttr name;
  std::string scope;
  SmallVector<OpAsmParser::Argument> args;
  if (parser.parseSymbolName(name, "sym_name", result.attributes) ||
      parser.parseArgumentList(args, OpAsmParser::Delimiter::Paren) || parser.parseKeyword("at") ||
      parser.parseString(&scope))
    return failure();
  for (auto &arg : args)
    arg.type = RowsType::get(parser.getContext());
  result.addAttribute("scope", parser.getBuilder().getStringAttr(scope));
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  return parser.parseRegion(*result.addRegion(), args);
}

void BlockOp::print(OpAsmPrinter &printer) {
  printer << ' ';
  printer.printSymbolName(getSymName());
  printer << '(' << getBody().getArguments() << ") at " << getScopeAttr();
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"sym_name", "scope"});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

ParseResult CallOp::parse(OpAsmParser &parser, OperationState &result) {
  FlatSymbolRefAttr callee;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  Type rows = RowsType::get(parser.getContext());
  if (parser.parseAttribute(callee, "callee", result.attributes) ||
      parser.parseOperandList(operands, OpAsmParser::Delimiter::Paren) ||
      parser.resolveOperands(operands, rows, result.operands) || parser.parseOptionalAttrDict(result.attributes))
    return failure();
  result.addTypes(rows);
  return success();
}

void CallOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getCalleeAttr() << '(' << getOperands() << ')';
  printer.printOptionalAttrDict((*this)->getAttrs(), {"callee"});
}

LogicalResult CallOp::verify() {
  auto model = (*this)->getParentOfType<ModelOp>();
  auto block = model ? dyn_cast_or_null<BlockOp>(SymbolTable::lookupSymbolIn(model, getCalleeAttr())) : BlockOp();
  if (!block)
    return emitOpError("(C1) there is no block ") << getCalleeAttr();
  if (block.getBody().getNumArguments() != getNumOperands())
    return emitOpError("(C1) gives ") << getNumOperands() << " values, " << getCalleeAttr() << " takes "
                                      << block.getBody().getNumArguments();
  // The block may not have been verified yet; it reports for itself that it is empty.
  if (block.getBody().empty() || !block.getBody().front().mightHaveTerminator())
    return success();
  unsigned yielded = block.getBody().front().getTerminator()->getNumOperands();
  if (yielded != getNumResults())
    return emitOpError("(C2) has ") << getNumResults() << " results, " << getCalleeAttr() << " yields " << yielded;
  return success();
}

ParseResult YieldOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<Value> values;
  if (parseValues(parser, values) || parser.parseOptionalAttrDict(result.attributes))
    return failure();
  result.addOperands(values);
  return success();
}
void YieldOp::print(OpAsmPrinter &printer) {
  printValues(printer, getValues());
  printer.printOptionalAttrDict((*this)->getAttrs());
}

ParseResult ReturnOp::parse(OpAsmParser &parser, OperationState &result) {
  ArrayAttr names;
  SmallVector<Value> values;
  if (parser.parseAttribute(names, "names", result.attributes) || parseValues(parser, values) ||
      parser.parseOptionalAttrDict(result.attributes))
    return failure();
  result.addOperands(values);
  return success();
}
void ReturnOp::print(OpAsmPrinter &printer) {
  printer << ' ' << getNames();
  printValues(printer, getValues());
  printer.printOptionalAttrDict((*this)->getAttrs(), {"names"});
}
LogicalResult ReturnOp::verify() {
  if (getNames().size() != getValues().size())
    return emitOpError("(C1) has ") << getNames().size() << " names and " << getValues().size() << " values";
  return success();
}

LogicalResult InputOp::verify() {
  if (getKind() != "ids" && getKind() != "hidden")
    return emitOpError("(C1) kind is '") << getKind() << "'; it must be ids or hidden";
  if ((getKind() == "hidden") != getWidth().has_value())
    return emitOpError("(C2) hidden has a width, ids has none");
  return success();
}

ParseResult LayersOp::parse(OpAsmParser &parser, OperationState &result) {
  SmallVector<OpAsmParser::Argument> args;
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<Type> initTypes, resultTypes;
  Type rows = RowsType::get(parser.getContext());
  SMLoc loc = parser.getCurrentLocation();
  bool returns = false;
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, [&]() -> ParseResult {
        Type type = rows;
        if (parser.parseArgument(args.emplace_back()) || parser.parseEqual() ||
            parser.parseOperand(operands.emplace_back()) ||
            (succeeded(parser.parseOptionalColon()) && parser.parseType(type)))
          return failure();
        args.back().type = type;
        initTypes.push_back(type);
        return success();
      }))
    return failure();
  if (succeeded(parser.parseOptionalArrow())) {
    returns = true;
    if (parser.parseTypeList(resultTypes))
      return failure();
  }
  Attribute from, to;
  std::string scope;
  if (parser.parseKeyword("from") || parseSize(parser, from) || parser.parseKeyword("to") || parseSize(parser, to) ||
      parser.parseKeyword("at") || parser.parseString(&scope))
    return failure();
  result.addAttribute("from", from);
  result.addAttribute("to", to);
  result.addAttribute("scope", parser.getBuilder().getStringAttr(scope));
  if (parser.parseOptionalAttrDictWithKeyword(result.attributes) ||
      parser.resolveOperands(operands, initTypes, loc, result.operands))
    return failure();
  Region *body = result.addRegion();
  if (parser.parseRegion(*body, args))
    return failure();
  // Without `->` the results are what the body yields.
  if (!returns && !body->empty() && !body->front().empty())
    llvm::append_range(resultTypes, body->front().back().getOperandTypes());
  result.addTypes(resultTypes);
  return success();
}

void LayersOp::print(OpAsmPrinter &printer) {
  printer << " (";
  llvm::interleaveComma(llvm::zip(getBody().getArguments(), getInit()), printer, [&](auto pair) {
    auto [arg, init] = pair;
    printer << arg << " = " << init;
    if (!isa<RowsType>(init.getType()))
      printer << " : " << init.getType();
  });
  printer << ") from ";
  printer.printAttributeWithoutType(getFrom());
  printer << " to ";
  printer.printAttributeWithoutType(getTo());
  printer << " at " << getScopeAttr();
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"from", "to", "scope"});
  printer << ' ';
  printer.printRegion(getBody(), /*printEntryBlockArgs=*/false);
}

LogicalResult LayersOp::verify() {
  if ((*this)->getParentOfType<LayersOp>())
    return emitOpError("(C5) stands inside another lm.layers; a stack of layers cannot hold a stack");
  if (getBody().getArgumentTypes() != getInit().getTypes())
    return emitOpError("(C1) carries ") << getInit().size() << " values, its body takes " << getBody().getNumArguments()
                                        << " or other types";
  auto yield = dyn_cast<YieldOp>(getBody().front().back());
  if (!yield || yield.getNumOperands() != getNumResults() || !llvm::equal(yield.getOperandTypes(), getResultTypes()))
    return emitOpError("(C2) its body must yield its ") << getNumResults() << " results";
  if (isa<FlatSymbolRefAttr>(getFrom()) || isa<FlatSymbolRefAttr>(getTo()))
    return success();
  int64_t from = sizeOf(getFrom()), to = sizeOf(getTo());
  if (from < 0 || to < from)
    return emitOpError("(C3) runs from ") << from << " to " << to;
  if (to - from > 1 && getResultTypes() != TypeRange(getInit().getTypes()))
    return emitOpError("(C4) runs ") << to - from << " layers, so it must yield the types it carries";
  return success();
}
