//===- KernelPlanMemory.cpp - kernel-plan-memory --------------------------===//
#include "core/compiler/Passes.h"
#include "core/compiler/kernel/Lifetimes.h"
#include "dialects/kernel/Kernel.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/SmallVectorExtras.h"
#include "llvm/Support/MathExtras.h"

namespace modelc {
#define GEN_PASS_DEF_KERNELPLANMEMORY
#include "core/compiler/Passes.h.inc"
} // namespace modelc

using namespace mlir;
using namespace modelc;

namespace {

constexpr uint64_t kAlign = 64;

struct Placed {
  uint64_t bytes = 0; // aligned
  const llvm::BitVector *life = nullptr;
  uint64_t offset = 0;
};

// Bytes at the largest step; nothing when they do not fit 2^62.
std::optional<uint64_t> bytesOf(kernel::BufferOp buffer, ArrayRef<int64_t> limits) {
  Sizes sizes;
  llvm::copy(limits, sizes.begin());
  uint64_t bytes = buffer.getType().getIntOrFloatBitWidth() / 8;
  for (Attribute attr : buffer.getDims()) {
    const int64_t dim = kernel::parseDim(attr)->at(sizes);
    if (dim < 0 || __builtin_mul_overflow(bytes, uint64_t(dim), &bytes) || bytes >> 62)
      return std::nullopt;
  }
  return bytes;
}

// Gives each buffer, in this order, the lowest place where no buffer it lives together with is; returns the arena's
// size.
uint64_t place(ArrayRef<Placed *> order) {
  uint64_t arena = 0;
  SmallVector<const Placed *> done, others;
  for (Placed *buffer : order) {
    others.clear();
    llvm::copy_if(done, std::back_inserter(others),
                  [&](const Placed *other) { return other->life->anyCommon(*buffer->life); });
    llvm::sort(others, [](const Placed *a, const Placed *b) { return a->offset < b->offset; });
    buffer->offset = 0;
    for (const Placed *other : others) {
      if (buffer->offset + buffer->bytes <= other->offset)
        break;
      buffer->offset = std::max(buffer->offset, other->offset + other->bytes);
    }
    arena = std::max(arena, buffer->offset + buffer->bytes);
    done.push_back(buffer);
  }
  return arena;
}

// The most bytes live at one moment, which no plan can go below.
uint64_t mostLive(ArrayRef<Placed> buffers) {
  uint64_t most = 0;
  for (unsigned moment = 0; !buffers.empty() && moment < buffers.front().life->size(); ++moment) {
    uint64_t live = 0;
    for (const Placed &buffer : buffers)
      live += buffer.life->test(moment) ? buffer.bytes : 0;
    most = std::max(most, live);
  }
  return most;
}

// First fit, from several orders on: whoever ends up at the arena's top is placed earlier in the next attempt. Keeps
// the best plan, and stops at one that cannot be beaten. Returns the arena's size.
uint64_t placeAll(MutableArrayRef<Placed> buffers, uint64_t lowest) {
  constexpr int kAttempts = 64; // per order
  using Less = bool (*)(const Placed *, const Placed *);
  constexpr Less kOrders[] = {
      [](const Placed *a, const Placed *b) { return a->bytes > b->bytes; },
      [](const Placed *a, const Placed *b) { return a->life->count() > b->life->count(); },
      [](const Placed *a, const Placed *b) { return a->life->find_first() < b->life->find_first(); },
  };
  uint64_t best = UINT64_MAX;
  SmallVector<uint64_t> offsets(buffers.size());
  for (Less less : kOrders) {
    SmallVector<Placed *> order = llvm::map_to_vector(buffers, [](Placed &buffer) { return &buffer; });
    llvm::sort(order, [&](const Placed *a, const Placed *b) { return less(a, b) || (!less(b, a) && a < b); });
    for (int attempt = 0; attempt < kAttempts && best > lowest; ++attempt) {
      const uint64_t arena = place(order);
      if (arena < best) {
        best = arena;
        llvm::transform(buffers, offsets.begin(), [](const Placed &buffer) { return buffer.offset; });
      }
      auto *top = llvm::find_if(order, [&](const Placed *buffer) { return buffer->offset + buffer->bytes == arena; });
      if (top == order.begin())
        break;
      std::rotate(order.begin(), top, top + 1);
    }
  }
  for (auto [buffer, offset] : llvm::zip(buffers, offsets))
    buffer.offset = offset;
  return buffers.empty() ? 0 : best;
}

struct KernelPlanMemory : modelc::impl::KernelPlanMemoryBase<KernelPlanMemory> {
  void runOnOperation() override {
    for (auto program : getOperation().getOps<kernel::ProgramOp>())
      if (failed(plan(program)))
        return signalPassFailure();
  }

private:
  LogicalResult plan(kernel::ProgramOp program) {
    auto lifetimes = findLifetimes(program);
    if (failed(lifetimes))
      return failure();
    SmallVector<Placed> placed;
    Builder b(&getContext());
    for (auto &[buffer, life] : *lifetimes) {
      std::optional<uint64_t> bytes = bytesOf(buffer, program.getLimits());
      if (!bytes)
        return buffer->emitOpError("is too large at the program's limits; lower max-rows or max-context");
      kernel::BufferOp(buffer).setBytesAttr(b.getI64IntegerAttr(*bytes));
      placed.push_back({llvm::alignTo(*bytes, kAlign), &life});
    }
    const uint64_t lowest = mostLive(placed);
    const uint64_t arena = placeAll(placed, lowest);
    for (auto [named, place] : llvm::zip(*lifetimes, placed))
      kernel::BufferOp(named.first).setOffsetAttr(b.getI64IntegerAttr(place.offset));
    program.setArenaBytesAttr(b.getI64IntegerAttr(arena));
    program.setLiveBytesAttr(b.getI64IntegerAttr(lowest));
    return success();
  }
};

} // namespace
