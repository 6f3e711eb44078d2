//===- RescoreKernel.cpp - dsa.block_scores, dsa.window_scores ------------===//
//
// A row at a time, over the positions it sees: columns behind them are not written.
//
//===----------------------------------------------------------------------===//
#include "core/compiler/codegen/Kernels.h"

#include <limits>

using namespace mlir;

namespace modelc::codegen {
namespace {

class Rescore {
public:
  Rescore(Kernel &k) : k(k), c(k.c) {}

  LogicalResult run() {
    const bool blocks = k.request.op == "dsa.block_scores";
    k.forItems({{0, 0}}, [&](ArrayRef<Val> place) {
      Val t = place[0];
      c.ifThen(c.load(k.tensor(2), {t}) >= 0, [&] {
        Val position = convert(c.load(k.tensor(1), {t}), c.getIndexType());
        Val visible = max(min(position + 1, c.dim(k.tensor(0), 1)), c.index(0));
        blocks ? blockMaxima(t, visible) : window(t, visible);
      });
    });
    return success();
  }

private:
  void blockMaxima(Val t, Val visible) {
    const int64_t block = k.integer("block");
    c.loop(c.index(0), visible, c.index(block), [&](Val first) {
      Val last = min(first + block, visible);
      Val none = c.load(k.tensor(0), {t, first}); // NaN, where the block's first score is: all others are larger
      Val best = c.loop(first + 1, last, c.index(1), {none}, [&](Val p, ArrayRef<Val> before) {
        Val score = c.load(k.tensor(0), {t, p});
        return CodeBuilder::Vals{select(before[0] == before[0], max(score, before[0]), score)};
      })[0];
      each(first, last, [&](Val p, int64_t n) { put(n ? c.splat(best, n) : best, t, p); });
    });
  }

  void window(Val t, Val visible) {
    Val first = max(visible - k.integer("window"), c.index(0));
    Val above = c.f32(std::numeric_limits<double>::infinity());
    each(c.index(0), first, [&](Val p, int64_t n) {
      put(n ? c.load(k.tensor(0), {t, p}, n) : c.load(k.tensor(0), {t, p}), t, p);
    });
    each(first, visible, [&](Val p, int64_t n) { put(n ? c.splat(above, n) : above, t, p); });
  }

  void put(Val score, Val t, Val p) { c.store(score, k.tensor(3), {t, p}); }

  // Calls body(place, n) for whole vectors, then with n = 0 for each that is left.
  void each(Val first, Val last, llvm::function_ref<void(Val, int64_t)> body) {
    const int64_t n = c.lanes();
    Val whole = first + (last - first) / n * n;
    c.loop(first, whole, c.index(n), [&](Val p) { body(p, n); });
    c.loop(whole, last, c.index(1), [&](Val p) { body(p, 0); });
  }

  Kernel &k;
  CodeBuilder &c;
};

} // namespace

LogicalResult writeRescore(Kernel &k) { return Rescore(k).run(); }

} // namespace modelc::codegen
