//===- Kernels.cpp - functions and their operands -------------------------===//
#include "core/compiler/codegen/Kernels.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

constexpr int64_t kAlign = 64;

using Writer = LogicalResult (*)(Kernel &);

const llvm::StringMap<Writer> &writers() {
  static const llvm::StringMap<Writer> all = {{"fused", writeRows},
                                              {"add", writeRows},
                                              {"rms_norm", writeRows},
                                              {"add_rms_norm", writeRows},
                                              {"layer_norm", writeRows},
                                              {"rope", writeRows},
                                              {"hadamard", writeRows},
                                              {"fake_quantize", writeRows},
                                              {"moe.route", writeRoute},
                                              {"dsa.logits", writeLogits},
                                              {"dsa.select", writeSelect},
                                              {"mla.attend_latent", writeAttend},
                                              {"mla.attend_parts", writeAttend},
                                              {"mla.merge_parts", writeMerge},
                                              {"dsa.block_scores", writeRescore},
                                              {"dsa.window_scores", writeRescore},
                                              {"embed", writeMove},
                                              {"take_rows", writeMove},
                                              {"copy", writeMove},
                                              {"concat", writeMove},
                                              {"moe.dispatch", writeMove},
                                              {"moe.combine", writeMove},
                                              {"mla.append", writeMove},
                                              {"dsa.append", writeMove},
                                              {"linear", writeLinear},
                                              {"linear_silu_mul", writeLinear},
                                              {"head_linear", writeLinear},
                                              {"grouped_linear", writeLinear},
                                              {"grouped_linear_silu_mul", writeLinear}};
  return all;
}

// Bytes stand for e4m3: what code does with it is written on its bits.
Type storageOf(Type element) {
  return isa<Float8E4M3FNType>(element) || element.isUnsignedInteger(8) ? IntegerType::get(element.getContext(), 8)
                                                                        : element;
}

MemRefType memoryOf(const KernelTensor &tensor) {
  SmallVector<int64_t> shape;
  for (Attribute dim : tensor.dims) {
    auto number = dyn_cast<IntegerAttr>(dim);
    shape.push_back(number ? number.getInt() : ShapedType::kDynamic);
  }
  return MemRefType::get(shape, storageOf(tensor.element));
}

MemRefType scalesOf(MemRefType matrix) {
  SmallVector<int64_t> shape(matrix.getShape());
  for (int64_t &size : MutableArrayRef(shape).take_back(2))
    size = (size + 127) / 128;
  return MemRefType::get(shape, Float32Type::get(matrix.getContext()));
}

} // namespace

bool canGenerate(StringRef op) { return writers().contains(op); }
SmallVector<StringRef> generatedOps() {
  SmallVector<StringRef> ops(writers().keys());
  llvm::sort(ops);
  return ops;
}
bool isRowOp(StringRef op) { return op != "fused" && writers().lookup(op) == writeRows; }

Kernel::Kernel(CodeBuilder &c, const KernelRequest &request, func::FuncOp function) : c(c), request(request) {
  auto arguments = function.getArguments();
  size_t next = 0;
  for (const KernelTensor &tensor : request.tensors) {
    memory.push_back(tensor.element ? Value(arguments[next++]) : Value());
    scales.push_back(tensor.blockScales ? Value(arguments[next++]) : Value());
  }
  begin = arguments[next];
  end = arguments[next + 1];
  scratchMemory = arguments[next + 2];
}

int64_t Kernel::size(size_t i, int64_t d) const {
  const auto &dims = request.tensors[i].dims;
  auto number = dyn_cast<IntegerAttr>(dims[d < 0 ? dims.size() + d : d]);
  return number ? number.getInt() : -1;
}

int64_t Kernel::integer(StringRef name) const {
  Attribute attr = request.attributes.get(name);
  if (auto truth = dyn_cast_or_null<BoolAttr>(attr))
    return truth.getValue();
  auto number = dyn_cast_or_null<IntegerAttr>(attr);
  return number ? number.getInt() : 0;
}

double Kernel::real(StringRef name) const {
  Attribute attr = request.attributes.get(name);
  if (auto number = dyn_cast_or_null<FloatAttr>(attr))
    return number.getValueAsDouble();
  return integer(name);
}

StringRef Kernel::word(StringRef name) const {
  auto text = request.attributes.getAs<StringAttr>(name);
  return text ? text.getValue() : "";
}

InFlightDiagnostic Kernel::error() const {
  return emitError(c.getLoc()) << "generated code for op '" << request.op << "': ";
}

void Kernel::forItems(ArrayRef<GridDim> dims, function_ref<void(ArrayRef<Val>)> body) {
  SmallVector<Val> counts;
  for (const GridDim &dim : dims) {
    Attribute name = request.tensors[dim.tensor].dims[dim.dim];
    grid.push_back(c.getArrayAttr({name, c.getI64IntegerAttr(dim.per)}));
    Val size = c.dim(tensor(dim.tensor), dim.dim);
    counts.push_back(dim.per == 1 ? size : (size + (dim.per - 1)) / dim.per);
  }
  c.loop(c.val(begin), c.val(end), c.index(1), [&](Val item) {
    SmallVector<Val> place(dims.size());
    Val rest = item;
    for (size_t d = dims.size(); d-- > 0;) {
      place[d] = d ? rest % counts[d] : rest;
      rest = d ? rest / counts[d] : rest;
    }
    body(place);
  });
}

Val Kernel::weight(size_t i, CodeBuilder::Place place, int64_t n) const {
  if (!scale(i))
    return c.loadF32(tensor(i), place, n);
  SmallVector<Val> block(place);
  for (Val &at : MutableArrayRef(block).take_back(2))
    at = at / 128;
  return c.fromE4M3(c.load(tensor(i), place, n)) * c.load(scale(i), block);
}

Value Kernel::scratch(ArrayRef<int64_t> shape, Type element) {
  auto type = MemRefType::get(shape, element);
  OpBuilder::InsertionGuard guard(c);
  c.setInsertionPointAfterValue(scratchMemory);
  Value offset = c.index(scratchBytes);
  scratchBytes += (type.getNumElements() * element.getIntOrFloatBitWidth() / 8 + kAlign - 1) / kAlign * kAlign;
  return memref::ViewOp::create(c, type, scratchMemory, offset, ValueRange());
}

FailureOr<kernel::CodeOp> generateKernel(OpBuilder &builder, Location loc, StringRef name, const KernelRequest &request,
                                         VectorTarget target) {
  auto writer = writers().find(request.op);
  if (writer == writers().end())
    return emitError(loc) << "there is no generated code for op '" << request.op << "'";
  SmallVector<Attribute> tensors;
  SmallVector<Type> arguments;
  for (const KernelTensor &tensor : request.tensors) {
    if (!tensor.element) {
      tensors.push_back(builder.getUnitAttr());
      continue;
    }
    SmallVector<Attribute> form{TypeAttr::get(tensor.element)};
    llvm::append_range(form, tensor.dims);
    tensors.push_back(builder.getArrayAttr(form));
    arguments.push_back(memoryOf(tensor));
    if (tensor.blockScales)
      arguments.push_back(scalesOf(memoryOf(tensor)));
  }
  arguments.append(2, builder.getIndexType());
  arguments.push_back(MemRefType::get({ShapedType::kDynamic}, builder.getI8Type()));

  auto code = kernel::CodeOp::create(builder, loc, builder.getStringAttr(name), builder.getStringAttr(request.op),
                                     builder.getArrayAttr(tensors), builder.getArrayAttr({}),
                                     builder.getI64IntegerAttr(0), IntegerAttr(), StringAttr(), StringAttr());
  OpBuilder::InsertionGuard guard(builder);
  builder.createBlock(&code.getBody());
  auto function = func::FuncOp::create(builder, loc, name, builder.getFunctionType(arguments, {}));
  CodeBuilder c(loc, builder, {target.lanes, target.fma, target.dotBytes});
  c.setInsertionPointToStart(function.addEntryBlock());
  func::ReturnOp::create(c);
  c.setInsertionPointToStart(&function.getBody().front());
  Kernel k(c, request, function);
  if (failed(writer->second(k)))
    return failure();
  code.setGridAttr(builder.getArrayAttr(k.grid));
  code.setScratchAttr(builder.getI64IntegerAttr(k.scratchBytes));
  return code;
}

} // namespace modelc::codegen
