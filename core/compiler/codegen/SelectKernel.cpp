//===- SelectKernel.cpp - dsa.select --------------------------------------===//
//
// The k best scores of a row in order of position, by one of four algorithms (#lm.dsa's `select`); all give the same.
//
// threshold: keys above a running threshold are kept with their positions; once there are too many, the k-th largest
// becomes the threshold, and an equal key that comes later is not above it. Order of position is never lost, so nothing
// is sorted. The k-th largest is found bit by bit, counting the keys that are at least a candidate.
//
// blocks: the same, but the maxima of blocks of scores are taken first. Where they are more than k, the k-th largest
// maximum is a threshold to begin with, and a block whose maximum is not above the threshold is passed by.
//
// bits: the k-th largest of all scores is found so, then one pass keeps what reaches it. No keys in memory, but
// every bit reads all scores.
//
// heap: the k best so far in a heap with the worst at its root; one more pass keeps what is not worse than the last
// root.
//
//===----------------------------------------------------------------------===//
#include "core/compiler/codegen/Kernels.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

class Select {
public:
  Select(Kernel &k)
      : k(k), c(k.c), algorithm(k.word("select").empty() ? "blocks" : k.word("select")), top(k.integer("k")),
        block(k.tile("block", algorithm == "blocks" ? DefaultTiles::maximum : DefaultTiles::block)),
        step(algorithm == "blocks" ? DefaultTiles::block : block), room(2 * top + 2 * step), blocks(2 * top) {}

  LogicalResult run() {
    if (top <= 0 || k.size(3, 1) != top)
      return k.error() << "selects " << top << " into " << k.size(3, 1) << " columns";
    const int64_t n = c.lanes();
    if (algorithm == "heap")
      heap = k.scratch({top}, c.getI64Type());
    if (algorithm == "blocks")
      maxima = k.scratch({blocks + n}, c.getI32Type());
    if (algorithm == "threshold" || algorithm == "blocks") {
      keys = k.scratch({room + n}, c.getI32Type());
      positions = k.scratch({room + n}, c.getI32Type());
    }
    k.forItems({{0, 0}}, [&](ArrayRef<Val> place) {
      Val t = place[0];
      c.ifThen(c.load(k.tensor(2), {t}) >= 0, [&] {
        Val visible = min(convert(c.load(k.tensor(1), {t}), c.getIndexType()) + 1, c.dim(k.tensor(0), 1));
        Val count = choose(t, max(visible, c.index(0)));
        c.loop(count, c.index(top), c.index(1), [&](Val i) { c.store(c.i32(-1), k.tensor(3), {t, i}); });
      });
    });
    return success();
  }

private:
  using Vals = CodeBuilder::Vals;
  using Holds = llvm::function_ref<Val(Val key)>;
  using CountIf = llvm::function_ref<Val(Holds)>;

  Val none() { return c.i32(CodeBuilder::noKey); }
  Val scoreKey(Val t, Val i) { return c.sortKey(c.load(k.tensor(0), {t, i})); }
  Val scoreKeys(Val t, Val i) { return c.sortKey(c.load(k.tensor(0), {t, i}, c.lanes())); }

  // Writes the positions of row t's choice, and gives how many they are.
  Val choose(Val t, Val visible) {
    if (algorithm == "bits" || algorithm == "heap")
      return c.ifElse(
          visible <= top, {c.getIndexType()},
          [&] {
            c.loop(visible, [&](Val i) { c.store(convert(i, c.getI32Type()), k.tensor(3), {t, i}); });
            return Vals{visible};
          },
          [&] { return Vals{algorithm == "bits" ? chooseByBits(t, visible) : chooseByHeap(t, visible)}; })[0];
    Vals state = algorithm == "blocks" ? keepByBlocks(t, visible) : keepByThreshold(t, visible);
    Val count = c.ifElse(
        state[0] > top, {c.getIndexType()}, [&] { return Vals{cut(state[0])[0]}; }, [&] { return Vals{state[0]}; })[0];
    c.loop(count, [&](Val i) { c.store(c.load(positions, {i}), k.tensor(3), {t, i}); });
    return count;
  }

  //===--- threshold and blocks ---------------------------------------------===//

  // Both give how many keys are kept, and the threshold.
  Vals keepByThreshold(Val t, Val visible) {
    return c.loop(c.index(0), visible, c.index(step), {c.index(0), none()},
                  [&](Val first, ArrayRef<Val> before) { return keep(t, first, min(first + step, visible), before); });
  }

  Vals keepByBlocks(Val t, Val visible) {
    // Larger blocks where a row is too long for the room; whole vectors.
    Val per = max(c.index(block), (visible + (blocks - 1)) / blocks);
    per = (per + (c.lanes() - 1)) / c.lanes() * c.lanes();
    Val count = (visible + (per - 1)) / per;
    return c.ifElse(
        count > top, {c.getIndexType(), c.getI32Type()}, [&] { return keepByMaxima(t, visible, per, count); },
        [&] { return keepByThreshold(t, visible); });
  }

  Vals keepByMaxima(Val t, Val visible, Val per, Val count) {
    c.loop(count, [&](Val j) { c.store(maximum(t, j * per, min((j + 1) * per, visible)), maxima, {j}); });
    c.store(c.splat(none(), c.lanes()), maxima, {count});
    // k keys at least are not below the k-th largest maximum.
    Val threshold = largestOf(maxima, count).above();
    return c.loop(c.index(0), count, c.index(1), {c.index(0), threshold}, [&](Val j, ArrayRef<Val> before) {
      return c.ifElse(
          c.load(maxima, {j}) > before[1], {c.getIndexType(), c.getI32Type()},
          [&] {
            Val end = min((j + 1) * per, visible);
            return c.loop(j * per, end, c.index(step), before,
                          [&](Val first, ArrayRef<Val> so) { return keep(t, first, min(first + step, end), so); });
          },
          [&] { return Vals(before); });
    });
  }

  // The largest key of scores first … end - 1, at least one.
  Val maximum(Val t, Val first, Val end) {
    const int64_t n = c.lanes();
    Val whole = first + (end - first) / n * n;
    Val most = c.loop(first, whole, c.index(n), {c.splat(none(), n)},
                      [&](Val i, ArrayRef<Val> before) { return Vals{max(scoreKeys(t, i), before[0])}; })[0];
    return c.loop(whole, end, c.index(1), {maxLanes(most)},
                  [&](Val i, ArrayRef<Val> before) { return Vals{max(scoreKey(t, i), before[0])}; })[0];
  }

  // Keeps the keys of at most `step` scores that are above the threshold; state as keepByThreshold's.
  Vals keep(Val t, Val first, Val end, ArrayRef<Val> state) {
    Vals now = c.ifElse(
        state[0] > room - step, {c.getIndexType(), c.getI32Type()}, [&] { return cut(state[0]); },
        [&] { return Vals(state); });
    return {collect(t, first, end, now[0], now[1]), now[1]};
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
      Val key = scoreKeys(t, i), above = key > threshold;
      auto appendAll = [&] {
        c.store(key, keys, {before[0]});
        c.store(c.counting(n) + convert(i, c.getI32Type()), positions, {before[0]});
        return Vals{before[0] + n};
      };
      auto appendSome = [&] {
        Val at = before[0];
        if (c.hasCompress()) {
          c.store(compress(key, above), keys, {at});
          c.store(compress(c.counting(n) + convert(i, c.getI32Type()), above), positions, {at});
          return Vals{at + countLanes(above)};
        }
        for (int64_t j = 0; j < n; ++j)
          at = append(lane(key, j), i + j, at);
        return Vals{at};
      };
      return c.ifElse(
          anyLane(above), {c.getIndexType()},
          [&] {
            return c.hasCompress() ? appendSome() : c.ifElse(allLanes(above), {c.getIndexType()}, appendAll, appendSome);
          },
          [&] { return Vals{before[0]}; });
    })[0];
    return c.loop(first + whole, last, c.index(1), {count},
                  [&](Val i, ArrayRef<Val> before) { return Vals{append(scoreKey(t, i), i, before[0])}; })[0];
  }

  // Leaves the k largest of `count` > k keys, and gives their number and the next threshold.
  Vals cut(Val count) {
    // Whole vectors: what stands behind the last key is none.
    c.store(c.splat(none(), c.lanes()), keys, {count});
    const Bound bound = largestOf(keys, count);
    auto takeOne = [&](Val i, ArrayRef<Val> before) {
      Val key = c.load(keys, {i}), position = c.load(positions, {i});
      c.store(key, keys, {before[0]});
      c.store(position, positions, {before[0]});
      return take(bound, key, before).second;
    };
    const Vals start{c.index(0), bound.equal};
    if (!c.hasCompress())
      return {c.loop(c.index(0), count, c.index(1), start, takeOne)[0], bound.key};
    const int64_t n = c.lanes();
    Val kept = c.loop(c.index(0), count, c.index(n), start, [&](Val i, ArrayRef<Val> before) {
      Val key = c.load(keys, {i}, n), position = c.load(positions, {i}, n);
      Val equal = convert(countLanes(key == bound.key), c.getI32Type());
      return c.ifElse(
          equal <= before[1], {c.getIndexType(), c.getI32Type()},
          [&] {
            Val within = key >= bound.key;
            c.store(compress(key, within), keys, {before[0]});
            c.store(compress(position, within), positions, {before[0]});
            return Vals{before[0] + countLanes(within), before[1] - equal};
          },
          [&] { return c.loop(i, i + n, c.index(1), before, takeOne); });
    })[0];
    return {kept, bound.key};
  }

  //===--- bits ---------------------------------------------------------===//

  Val chooseByBits(Val t, Val visible) {
    const int64_t n = c.lanes();
    auto countIf = [&](Holds holds) {
      auto type = c.vectorOf(c.getI32Type(), n);
      Val whole = visible / n * n;
      Val sum = c.loop(c.index(0), whole, c.index(n), {c.number(0, type)}, [&](Val i, ArrayRef<Val> before) {
        return Vals{countIn(before[0], holds(scoreKeys(t, i)))};
      })[0];
      return c.loop(whole, visible, c.index(1), {sumLanes(sum)}, [&](Val i, ArrayRef<Val> before) {
        return Vals{select(holds(scoreKey(t, i)), before[0] + 1, before[0])};
      })[0];
    };
    return put(t, visible, largest(visible, countIf));
  }

  //===--- heap ---------------------------------------------------------===//

  // Higher keys first, then lower positions, as one number.
  Val entry(Val key, Val position) {
    Type i64 = c.getI64Type();
    return (convert(key, i64) << 32) | (int64_t(INT32_MAX) - convert(position, i64));
  }
  Val keyOf(Val entry) { return convert(entry >> 32, c.getI32Type()); }

  Val chooseByHeap(Val t, Val visible) {
    const int64_t n = c.lanes();
    c.loop(top, [&](Val i) { c.store(entry(scoreKey(t, i), i), heap, {i}); });
    c.loop(top / 2, [&](Val i) {
      Val at = top / 2 - 1 - i;
      sink(at, c.load(heap, {at}));
    });
    auto offer = [&](Val key, Val position, Val worst) {
      // An equal key comes later than the one at the root.
      return c.ifElse(
          key > worst, {worst.type()},
          [&] {
            sink(c.index(0), entry(key, position));
            return Vals{keyOf(c.load(heap, {c.index(0)}))};
          },
          [&] { return Vals{worst}; })[0];
    };
    Val worst = keyOf(c.load(heap, {c.index(0)})), whole = (visible - top) / n * n + top;
    worst = c.loop(c.index(top), whole, c.index(n), {worst}, [&](Val i, ArrayRef<Val> before) {
      Val key = scoreKeys(t, i);
      return c.ifElse(
          anyLane(key > before[0]), {before[0].type()},
          [&] {
            Val worst = before[0];
            for (int64_t j = 0; j < n; ++j)
              worst = offer(lane(key, j), i + j, worst);
            return Vals{worst};
          },
          [&] { return Vals{before[0]}; });
    })[0];
    worst = c.loop(whole, visible, c.index(1), {worst},
                   [&](Val i, ArrayRef<Val> before) { return Vals{offer(scoreKey(t, i), i, before[0])}; })[0];
    Val equal = c.loop(c.index(0), c.index(top), c.index(1), {c.i32(0)}, [&](Val i, ArrayRef<Val> before) {
      return Vals{select(keyOf(c.load(heap, {i})) == worst, before[0] + 1, before[0])};
    })[0];
    return put(t, visible, {worst, equal});
  }

  // Puts an entry in the place of the one at i, below which all is in order.
  void sink(Val i, Val entry) {
    Val yes = c.number(1, c.getI1Type());
    Val at = c.loopWhile(
        {i, yes}, [&](ArrayRef<Val> so) { return so[1]; },
        [&](ArrayRef<Val> so) {
          Val left = so[0] * 2 + 1;
          return c.ifElse(
              left < top, {c.getIndexType(), c.getI1Type()},
              [&] {
                Val right = min(left + 1, c.index(top - 1));
                Val child = select(c.load(heap, {right}) < c.load(heap, {left}), right, left),
                    value = c.load(heap, {child});
                Val below = value < entry;
                c.ifThen(below, [&] { c.store(value, heap, {so[0]}); });
                return Vals{select(below, child, so[0]), below};
              },
              [&] {
                return Vals{so[0], c.number(0, c.getI1Type())};
              });
        })[0];
    c.store(entry, heap, {at});
  }

  //===--- what they share ----------------------------------------------===//

  // Of more than k keys the k largest are those above `key`, which is more than none, and the first `equal` of those
  // equal to it.
  struct Bound {
    Val key, equal;
    /// What they and all that equal the least of them are above.
    Val above() const { return key - 1; }
  };

  // Whether a key is within the bound, and the state after it: how many are, and how many equal ones still are.
  std::pair<Val, Vals> take(const Bound &bound, Val key, ArrayRef<Val> before) {
    Val same = key == bound.key, within = (key > bound.key) | (same & (before[1] > 0));
    return {within, {select(within, before[0] + 1, before[0]), select(same, before[1] - 1, before[1])}};
  }

  // The bound of `count` > k keys: a number that just k keys reach, or the largest that k keys reach, found from the
  // sign's bit down.
  Bound largest(Val count, CountIf countIf) {
    Val reached = convert(count, c.getI32Type());
    Vals found = c.loopWhile(
        {none(), reached, c.i32(INT32_MIN)}, [&](ArrayRef<Val> so) { return (so[2] != 0) & (so[1] > top); },
        [&](ArrayRef<Val> so) {
          Val candidate = so[0] ^ so[2]; // the sign's bit is set where a key is negative
          Val n = countIf([&](Val key) { return key >= candidate; }), enough = n >= top;
          return Vals{select(enough, candidate, so[0]), select(enough, n, so[1]), so[2] >> 1};
        });
    Val equal = c.ifElse(
        found[1] > top, {c.getI32Type()}, [&] { return Vals{top - countIf([&](Val key) { return key > found[0]; })}; },
        [&] { return Vals{c.i32(top)}; })[0];
    return {found[0], equal};
  }

  // The same of the first `count` keys of an array, behind which stands a vector of none.
  Bound largestOf(Value array, Val count) {
    return largest(count, [&](Holds holds) {
      auto type = c.vectorOf(c.getI32Type(), c.lanes());
      Val sum = c.loop(c.index(0), count, c.index(c.lanes()), {c.number(0, type)}, [&](Val i, ArrayRef<Val> before) {
        return Vals{countIn(before[0], holds(c.load(array, {i}, c.lanes())))};
      })[0];
      return sumLanes(sum);
    });
  }

  // Sums of one more where a mask, which is -1 there, holds.
  Val countIn(Val sum, Val mask) { return sum - c.val(arith::ExtSIOp::create(c, sum.type(), mask.get())); }

  // Writes the positions of the scores within the bound, and gives how many they are: k.
  Val put(Val t, Val visible, Bound bound) {
    const int64_t n = c.lanes();
    auto one = [&](Val key, Val position, ArrayRef<Val> before) {
      auto [kept, after] = take(bound, key, before);
      c.ifThen(kept, [&] { c.store(convert(position, c.getI32Type()), k.tensor(3), {t, before[0]}); });
      return after;
    };
    Val whole = visible / n * n;
    Vals state = c.loop(c.index(0), whole, c.index(n), {c.index(0), bound.equal}, [&](Val i, ArrayRef<Val> before) {
      Val key = scoreKeys(t, i);
      return c.ifElse(
          anyLane(key >= bound.key), {c.getIndexType(), c.getI32Type()},
          [&] {
            Vals so(before);
            for (int64_t j = 0; j < n; ++j)
              so = one(lane(key, j), i + j, so);
            return so;
          },
          [&] { return Vals(before); });
    });
    return c.loop(whole, visible, c.index(1), state,
                  [&](Val i, ArrayRef<Val> before) { return one(scoreKey(t, i), i, before); })[0];
  }

  Kernel &k;
  CodeBuilder &c;
  const StringRef algorithm;
  const int64_t top, block, step, room, blocks;
  Value keys, positions, maxima, heap;
};

} // namespace

LogicalResult writeSelect(Kernel &k) { return Select(k).run(); }

} // namespace modelc::codegen
