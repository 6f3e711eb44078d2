//===- KernelFuse.cpp - kernel-fuse ---------------------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/codegen/Kernels.h"
#include "core/compiler/codegen/Patterns.h"
#include "core/compiler/manifest/ManifestSource.h"

namespace modelc {
#define GEN_PASS_DEF_KERNELFUSE
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;

namespace {

// One program. Chains grow from their front: a launch joins the one that makes its rows.
class Fusion {
public:
  explicit Fusion(kernel::ProgramOp program) : program(program), b(program.getContext()) {}

  void run() {
    for (auto entry : program.getBody().front().getOps<kernel::EntryOp>())
      for (auto repeat : entry.getBody().front().getOps<kernel::RepeatOp>())
        for (auto launch : llvm::to_vector(repeat.getBody().front().getOps<kernel::LaunchOp>()))
          if (kernel::LaunchOp maker = makerOf(launch))
            join(maker, launch);
    for (auto buffer : llvm::make_early_inc_range(program.getBody().front().getOps<kernel::BufferOp>()))
      if (inside.contains(FlatSymbolRefAttr::get(buffer.getSymNameAttr())))
        buffer.erase();
  }

private:
  static bool isChain(kernel::LaunchOp launch) { return codegen::isRowOp(launch.getOp()) || launch.getOp() == "fused"; }
  static ArrayRef<Attribute> inputs(kernel::LaunchOp launch) {
    return launch.getTensors().getValue().drop_back(launch.getResults());
  }
  static ArrayRef<Attribute> outputs(kernel::LaunchOp launch) {
    return launch.getTensors().getValue().take_back(launch.getResults());
  }

  // The launch whose last result `launch` alone reads, where the two may become one.
  kernel::LaunchOp makerOf(kernel::LaunchOp launch) {
    if (!codegen::isRowOp(launch.getOp()))
      return {};
    for (Operation *before = launch->getPrevNode(); before; before = before->getPrevNode()) {
      auto maker = cast<kernel::LaunchOp>(before);
      Attribute row = outputs(maker).empty() ? Attribute() : outputs(maker).back();
      if (isChain(maker) && llvm::count(inputs(launch), row) == 1 && mayJoin(maker, launch, row))
        return maker;
    }
    return {};
  }

  bool mayJoin(kernel::LaunchOp maker, kernel::LaunchOp launch, Attribute row) {
    if (maker.getTap() || maker.getAboveAttr() != launch.getAboveAttr() ||
        maker.getAtMostAttr() != launch.getAtMostAttr() || !sameRows(maker.getTensors()[0], row) || !usedTwice(row))
      return false;
    // Taps name results from the first on, and the maker's come first.
    if (launch.getTap() && maker.getResults() > 1)
      return false;
    // A row may be written only after it was read for the last time.
    if (llvm::any_of(outputs(launch), [&](Attribute out) { return llvm::is_contained(inputs(maker), out); }))
      return false;
    // The maker moves down to the launch: nobody in between may touch what it writes, or write what it reads.
    for (Operation *op = maker->getNextNode(); op != launch; op = op->getNextNode()) {
      auto between = cast<kernel::LaunchOp>(op);
      for (Attribute out : outputs(maker))
        if (llvm::is_contained(between.getTensors(), out))
          return false;
      for (Attribute out : outputs(between))
        if (llvm::is_contained(inputs(maker), out))
          return false;
    }
    return true;
  }

  // Equal in all but the last dimension.
  bool sameRows(Attribute a, Attribute row) {
    auto dims = [&](Attribute symbol) -> ArrayRef<Attribute> {
      auto ref = dyn_cast<FlatSymbolRefAttr>(symbol);
      auto buffer = ref ? dyn_cast<kernel::BufferOp>(SymbolTable::lookupSymbolIn(program, ref)) : kernel::BufferOp();
      return buffer ? buffer.getDims().getValue().drop_back() : ArrayRef<Attribute>();
    };
    return !dims(a).empty() && dims(a) == dims(row);
  }

  // One launch of the whole program writes the buffer, one reads it, and it is nobody's output.
  bool usedTwice(Attribute buffer) {
    int uses = 0;
    program.walk([&](Operation *op) {
      if (auto launch = dyn_cast<kernel::LaunchOp>(op))
        uses += llvm::count(launch.getTensors(), buffer);
      if (auto entry = dyn_cast<kernel::EntryOp>(op))
        uses += 2 * llvm::count_if(entry.getOutputs(), [&](NamedAttribute out) { return out.getValue() == buffer; });
    });
    return uses == 2;
  }

  // Operands of the joined launch: inputs of both, then outputs of both. `row` is in neither.
  void join(kernel::LaunchOp maker, kernel::LaunchOp launch) {
    Attribute row = outputs(maker).back();
    SmallVector<Attribute> tensors(inputs(maker)), results(outputs(maker).drop_back());
    for (Attribute input : inputs(launch))
      if (input != row)
        tensors.push_back(input);
    llvm::append_range(results, outputs(launch));
    const int64_t firstInput = inputs(maker).size(), firstResult = tensors.size();
    llvm::append_range(tensors, results);

    SmallVector<Attribute> steps = stepsOf(maker);
    const int64_t between = -int64_t(steps.size());
    const int64_t makerInputs = firstInput, makerResults = outputs(maker).size();
    for (Attribute &step : steps)
      step = renumber(step, [&](int64_t i) {
        if (i < makerInputs) // and what steps left
          return i;
        return i == makerInputs + makerResults - 1 ? between : firstResult + (i - makerInputs);
      });
    int64_t next = firstInput;
    SmallVector<int64_t> own;
    for (Attribute input : inputs(launch))
      own.push_back(input == row ? between : next++);
    for (int64_t i = 0; i < int64_t(outputs(launch).size()); ++i)
      own.push_back(firstResult + makerResults - 1 + i);
    steps.push_back(step(launch.getOpAttr(), launch.getStatics(), own));

    OpBuilder at(launch);
    kernel::LaunchOp::create(
        at, launch.getLoc(), b.getStringAttr("fused"), b.getStringAttr(kernel::kGenerated), b.getArrayAttr(tensors),
        b.getDictionaryAttr(b.getNamedAttr("steps", b.getArrayAttr(steps))), b.getI64IntegerAttr(results.size()),
        launch.getAboveAttr(), launch.getAtMostAttr(), launch.getTapAttr(), FlatSymbolRefAttr());
    inside.insert(row);
    maker.erase();
    launch.erase();
  }

  Attribute step(StringAttr op, DictionaryAttr attributes, ArrayRef<int64_t> tensors) {
    return b.getDictionaryAttr({b.getNamedAttr("op", op), b.getNamedAttr("attributes", attributes),
                                b.getNamedAttr("tensors", b.getDenseI64ArrayAttr(tensors))});
  }

  SmallVector<Attribute> stepsOf(kernel::LaunchOp launch) {
    if (auto list = launch.getStatics().getAs<ArrayAttr>("steps"))
      return llvm::to_vector(list);
    SmallVector<int64_t> all = llvm::to_vector(llvm::seq<int64_t>(0, launch.getTensors().size()));
    return {step(launch.getOpAttr(), launch.getStatics(), all)};
  }

  Attribute renumber(Attribute attr, llvm::function_ref<int64_t(int64_t)> number) {
    auto form = cast<DictionaryAttr>(attr);
    SmallVector<int64_t> tensors = llvm::map_to_vector(form.getAs<DenseI64ArrayAttr>("tensors").asArrayRef(), number);
    return step(form.getAs<StringAttr>("op"), form.getAs<DictionaryAttr>("attributes"), tensors);
  }

  kernel::ProgramOp program;
  Builder b;
  llvm::DenseSet<Attribute> inside; // buffers that no launch names any more
};

class KernelFuse : public modelc::impl::KernelFuseBase<KernelFuse> {
public:
  using KernelFuseBase::KernelFuseBase;
  KernelFuse(std::string manifest, std::string ops) : source(std::move(manifest)) { generate = std::move(ops); }

  LogicalResult initialize(MLIRContext *context) override {
    return failure(failed(source.load(manifestFile, context)) || failed(wanted.parse(generate, context)));
  }

  void runOnOperation() override {
    if (source->target.triple.empty() || !wanted.match("fused"))
      return;
    for (auto program : getOperation().getOps<kernel::ProgramOp>())
      Fusion(program).run();
  }

private:
  ManifestSource source;
  codegen::Patterns wanted;
};

} // namespace

std::unique_ptr<Pass> modelc::createKernelFuse(std::string manifest, std::string generate) {
  return std::make_unique<KernelFuse>(std::move(manifest), std::move(generate));
}
