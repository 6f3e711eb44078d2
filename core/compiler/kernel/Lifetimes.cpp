#include "core/compiler/kernel/Lifetimes.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace modelc;
using llvm::BitVector;

namespace {

struct Access {
  kernel::LaunchOp op;
  SmallVector<unsigned> reads, writes; // numbers of buffers
};

struct Span {
  unsigned begin, end; // launches of a repeat
  bool loops;
};

class Lifetimes {
public:
  explicit Lifetimes(kernel::ProgramOp program) : program(program) {
    for (auto buffer : program.getBody().front().getOps<kernel::BufferOp>())
      buffers.insert({buffer.getSymNameAttr(), buffer});
  }

  FailureOr<llvm::MapVector<kernel::BufferOp, BitVector>> run() {
    for (auto entry : program.getBody().front().getOps<kernel::EntryOp>())
      for (int64_t context : contextsOf(entry))
        if (failed(addEntry(entry, context)))
          return failure();
    llvm::MapVector<kernel::BufferOp, BitVector> result;
    for (auto [i, named] : llvm::enumerate(buffers)) {
      BitVector &life = result[named.second];
      life.resize(moments.size());
      for (auto [m, live] : llvm::enumerate(moments))
        if (live.test(i))
          life.set(m);
    }
    return result;
  }

private:
  // One context length out of every range the entry's conditions tell apart.
  static SmallVector<int64_t> contextsOf(kernel::EntryOp entry) {
    llvm::SetVector<int64_t> thresholds;
    entry.walk([&](kernel::LaunchOp launch) {
      for (auto threshold : {launch.getAbove(), launch.getAtMost()})
        if (threshold)
          thresholds.insert(int64_t(*threshold));
    });
    SmallVector<int64_t> contexts(thresholds.begin(), thresholds.end());
    llvm::sort(contexts);
    contexts.push_back(contexts.empty() ? 0 : contexts.back() + 1);
    return contexts;
  }

  static bool runs(kernel::LaunchOp launch, int64_t context) {
    return (!launch.getAbove() || context > int64_t(*launch.getAbove())) &&
           (!launch.getAtMost() || context <= int64_t(*launch.getAtMost()));
  }

  std::optional<unsigned> numberOf(Attribute tensor) const {
    auto ref = dyn_cast<FlatSymbolRefAttr>(tensor);
    auto it = ref ? buffers.find(ref.getAttr()) : buffers.end();
    if (it == buffers.end())
      return std::nullopt;
    return it - buffers.begin();
  }

  LogicalResult addEntry(kernel::EntryOp entry, int64_t context) {
    std::vector<Access> launches;
    SmallVector<Span> repeats;
    for (auto repeat : entry.getBody().front().getOps<kernel::RepeatOp>()) {
      unsigned begin = launches.size();
      for (auto launch : repeat.getBody().front().getOps<kernel::LaunchOp>()) {
        if (!runs(launch, context))
          continue;
        Access access{launch, {}, {}};
        const size_t firstResult = launch.getTensors().size() - launch.getResults();
        for (auto [i, tensor] : llvm::enumerate(launch.getTensors()))
          if (std::optional<unsigned> buffer = numberOf(tensor))
            (i < firstResult ? access.reads : access.writes).push_back(*buffer);
        launches.push_back(std::move(access));
      }
      repeats.push_back({begin, unsigned(launches.size()), int64_t(repeat.getCount()) > 1});
    }

    BitVector live(buffers.size());
    for (NamedAttribute output : entry.getOutputs())
      if (std::optional<unsigned> buffer = numberOf(output.getValue()))
        live.set(*buffer);
    std::vector<BitVector> needed(launches.size(), BitVector(buffers.size()));
    for (const Span &repeat : llvm::reverse(repeats)) {
      const BitVector after = live;
      // What the first launch needs is needed at the end of the iteration before, too.
      for (bool changed = true; changed;) {
        BitVector before = sweep(launches, repeat, live, needed);
        BitVector ends = after;
        if (repeat.loops)
          ends |= before;
        changed = repeat.loops && ends != live;
        live = changed ? ends : before;
      }
    }
    if (live.any())
      return reportUnwritten(launches, live);
    llvm::append_range(moments, needed);
    return success();
  }

  // Backward over one iteration, from what is needed at its end to what is needed at its start.
  static BitVector sweep(const std::vector<Access> &launches, const Span &span, BitVector live,
                         std::vector<BitVector> &needed) {
    for (unsigned i = span.end; i-- > span.begin;) {
      const Access &access = launches[i];
      needed[i] = live;
      for (unsigned buffer : access.writes) {
        needed[i].set(buffer);
        live.reset(buffer);
      }
      for (unsigned buffer : access.reads) {
        needed[i].set(buffer);
        live.set(buffer);
      }
    }
    return live;
  }

  LogicalResult reportUnwritten(const std::vector<Access> &launches, const BitVector &unwritten) {
    for (const Access &access : launches)
      for (unsigned buffer : access.reads)
        if (unwritten.test(buffer))
          return access.op->emitOpError("reads @")
                 << buffers.begin()[buffer].first.getValue() << ", which nothing wrote before";
    return program.emitOpError("has an output that nothing writes");
  }

  kernel::ProgramOp program;
  llvm::MapVector<StringAttr, kernel::BufferOp> buffers;
  std::vector<BitVector> moments; // of all entries and ranges of contexts: the buffers live there
};

} // namespace

FailureOr<llvm::MapVector<kernel::BufferOp, BitVector>> modelc::findLifetimes(kernel::ProgramOp program) {
  return Lifetimes(program).run();
}
