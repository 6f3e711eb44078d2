//===- SelectKernel.cpp - dsa.select --------------------------------------===//
//
// By a running threshold: keys above it are kept with their positions; once there are too many, the k-th largest
// becomes the threshold, and an equal key that comes later is not above it. Order of position is never lost, so nothing
// is sorted. The k-th largest is found bit by bit, counting the keys that are at least a candidate.
//
// By bits: the k-th largest of all scores is found so, then one pass keeps what reaches it. No keys in memory, but
// every bit reads all scores.
//
//===----------------------------------------------------------------------===//
#include "core/compiler/codegen/Kernels.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

class Select {
public:
  Select(Kernel &k)
      : k(k), c(k.c), top(k.integer("k")), block(k.tile("block", DefaultTiles::block)), room(2 * top + 2 * block) {}

  LogicalResult run() {
    if (top <= 0 || k.size(3, 1) != top)
      return k.error() << "selects " << top << " into " << k.size(3, 1) << " columns";
    const bool bits = k.word("select") == "bits";
    if (!bits) {
      keys = k.scratch({room + c.lanes()}, c.getI32Type());
      positions = k.scratch({room + c.lanes()}, c.getI32Type());
    }
    k.forItems({{0, 0}}, [&](ArrayRef<Val> place) {
      Val t = place[0];
      c.ifThen(c.load(k.tensor(2), {t}) >= 0, [&] {
        Val visible = min(convert(c.load(k.tensor(1), {t}), c.getIndexType()) + 1, c.dim(k.tensor(0), 1));
        visible = max(visible, c.index(0));
        Val count = bits ? selectByBits(t, visible) : selectByThreshold(t, visible);
        c.loop(count, c.index(top), c.index(1), [&](Val i) { c.store(c.i32(-1), k.tensor(3), {t, i}); });
      });
    });
    return success();
  }

private:
  Val none() { return c.i32(CodeBuilder::noKey); }

  // Both write the positions of row t's choice, and give how many they are.
  Val selectByThreshold(Val t, Val visible) {
    Type index = c.getIndexType();
    CodeBuilder::Vals state =
        c.loop(c.index(0), visible, c.index(block), {c.index(0), none()}, [&](Val first, ArrayRef<Val> before) {
          CodeBuilder::Vals cutDown = c.ifElse(
              before[0] > room - block, {index, c.getI32Type()}, [&] { return cut(before[0]); },
              [&] {
                return CodeBuilder::Vals{before[0], before[1]};
              });
          Val count = collect(t, first, min(first + block, visible), cutDown[0], cutDown[1]);
          return CodeBuilder::Vals{count, cutDown[1]};
        });
    Val count = c.ifElse(
        state[0] > top, {index}, [&] { return CodeBuilder::Vals{cut(state[0])[0]}; },
        [&] { return CodeBuilder::Vals{state[0]}; })[0];
    c.loop(count, [&](Val i) { c.store(c.load(positions, {i}), k.tensor(3), {t, i}); });
    return count;
  }

  Val selectByBits(Val t, Val visible) {
    const int64_t n = c.lanes();
    Type index = c.getIndexType();
    Val whole = visible / n * n;
    auto countIf = [&](llvm::function_ref<Val(Val)> holds) {
      auto type = c.vectorOf(c.getI32Type(), n);
      Val sum = c.loop(c.index(0), whole, c.index(n), {c.number(0, type)}, [&](Val i, ArrayRef<Val> before) {
        Val mask = c.val(arith::ExtSIOp::create(c, type, holds(c.sortKey(c.load(k.tensor(0), {t, i}, n))).get()));
        return CodeBuilder::Vals{before[0] - mask};
      })[0];
      return c.loop(whole, visible, c.index(1), {sumLanes(sum)}, [&](Val i, ArrayRef<Val> before) {
        Val counts = holds(c.sortKey(c.load(k.tensor(0), {t, i})));
        return CodeBuilder::Vals{select(counts, before[0] + 1, before[0])};
      })[0];
    };
    return c.ifElse(
        visible <= top, {index},
        [&] {
          c.loop(visible, [&](Val i) { c.store(convert(i, c.getI32Type()), k.tensor(3), {t, i}); });
          return CodeBuilder::Vals{visible};
        },
        [&] {
          Val threshold = kthLargest(countIf);
          Val equal = top - countIf([&](Val key) { return key > threshold; });
          c.loop(c.index(0), visible, c.index(1), {c.index(0), equal}, [&](Val i, ArrayRef<Val> before) {
            Val key = c.sortKey(c.load(k.tensor(0), {t, i})), same = key == threshold;
            Val keep = (key > threshold) | (same & (before[1] > 0));
            c.ifThen(keep, [&] { c.store(convert(i, c.getI32Type()), k.tensor(3), {t, before[0]}); });
            return CodeBuilder::Vals{select(keep, before[0] + 1, before[0]), select(same, before[1] - 1, before[1])};
          });
          return CodeBuilder::Vals{c.index(top)};
        })[0];
  }

  // The largest number that at least k keys reach, from the sign's bit down.
  Val kthLargest(llvm::function_ref<Val(llvm::function_ref<Val(Val)>)> countIf) {
    return c.loop(c.index(0), c.index(32), c.index(1), {none()}, [&](Val i, ArrayRef<Val> before) {
      Val bit = c.i32(INT32_MIN) >> convert(i, c.getI32Type());
      Val candidate = before[0] ^ bit; // the sign's bit is set where a key is negative
      Val enough = countIf([&](Val key) { return key >= candidate; }) >= top;
      return CodeBuilder::Vals{select(enough, candidate, before[0])};
    })[0];
  }

  // Appends the keys of scores first … last - 1 that are above the threshold; gives how many are kept then.
  Val collect(Val t, Val first, Val last, Val count, Val threshold) {
    const int64_t n = c.lanes();
    Val whole = (last - first) / n * n;
    auto append = [&](Val key, Val position, Val at) {
      c.store(key, keys, {at});
      c.store(convert(position, c.getI32Type()), positions, {at});
      return select(key > threshold, at + 1, at);
    };
    count = c.loop(first, first + whole, c.index(n), {count}, [&](Val i, ArrayRef<Val> before) {
      Val key = c.sortKey(c.load(k.tensor(0), {t, i}, n));
      Val above = key > threshold;
      auto appendAll = [&] {
        c.store(key, keys, {before[0]});
        c.store(c.counting(n) + convert(i, c.getI32Type()), positions, {before[0]});
        return CodeBuilder::Vals{before[0] + n};
      };
      auto appendSome = [&] {
        Val at = before[0];
        for (int64_t j = 0; j < n; ++j)
          at = append(lane(key, j), i + j, at);
        return CodeBuilder::Vals{at};
      };
      return c.ifElse(
          anyLane(above), {c.getIndexType()},
          [&] { return c.ifElse(allLanes(above), {c.getIndexType()}, appendAll, appendSome); },
          [&] { return CodeBuilder::Vals{before[0]}; });
    })[0];
    return c.loop(first + whole, last, c.index(1), {count}, [&](Val i, ArrayRef<Val> before) {
      return CodeBuilder::Vals{append(c.sortKey(c.load(k.tensor(0), {t, i})), i, before[0])};
    })[0];
  }

  // Leaves the k largest of `count` > k keys, and gives their number and the smallest of them.
  CodeBuilder::Vals cut(Val count) {
    const int64_t n = c.lanes();
    Type i32 = c.getI32Type();
    // Whole vectors: what stands behind the last key is none.
    c.store(c.splat(none(), n), keys, {count});
    auto countIf = [&](llvm::function_ref<Val(Val)> holds) {
      auto type = c.vectorOf(i32, n);
      Val sum = c.loop(c.index(0), count, c.index(n), {c.number(0, type)}, [&](Val i, ArrayRef<Val> before) {
        // A mask is -1 where it holds.
        Val mask = c.val(arith::ExtSIOp::create(c, type, holds(c.load(keys, {i}, n)).get()));
        return CodeBuilder::Vals{before[0] - mask};
      })[0];
      return sumLanes(sum);
    };
    Val threshold = kthLargest(countIf);
    Val equal = top - countIf([&](Val key) { return key > threshold; }); // places for keys equal to the k-th
    Val kept = c.loop(c.index(0), count, c.index(1), {c.index(0), equal}, [&](Val i, ArrayRef<Val> before) {
      Val key = c.load(keys, {i}), position = c.load(positions, {i});
      Val same = key == threshold, keep = (key > threshold) | (same & (before[1] > 0));
      c.store(key, keys, {before[0]});
      c.store(position, positions, {before[0]});
      return CodeBuilder::Vals{select(keep, before[0] + 1, before[0]), select(same, before[1] - 1, before[1])};
    })[0];
    return {kept, threshold};
  }

  Kernel &k;
  CodeBuilder &c;
  int64_t top, block, room;
  Value keys, positions;
};

} // namespace

LogicalResult writeSelect(Kernel &k) { return Select(k).run(); }

} // namespace modelc::codegen
