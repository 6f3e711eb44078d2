//===- ToKernel.cpp - lm-to-kernel ----------------------------------------===//
#include "core/compiler/Passes.h"
#include "dialects/kernel/Kernel.h"
#include "dialects/lm/LM.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/TypeSwitch.h"

namespace modelc {
#define GEN_PASS_DEF_LMTOKERNEL
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;

namespace {

Size sizeOfLetter(char letter) {
  switch (letter) {
  case 'N':
    return Size::kN;
  case 'M':
    return Size::kM;
  default:
    return Size::kT;
  }
}

int64_t bytesPerPage(StringRef kind, StringRef format, int64_t width, int64_t rope) {
  // plugins/abi/cache.md
  if (kind == "latent")
    return kPageTokens * (format == "f8"     ? width + (width + 127) / 128 * 4 + rope * 2
                          : format == "i8"   ? width + 4 + rope * 2
                          : format == "bf16" ? (width + rope) * 2
                                             : (width + rope) * 4);
  return kPageTokens * (format == "f8" || format == "i8" ? width + 4 : format == "bf16" ? width * 2 : width * 4);
}

// The op that computes a value, also where it comes out of another run of layers.
Operation *makerOf(Value value) {
  while (auto layers = value.getDefiningOp<lm::LayersOp>())
    value = layers.getBody().front().getTerminator()->getOperand(cast<OpResult>(value).getResultNumber());
  return value.getDefiningOp();
}

// The list of positions an op attends to; null where it attends to all.
Value selectionOf(Operation *op) {
  return llvm::TypeSwitch<Operation *, Value>(op)
      .Case<lm::MLAAttendLatentOp, lm::MLAAttendExpandedOp, lm::MLAAttendPartsOp>([](auto attend) { return attend.getSel(); })
      .Default([](Operation *) { return Value(); });
}

class Lowering {
public:
  Lowering(lm::ModelOp model, const LMToKernelOptions &options)
      : model(model), options(options), b(model.getContext()) {}

  LogicalResult run() {
    DictionaryAttr parameters = model->getAttrOfType<DictionaryAttr>("parameters");
    if (!parameters)
      return model.emitError("is not resolved; run lm-resolve first");
    FailureOr<DenseI64ArrayAttr> sizes = limits(parameters);
    if (failed(sizes))
      return failure();
    b.setInsertionPoint(model);
    program = kernel::ProgramOp::create(b, model.getLoc(), model.getSymNameAttr(), parameters, *sizes, IntegerAttr(),
                                        IntegerAttr());
    program.getBody().emplaceBlock();
    for (lm::EntryOp entry : model.getOps<lm::EntryOp>())
      if (failed(lowerEntry(entry)))
        return failure();
    for (auto &[name, cache] : caches) {
      b.setInsertionPointToStart(&program.getBody().front());
      kernel::CacheOp::create(b, model.getLoc(), b.getStringAttr(name), b.getI64IntegerAttr(cache.layers),
                              b.getI64IntegerAttr(cache.pageBytes), b.getStringAttr(cache.format));
    }
    model.erase();
    return success();
  }

private:
  struct CacheInfo {
    int64_t layers = 0, pageBytes = 0;
    std::string format;
  };

  FailureOr<DenseI64ArrayAttr> limits(DictionaryAttr parameters) {
    constexpr int64_t kMost = int64_t{1} << 24;
    auto number = [&](StringRef name, int64_t otherwise) {
      Attribute attr = parameters.get(name);
      return attr ? lm::sizeOf(attr) : otherwise;
    };
    const int64_t longest = number("max_position_embeddings", kMost);
    const int64_t context = options.maxContext ? options.maxContext : longest;
    if (context < 1 || context > longest)
      return model.emitError("max-context is ") << context << "; the model's positions allow 1 to " << longest;
    for (auto [name, value] :
         {std::pair("max-rows", options.maxRows), std::pair("max-sequences", options.maxSequences)})
      if (value < 1 || value > kMost)
        return model.emitError(name) << " is " << value << "; want 1 to " << kMost;
    int64_t values[kNumSizes];
    values[int(Size::kT)] = values[int(Size::kN)] = options.maxRows;
    values[int(Size::kS)] = options.maxSequences;
    values[int(Size::kP)] = (context + kPageTokens - 1) / kPageTokens;
    values[int(Size::kC)] = context;
    int64_t chosen = 1; // experts of a row
    model.walk([&](lm::MoEDispatchOp op) {
      chosen = std::max(chosen, cast<RankedTensorType>(op.getChosen().getType()).getShape().back());
    });
    values[int(Size::kM)] = options.maxRows * chosen;
    return b.getDenseI64ArrayAttr(values);
  }

  FlatSymbolRefAttr newBuffer(Type type, char rowSize, Location loc) {
    auto tensor = cast<RankedTensorType>(type);
    SmallVector<Attribute> dims;
    for (auto [i, size] : llvm::enumerate(tensor.getShape())) {
      Dim dim;
      dim.dynamic = ShapedType::isDynamic(size);
      dim.size = i == 0 ? sizeOfLetter(rowSize) : Size::kC;
      dim.factor = dim.dynamic ? 1 : size;
      dims.push_back(kernel::dimAttr(b.getContext(), dim));
    }
    OpBuilder::InsertionGuard guard(b);
    placeDeclaration();
    std::string name = "b" + std::to_string(buffers++);
    kernel::BufferOp::create(b, loc, b.getStringAttr(name), TypeAttr::get(tensor.getElementType()),
                             b.getArrayAttr(dims), IntegerAttr(), IntegerAttr());
    return FlatSymbolRefAttr::get(b.getContext(), name);
  }

  // Declarations stand in front of the entry being lowered.
  void placeDeclaration() { b.setInsertionPoint(current); }

  FlatSymbolRefAttr weight(lm::WeightAttr attr, Location loc) {
    auto &ref = weights[attr];
    if (!ref) {
      OpBuilder::InsertionGuard guard(b);
      placeDeclaration();
      std::string name = "w" + std::to_string(weights.size() - 1);
      kernel::WeightOp::create(b, loc, b.getStringAttr(name), b.getStringAttr(attr.getName()),
                               b.getStringAttr(attr.getScale()), attr.getFormat(), TypeAttr::get(attr.getType()));
      ref = FlatSymbolRefAttr::get(b.getContext(), name);
    }
    return ref;
  }

  FlatSymbolRefAttr constant(DenseF32ArrayAttr attr, Location loc) {
    auto &ref = constants[attr];
    if (!ref) {
      OpBuilder::InsertionGuard guard(b);
      placeDeclaration();
      std::string name = "c" + std::to_string(constants.size() - 1);
      kernel::ConstantOp::create(b, loc, b.getStringAttr(name), attr);
      ref = FlatSymbolRefAttr::get(b.getContext(), name);
    }
    return ref;
  }

  // The row size of a value, known from what made it.
  char rowsOf(Value value) { return rowSizes.lookup(value) ? rowSizes.lookup(value) : 'T'; }

  LogicalResult lowerEntry(lm::EntryOp entry) {
    b.setInsertionPointToEnd(&program.getBody().front());
    auto lowered = kernel::EntryOp::create(b, entry.getLoc(), entry.getSymNameAttr(), b.getDictionaryAttr({}));
    lowered.getBody().emplaceBlock();
    current = lowered;
    plain = nullptr;
    Block *body = &lowered.getBody().front();
    for (Operation &op : entry.getBody().front()) {
      b.setInsertionPointToEnd(body);
      if (auto input = dyn_cast<lm::InputOp>(op)) {
        symbols[input.getOut()] = input.getKindAttr();
      } else if (auto layers = dyn_cast<lm::LayersOp>(op)) {
        if (failed(lowerLayers(layers)))
          return failure();
      } else if (auto ret = dyn_cast<lm::ReturnOp>(op)) {
        NamedAttrList outputs;
        for (auto [name, value] : llvm::zip(ret.getNames(), ret.getValues())) {
          if (!isa<FlatSymbolRefAttr>(symbols[value]))
            return ret.emitOpError("returns a step input; an output is the result of an op");
          outputs.append(cast<StringAttr>(name).getValue(), symbols[value]);
        }
        lowered.setOutputsAttr(outputs.getDictionary(b.getContext()));
      } else {
        b.setInsertionPointToEnd(&plainRepeat(op.getLoc()).getBody().front());
        if (failed(lowerOp(&op, 0, 1)))
          return failure();
      }
    }
    return success();
  }

  // The repeat of one layer that launches outside layers share with their neighbours, at the end of the entry so far.
  kernel::RepeatOp plainRepeat(Location loc) {
    Block &body = current.getBody().front();
    if (body.empty() || &body.back() != plain) {
      b.setInsertionPointToEnd(&body);
      plain = newRepeat(loc, 0, 1);
    }
    return cast<kernel::RepeatOp>(plain);
  }

  kernel::RepeatOp newRepeat(Location loc, int64_t first, int64_t count) {
    auto repeat = kernel::RepeatOp::create(b, loc, b.getI64IntegerAttr(first), b.getI64IntegerAttr(count));
    repeat.getBody().emplaceBlock();
    return repeat;
  }

  LogicalResult lowerLayers(lm::LayersOp layers) {
    const int64_t from = lm::sizeOf(layers.getFrom()), count = lm::sizeOf(layers.getTo()) - from;
    Block &block = layers.getBody().front();
    ValueRange yielded = block.getTerminator()->getOperands();
    if (count == 0) {
      if (layers.getInit().size() != layers.getNumResults())
        return layers.emitOpError("runs no layer and carries nothing, so its results have no value");
      for (auto [result, init] : llvm::zip(layers.getResults(), layers.getInit()))
        share(result, init);
      return success();
    }
    for (auto [arg, init] : llvm::zip(block.getArguments(), layers.getInit())) {
      count == 1 ? share(arg, init) : alias(arg, init);
      if (count > 1 && failed(ownBuffer(layers, arg, init)))
        return failure();
    }
    auto repeat = newRepeat(layers.getLoc(), from, count);
    b.setInsertionPointToEnd(&repeat.getBody().front());
    // A carried value keeps one buffer: what the body yields is written where it came in, once its old content is dead.
    for (auto [arg, value] : llvm::zip(block.getArguments(), yielded))
      if (count > 1 && canWriteOver(arg, value))
        preset[value] = cast<FlatSymbolRefAttr>(symbols[arg]);
    for (Operation &op : block.without_terminator())
      if (failed(lowerOp(&op, from, count)))
        return failure();
    if (count > 1 && failed(carry(layers, block.getArguments(), yielded)))
      return failure();
    for (auto [i, value] : llvm::enumerate(yielded))
      count == 1 ? share(layers.getResult(i), value) : alias(layers.getResult(i), block.getArgument(i));
    return success();
  }

  void alias(Value value, Value of) {
    symbols[value] = symbols[of];
    rowSizes[value] = rowsOf(of);
  }

  // The same, `of` staying a value of its own with other uses.
  void share(Value value, Value of) {
    alias(value, of);
    sharedWith[value] = of;
  }

  // Gives a carried value a buffer that nothing else holds: the initial value's own where it ends there.
  LogicalResult ownBuffer(lm::LayersOp layers, BlockArgument arg, Value init) {
    bool last = isa<FlatSymbolRefAttr>(symbols[init]);
    for (Value value = init; value && last; value = sharedWith.lookup(value))
      last = value.hasOneUse();
    if (last)
      return success();
    symbols[arg] = newBuffer(init.getType(), rowsOf(init), layers.getLoc());
    b.setInsertionPointToEnd(&plainRepeat(layers.getLoc()).getBody().front());
    LogicalResult copied = emitCopy(layers.getLoc(), symbols[init], symbols[arg]);
    b.setInsertionPointAfter(plain);
    return copied;
  }

  // Moves yielded values that could not be written in place to the carried buffers, all at once: one that lies in
  // another's carried buffer goes through a buffer of its own.
  LogicalResult carry(lm::LayersOp layers, Block::BlockArgListType args, ValueRange yielded) {
    SmallVector<std::pair<Attribute, Attribute>> copies;
    for (auto [arg, value] : llvm::zip(args, yielded)) {
      if (rowsOf(value) != rowsOf(arg))
        return layers.emitOpError("carries ") << rowsOf(arg) << " rows and yields " << rowsOf(value);
      if (symbols[value] == symbols[arg])
        continue;
      Attribute source = symbols[value];
      if (llvm::any_of(args, [&](BlockArgument other) { return symbols[other] == source; })) {
        source = newBuffer(value.getType(), rowsOf(value), layers.getLoc());
        if (failed(emitCopy(layers.getLoc(), symbols[value], source)))
          return failure();
      }
      copies.push_back({source, symbols[arg]});
    }
    for (auto [source, target] : copies)
      if (failed(emitCopy(layers.getLoc(), source, target)))
        return failure();
    return success();
  }

  // The maker of the yielded value may overwrite the carried buffer when it is the last to read anything of it: kernels
  // do not write over their inputs.
  bool canWriteOver(BlockArgument arg, Value value) {
    Operation *maker = value.getDefiningOp();
    return maker && maker->getBlock() == arg.getOwner() &&
           llvm::all_of(arg.getUsers(), [&](Operation *user) { return user != maker && user->isBeforeInBlock(maker); });
  }

  LogicalResult emitCopy(Location loc, Attribute from, Attribute to) {
    auto kernelName = model->getAttrOfType<StringAttr>("copy_kernel");
    if (!kernelName)
      return emitError(loc,
                       "a carried value needs op 'copy' (plugins/abi/ops.md), for which the backend has no kernel");
    kernel::LaunchOp::create(b, loc, b.getStringAttr("copy"), kernelName, b.getArrayAttr({from, to}),
                             b.getDictionaryAttr({}), b.getI64IntegerAttr(1), IntegerAttr(), IntegerAttr(), ArrayAttr(),
                             FlatSymbolRefAttr());
    return success();
  }

  LogicalResult noteCache(Operation *op, StringRef kind, int64_t from, int64_t count) {
    CacheInfo &info = caches[kind.str()];
    info.layers = std::max(info.layers, from + count);
    int64_t bytes = 0;
    auto format = op->getAttrOfType<StringAttr>("format");
    if (!format)
      return op->emitOpError("has no cache format; run lm-quantize first");
    auto width = [&](Value v) { return cast<RankedTensorType>(v.getType()).getShape().back(); };
    if (auto append = dyn_cast<lm::MLAAppendOp>(op))
      bytes = bytesPerPage(kind, format.getValue(), width(append.getLatent()), width(append.getKey()));
    else if (auto append = dyn_cast<lm::DSAAppendOp>(op))
      bytes = bytesPerPage(kind, format.getValue(), width(append.getKey()), 0);
    if (bytes && info.pageBytes && (info.pageBytes != bytes || info.format != format.getValue()))
      return op->emitOpError("writes ") << kind << " pages of " << bytes << " bytes, other layers of "
                                        << info.pageBytes;
    if (bytes) {
      info.pageBytes = bytes;
      info.format = format.getValue().str();
    }
    return success();
  }

  LogicalResult lowerOp(Operation *op, int64_t from, int64_t count) {
    auto row = dyn_cast<lm::RowOpInterface>(op);
    if (!row || !lm::isPrimitive(op))
      return op->emitOpError("is not a primitive; run the passes before lm-to-kernel");
    auto kernelName = op->getAttrOfType<StringAttr>("kernel");
    if (!kernelName)
      return op->emitOpError("has no kernel; run lm-select-kernels first");
    lm::KernelCall call = lm::getKernelCall(row);
    SmallVector<Attribute> tensors;
    for (const lm::KernelOperand &operand : call.operands) {
      switch (operand.kind) {
      case lm::KernelOperand::None:
        tensors.push_back(b.getUnitAttr());
        break;
      case lm::KernelOperand::Value:
        tensors.push_back(symbols[operand.value]);
        break;
      case lm::KernelOperand::Input:
        tensors.push_back(b.getStringAttr(operand.name));
        break;
      case lm::KernelOperand::Constant:
        tensors.push_back(constant(cast<DenseF32ArrayAttr>(operand.attr), op->getLoc()));
        break;
      case lm::KernelOperand::Weight: {
        auto attr = dyn_cast_or_null<lm::WeightAttr>(operand.attr);
        if (!attr)
          return op->emitOpError("has an unresolved weight; run lm-resolve first");
        tensors.push_back(weight(attr, op->getLoc()));
        break;
      }
      case lm::KernelOperand::Cache:
        if (failed(noteCache(op, operand.name, from, count)))
          return failure();
        tensors.push_back(FlatSymbolRefAttr::get(b.getContext(), operand.name));
        break;
      }
    }
    int64_t results = 0;
    for (auto [result, letter] : llvm::zip(op->getResults(), call.resultRows)) {
      if (isa<lm::CacheType>(result.getType()))
        continue;
      // Rows follow the first operand, unless the op says otherwise.
      char rows = letter == 'T' && op->getNumOperands() ? rowsOf(op->getOperand(0)) : letter;
      if (isa<lm::MoECombineOp>(op))
        rows = rowsOf(op->getOperand(1));
      rowSizes[result] = rows;
      auto given = preset.find(result);
      symbols[result] =
          given != preset.end() ? Attribute(given->second) : Attribute(newBuffer(result.getType(), rows, op->getLoc()));
      tensors.push_back(symbols[result]);
      ++results;
    }
    NamedAttrList statics;
    for (auto [name, value] : call.attributes)
      statics.append(name, value);
    if (Attribute schedule = op->getAttr(lm::kSchedule); schedule && lm::isGenerated(op))
      for (NamedAttribute parameter : lm::codeParameters(schedule))
        statics.append(parameter);
    auto launch = [&](ArrayRef<Attribute> operands, IntegerAttr above, IntegerAttr atMost) {
      kernel::LaunchOp::create(b, op->getLoc(), b.getStringAttr(call.op), kernelName, b.getArrayAttr(operands),
                               statics.getDictionary(b.getContext()), b.getI64IntegerAttr(results), above, atMost,
                               op->getAttrOfType<ArrayAttr>("tap"), FlatSymbolRefAttr());
    };
    Value selection = selectionOf(op);
    Operation *select = selection ? makerOf(selection) : nullptr;
    auto top = select ? dyn_cast_or_null<IntegerAttr>(select->getAttr("above")) : IntegerAttr();
    if (!top) {
      launch(tensors, op->getAttrOfType<IntegerAttr>("above"), IntegerAttr());
      return success();
    }
    // Selection did not run in short contexts: attend to everything there.
    launch(tensors, top, IntegerAttr());
    tensors[2] = b.getUnitAttr();
    launch(tensors, IntegerAttr(), top);
    return success();
  }

  lm::ModelOp model;
  const LMToKernelOptions options;
  OpBuilder b;
  kernel::ProgramOp program;
  kernel::EntryOp current;    // being lowered
  Operation *plain = nullptr; // the last repeat plainRepeat made
  int buffers = 0;
  llvm::DenseMap<Value, Attribute> symbols;
  llvm::DenseMap<Value, FlatSymbolRefAttr> preset;
  llvm::DenseMap<Value, Value> sharedWith; // the value whose buffer a value has
  llvm::DenseMap<Value, char> rowSizes;
  llvm::MapVector<lm::WeightAttr, FlatSymbolRefAttr> weights;
  llvm::MapVector<Attribute, FlatSymbolRefAttr> constants; // by DenseF32ArrayAttr
  std::map<std::string, CacheInfo> caches;
};

struct LMToKernel : modelc::impl::LMToKernelBase<LMToKernel> {
  using LMToKernelBase::LMToKernelBase;

  void runOnOperation() override {
    for (lm::ModelOp model : llvm::make_early_inc_range(getOperation().getOps<lm::ModelOp>()))
      if (failed(Lowering(model, {maxRows, maxSequences, maxContext}).run()))
        return signalPassFailure();
  }
};

} // namespace
