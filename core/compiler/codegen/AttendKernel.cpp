//===- AttendKernel.cpp - mla.attend_latent, mla.attend_parts, mla.merge_parts -===//
//
// An item is a row and a group of its heads, over all its keys or a part of them. Records are widened to float32 a tile
// of keys at a time; scores have heads side by side, weighted sums the latent's values, so nothing is summed across
// lanes. Softmax runs along: a tile's sums are relative to the largest score so far. Where the target multiplies bytes,
// queries and records of int8 meet as they are: queries 128 above what they stand for, without a sign, and a record's lift
// takes that out of its sums. Rows that go alone also sum integers: weights times their records' scales, rounded to fifteen
// bits of a tile's largest, times pairs of values.
//
// Gathered by page, an item is a few rows that go through the positions together: a tile is a range of positions, and a
// record that several of them want is widened once. What a row sums, and in which order, follows from its own keys.
//
//===----------------------------------------------------------------------===//
#include "core/compiler/codegen/Pages.h"

#include <limits>

using namespace mlir;

namespace modelc::codegen {
namespace {

class Attend {
public:
  Attend(Kernel &k)
      : k(k), c(k.c), pages(k, 3), format{k.word("format")}, heads(k.size(0, 1)), latent(k.size(0, 2)),
        rope(k.size(1, 2)), width(latent + rope), together(k.word("gather") == "page"),
        vectors(c.lanes() > 8 && !together ? 16 : 12),
        side(heads <= c.lanes() ? c.lanes() : 2 * c.lanes()), block(vectors * c.lanes() / side),
        tile(k.tile("keys", DefaultTiles::keys)),
        group((std::min(k.tile("heads", DefaultTiles::heads), heads) + side - 1) / side * side),
        parts(k.request.op == "mla.attend_parts" ? k.integer("parts") : 1),
        words(format.i8() && c.hasDotBytes() && latent % (4 * c.lanes()) == 0 ? latent / 4 : 0),
        pairs(words && !together && tile <= 256 ? (tile + 1) / 2 : 0),
        tileRows(together ? k.tile("rows", DefaultTiles::sharing) : 1) {}

  LogicalResult run() {
    if (heads <= 0 || latent <= 0 || rope < 0)
      return k.error() << "queries have no fixed size";
    recordBytes = format.recordBytes(latent, rope);
    if (k.size(6, 1) != kPageTokens * recordBytes)
      return k.error() << "pages of " << k.size(6, 1) << " bytes; records in format " << format.name << " make "
                       << kPageTokens * recordBytes;
    Type f32 = c.getF32Type(), i32 = c.getI32Type();
    query = k.scratch({tileRows, width, group}, f32);
    records = k.scratch({tile + block, width}, f32);
    scores = k.scratch({tile + block, group}, f32);
    most = k.scratch({tileRows, group}, f32);
    sums = k.scratch({tileRows, group}, f32);
    factors = k.scratch({group}, f32);
    values = k.scratch({tileRows, group, latent}, f32);
    if (format.i8())
      rounded = k.scratch({latent}, c.getI8Type());
    if (words) {
      queryWords = k.scratch({tileRows, words, group}, i32);
      queryScales = k.scratch({tileRows, group}, f32);
      recordWords = k.scratch({tile + block, words}, i32);
      recordScales = k.scratch({tile + block}, f32);
      lifts = k.scratch({tile + block}, i32);
    }
    if (pairs) {
      valuePairs = k.scratch({pairs, latent}, i32);
      weightPairs = k.scratch({pairs, group}, i32);
      weightScales = k.scratch({group}, f32);
    }
    if (together) {
      wanted = k.scratch({tile + block}, i32);
      widened = k.scratch({tile}, i32);
      next = k.scratch({tileRows}, i32);
      last = k.scratch({tileRows}, i32);
    }
    // What stands behind the last key of a tile is computed and not used; it must be memory all the same.
    auto item = [&](Val rows, Val part, Val heads) {
      if (together)
        return attendTogether(rows * tileRows, part, heads * group);
      c.ifThen(pages.visible(rows) > 0, [&] { attend(rows, part, heads * group); });
    };
    const Kernel::GridDim rows{0, 0, tileRows}, part{7, 2}, groups{0, 1, group};
    if (parts == 1)
      k.forItems({rows, groups}, [&](ArrayRef<Val> place) { item(place[0], c.index(0), place[1]); });
    else if (k.word("order") == "keys")
      k.forItems({part, rows, groups}, [&](ArrayRef<Val> place) { item(place[1], place[0], place[2]); });
    else
      k.forItems({rows, part, groups}, [&](ArrayRef<Val> place) { item(place[0], place[1], place[2]); });
    return success();
  }

private:
  Val zeros(int64_t n) { return c.number(0, c.vectorOf(c.getF32Type(), n)); }
  Val headCount(Val firstHead) { return min(c.index(group), c.index(heads) - firstHead); }

  void attend(Val t, Val part, Val firstHead) {
    Val row = c.index(0);
    start(t, row, firstHead);
    auto [from, to] = keysOf(t, part);
    c.loop(from, to, c.index(tile), [&](Val first) {
      Val n = min(c.index(tile), to - first);
      c.loop(n, [&](Val i) { loadRecord(t, positionOf(t, first + i), i); });
      if (pairs)
        pairValues(n);
      addTile(row, n);
    });
    finish(t, row, part, firstHead);
  }

  void attendTogether(Val firstRow, Val part, Val firstHead) {
    Val lastRow = min(firstRow + tileRows, c.dim(k.tensor(0), 0));
    Type index = c.getIndexType();
    auto eachRow = [&](llvm::function_ref<void(Val t, Val row)> body) {
      c.loop(firstRow, lastRow, c.index(1), [&](Val t) {
        c.ifThen(pages.visible(t) > 0, [&] { body(t, t - firstRow); });
      });
    };
    c.loop(tile + block, [&](Val i) { c.store(c.i32(0), wanted, {i}); });
    c.loop(tileRows, [&](Val row) {
      c.store(c.i32(0), next, {row});
      c.store(c.i32(0), last, {row});
    });
    eachRow([&](Val t, Val row) {
      start(t, row, firstHead);
      auto [from, to] = keysOf(t, part);
      c.store(convert(from, c.getI32Type()), next, {row});
      c.store(convert(to, c.getI32Type()), last, {row});
    });
    // The positions that any row has keys at.
    constexpr int64_t kBeyondAll = int64_t{1} << 40;
    CodeBuilder::Vals range = c.loop(
        firstRow, lastRow, c.index(1), {c.index(kBeyondAll), c.index(0)}, [&](Val t, ArrayRef<Val> so) {
          Val from = at(next, t - firstRow), to = at(last, t - firstRow);
          return c.ifElse(
              from < to, {index, index},
              [&] {
                return CodeBuilder::Vals{min(positionOf(t, from), so[0]), max(positionOf(t, to - 1) + 1, so[1])};
              },
              [&] { return CodeBuilder::Vals(so); });
        });
    c.loop(range[0] / tile * tile, range[1], c.index(tile), [&](Val base) {
      // The sequence whose records are widened; padding rows have -1.
      c.loop(firstRow, lastRow, c.index(1), {c.i32(-1)}, [&](Val t, ArrayRef<Val> loaded) {
        Val row = t - firstRow, n = takeWanted(t, row, base), sequence = pages.sequence(t);
        return c.ifElse(
            n > 0, {sequence.type()},
            [&] {
              c.ifThen(sequence != loaded[0],
                       [&] { c.loop(tile, [&](Val i) { c.store(c.i32(0), widened, {i}); }); });
              c.loop(n, [&](Val i) {
                Val slot = at(wanted, i);
                c.ifThen(c.load(widened, {slot}) == 0, [&] {
                  loadRecord(t, base + slot, slot);
                  c.store(c.i32(1), widened, {slot});
                });
              });
              addTile(row, n);
              return CodeBuilder::Vals{sequence};
            },
            [&] { return CodeBuilder::Vals{loaded[0]}; });
      });
    });
    eachRow([&](Val t, Val row) { finish(t, row, part, firstHead); });
  }

  Val at(Value numbers, Val i) { return convert(c.load(numbers, {i}), c.getIndexType()); }

  // Notes where in the tile that begins at position `base` the row's keys are, and passes them by.
  Val takeWanted(Val t, Val row, Val base) {
    Val from = at(next, row);
    Val end = passWhile(
        from, at(last, row), [&](Val i) { return positionOf(t, i) < base + tile; },
        [&](Val i) { c.store(convert(positionOf(t, i) - base, c.getI32Type()), wanted, {i - from}); });
    c.store(convert(end, c.getI32Type()), next, {row});
    return end - from;
  }

  void start(Val t, Val row, Val firstHead) {
    loadQuery(t, row, firstHead, headCount(firstHead));
    c.loop(c.index(0), c.index(group), c.index(side), [&](Val h) {
      c.store(c.number(-__builtin_inf(), c.vectorOf(c.getF32Type(), side)), most, {row, h});
      c.store(zeros(side), sums, {row, h});
    });
    c.loop(group,
           [&](Val h) { c.eachVector(latent, [&](Val d, int64_t n) { c.store(zeros(n), values, {row, h, d}); }); });
  }

  // Adds the tile's n keys to a row's sums.
  void addTile(Val row, Val n) {
    c.loop(c.index(0), c.index(group), c.index(side), [&](Val h) {
      score(row, h, n);
      softmax(row, h, n);
      if (pairs)
        pairWeights(h, n);
    });
    pairs ? addPairs(row, n) : addValues(row, n);
  }

  void finish(Val t, Val row, Val part, Val firstHead) {
    Value out = k.tensor(7);
    c.loop(headCount(firstHead), [&](Val h) {
      Val sum = c.load(sums, {row, h}), head = firstHead + h;
      if (k.request.op == "mla.attend_parts") {
        c.eachVector(latent, [&](Val d, int64_t n) { c.store(c.load(values, {row, h, d}, n), out, {t, head, part, d}); });
        c.store(select(sum == 0.0, c.f32(0), c.load(most, {row, h})), out, {t, head, part, c.index(latent)});
        c.store(sum, out, {t, head, part, c.index(latent + 1)});
        return;
      }
      Val factor = select(sum == 0.0, c.f32(0), 1.0 / sum);
      c.eachVector(latent, [&](Val d, int64_t n) {
        c.store(c.load(values, {row, h, d}, n) * factor, out, {t, head, d});
      });
    });
  }

  // Numbers of the row's keys that belong to a part.
  std::pair<Val, Val> keysOf(Val t, Val part) {
    Val keys = countKeys(t);
    if (parts == 1)
      return {c.index(0), keys};
    Val each = (keys + (parts - 1)) / parts;
    return {min(part * each, keys), min((part + 1) * each, keys)};
  }

  // The length of the row's list, which -1 ends; all it sees where there is none.
  Val countKeys(Val t) {
    if (!k.has(2))
      return pages.visible(t);
    return passWhile(
        c.index(0), c.dim(k.tensor(2), 1), [&](Val i) { return c.load(k.tensor(2), {t, i}) >= 0; }, [](Val) {});
  }

  // The first i from `from` on for which `holds` does not, or `to`, where it is not asked; `pass` sees those before.
  Val passWhile(Val from, Val to, llvm::function_ref<Val(Val)> holds, llvm::function_ref<void(Val)> pass) {
    using Vals = CodeBuilder::Vals;
    return c.loopWhile(
        {from},
        [&](ArrayRef<Val> i) {
          return c.ifElse(
              i[0] < to, {c.getI1Type()}, [&] { return Vals{holds(i[0])}; },
              [&] { return Vals{c.number(0, c.getI1Type())}; })[0];
        },
        [&](ArrayRef<Val> i) {
          pass(i[0]);
          return Vals{i[0] + 1};
        })[0];
  }

  Val positionOf(Val t, Val i) { return k.has(2) ? convert(c.load(k.tensor(2), {t, i}), c.getIndexType()) : i; }

  // Heads side by side; what is beyond the last head is 0.
  void loadQuery(Val t, Val row, Val firstHead, Val count) {
    // Of what is multiplied as words nobody reads floats.
    c.loop(c.index(words ? latent : 0), c.index(width), c.index(1), [&](Val d) {
      c.loop(c.index(0), c.index(group), c.index(side), [&](Val h) { c.store(zeros(side), query, {row, d, h}); });
    });
    if (words) {
      Val none = c.number(0, c.vectorOf(c.getI32Type(), side));
      c.loop(words, [&](Val w) {
        c.loop(c.index(0), c.index(group), c.index(side), [&](Val h) { c.store(none, queryWords, {row, w, h}); });
      });
      c.loop(c.index(0), c.index(group), c.index(side), [&](Val h) { c.store(zeros(side), queryScales, {row, h}); });
    }
    c.loop(count, [&](Val h) {
      if (format.i8()) {
        Val scale = c.eachRoundedInt8(
            latent,
            [&](Val d, int64_t n) {
              return c.load(k.tensor(0), {t, firstHead + h, d}, n);
            },
            [&](Val d, int64_t, Val v) { c.store(v, rounded, {d}); });
        if (words) {
          c.loop(words, [&](Val w) {
            Val word = c.loadBytes(rounded, {w * 4}, c.getI32Type(), 0);
            c.store(word ^ int64_t(int32_t(0x80808080)), queryWords, {row, w, h});
          });
          c.store(scale, queryScales, {row, h});
        } else {
          c.loop(latent,
                 [&](Val d) { c.store(convert(c.load(rounded, {d}), c.getF32Type()) * scale, query, {row, d, h}); });
        }
      } else {
        c.loop(latent, [&](Val d) { c.store(c.load(k.tensor(0), {t, firstHead + h, d}), query, {row, d, h}); });
      }
      c.loop(rope, [&](Val d) { c.store(c.load(k.tensor(1), {t, firstHead + h, d}), query, {row, d + latent, h}); });
    });
  }

  void loadRecord(Val t, Val position, Val i) {
    Val page = pages.page(t, position);
    c.ifElse(
        page >= 0, {},
        [&] {
          Val number = convert(page, c.getIndexType()), record = position % kPageTokens * recordBytes;
          widen(number, record, i);
          return CodeBuilder::Vals();
        },
        [&] {
          c.eachVector(width, [&](Val d, int64_t n) { c.store(zeros(n), records, {i, d}); });
          if (words) { // whatever its words are
            c.store(c.f32(0), recordScales, {i});
            c.store(c.i32(0), lifts, {i});
          }
          return CodeBuilder::Vals();
        });
  }

  void widen(Val page, Val record, Val i) {
    if (!format.scaled()) {
      c.eachVector(width, [&](Val d, int64_t n) {
        c.store(format.load(c, pages.cache(), page, record + d * format.valueBytes(), n), records, {i, d});
      });
      return;
    }
    if (format.i8())
      widenInt8(page, record, i);
    else
      widenE4M3(page, record, i);
    c.eachVector(rope, [&](Val d, int64_t n) {
      c.store(format.keyFormat().load(c, pages.cache(), page, record + d * 2 + format.keyByte(latent), n), records,
              {i, d + latent});
    });
  }

  void widenInt8(Val page, Val record, Val i) {
    Val scale = c.loadBytes(pages.cache(), {page, record + latent}, c.getF32Type(), 0);
    if (!pairs)
      c.eachVector(latent, [&](Val d, int64_t n) {
        c.store(format.load(c, pages.cache(), page, record + d, n) * scale, records, {i, d});
      });
    if (!words)
      return;
    auto vector = c.vectorOf(c.getI32Type(), c.lanes());
    Val sum = c.loop(c.index(0), c.index(words), c.index(c.lanes()), {c.number(0, vector)}, [&](Val w, ArrayRef<Val> so) {
      Val word = c.loadBytes(pages.cache(), {page, record + w * 4}, c.getI32Type(), c.lanes());
      c.store(word, recordWords, {i, w});
      return CodeBuilder::Vals{dotBytes(c.number(0x01010101, vector), word, so[0])};
    })[0];
    c.store(sumLanes(sum) * -128.0, lifts, {i});
    c.store(scale, recordScales, {i});
  }

  void widenE4M3(Val page, Val record, Val i) {
    for (int64_t first = 0; first < latent; first += 128) {
      Val scale = c.loadBytes(pages.cache(), {page, record + (latent + first / 128 * 4)}, c.getF32Type(), 0);
      const int64_t size = std::min<int64_t>(128, latent - first);
      auto each = [&](llvm::function_ref<Val(Val)> value) {
        c.eachVector(size, [&](Val d, int64_t n) {
          c.store(value(c.loadBytes(pages.cache(), {page, record + d + first}, c.getI8Type(), n)), records,
                  {i, d + first});
        });
        return CodeBuilder::Vals();
      };
      Val odd = c.anyE4M3NaN(pages.cache(), page, record + first, size) | (scale > 0x1p119);
      c.ifElse(
          odd, {}, [&] { return each([&](Val v) { return c.fromE4M3(v) * scale; }); },
          [&] { return each([&](Val v) { return c.fromE4M3(v, scale); }); });
    }
  }

  // Which of the widened records is key i of the tile.
  Val recordOf(Val i) { return together ? at(wanted, i) : i; }

  // scores[0 … n-1][h …]: blocks of keys, so that a load of the query serves several.
  void score(Val row, Val h, Val n) {
    c.loop(c.index(0), n, c.index(block), [&](Val i) {
      CodeBuilder::Vals sum(block, zeros(side)), record;
      for (int64_t j = 0; j < block; ++j)
        record.push_back(recordOf(i + j));
      if (words)
        sum = dotWords(row, h, record);
      sum = c.loop(c.index(words ? latent : 0), c.index(width), c.index(1), sum, [&](Val d, ArrayRef<Val> before) {
        Val column = c.load(query, {row, d, h}, side);
        CodeBuilder::Vals after;
        for (int64_t j = 0; j < block; ++j)
          after.push_back(fma(column, c.load(records, {record[j], d}), before[j]));
        return after;
      });
      for (int64_t j = 0; j < block; ++j)
        c.store(sum[j] * k.real("scale"), scores, {i + j, h});
    });
  }

  // Products of a block of records with `side` heads, of the latents alone.
  CodeBuilder::Vals dotWords(Val row, Val h, ArrayRef<Val> record) {
    const int64_t n = c.lanes();
    CodeBuilder::Vals sums, products;
    for (Val i : record)
      for (int64_t first = 0; first < side; first += n)
        sums.push_back(c.splat(c.load(lifts, {i}), n));
    sums = c.loop(c.index(0), c.index(words), c.index(1), sums, [&](Val w, ArrayRef<Val> before) {
      CodeBuilder::Vals columns, after;
      for (int64_t first = 0; first < side; first += n)
        columns.push_back(c.load(queryWords, {row, w, h + first}, n));
      for (Val i : record) {
        Val word = c.splat(c.load(recordWords, {i, w}), n);
        for (Val column : columns)
          after.push_back(dotBytes(column, word, before[after.size()]));
      }
      return after;
    });
    for (auto [j, i] : llvm::enumerate(record)) {
      Val sum = sums[j * (side / n)];
      if (side > n)
        sum = permute(sum, sums[j * 2 + 1], llvm::to_vector(llvm::seq<int64_t>(0, side)));
      products.push_back(convert(sum, c.getF32Type()) * c.load(queryScales, {row, h}, side) * c.load(recordScales, {i}));
    }
    return products;
  }

  void softmax(Val row, Val h, Val n) {
    const double lowest = -__builtin_inf();
    Val before = c.load(most, {row, h}, side);
    Val top = c.loop(c.index(0), n, c.index(1), {before}, [&](Val i, ArrayRef<Val> so) {
      return CodeBuilder::Vals{max(c.load(scores, {i, h}, side), so[0])};
    })[0];
    Val base = select(top == lowest, zeros(side), top); // keeps exp(-inf) = 0 where nothing was seen
    Val total = c.loop(c.index(0), n, c.index(1), {zeros(side)}, [&](Val i, ArrayRef<Val> so) {
      Val p = exp(c.load(scores, {i, h}, side) - base);
      c.store(p, scores, {i, h});
      return CodeBuilder::Vals{so[0] + p};
    })[0];
    Val old = exp(before - base);
    c.store(old, factors, {h});
    c.store(fma(c.load(sums, {row, h}, side), old, total), sums, {row, h});
    c.store(top, most, {row, h});
  }

  // values[row][h] = factor[h] · values[row][h] + Σ_i scores[i][h] · records[i], by blocks of heads and of values.
  void addValues(Val row, Val n) {
    c.inBlocks(std::min(group, heads), {vectors / 2, 4, 2, 1}, [&](int64_t count, Val h) {
      auto columns = [&](int64_t lanes, Val d) {
        CodeBuilder::Vals sum;
        for (int64_t j = 0; j < count; ++j)
          sum.push_back(c.load(values, {row, h + j, d}, lanes) * c.load(factors, {h + j}));
        sum = c.loop(c.index(0), n, c.index(1), sum, [&](Val i, ArrayRef<Val> before) {
          Val value = c.load(records, {recordOf(i), d}, lanes);
          CodeBuilder::Vals after;
          for (int64_t j = 0; j < count; ++j)
            after.push_back(fma(value, c.load(scores, {i, h + j}), before[j]));
          return after;
        });
        for (int64_t j = 0; j < count; ++j)
          c.store(sum[j], values, {row, h + j, d});
      };
      c.inBlocks(latent, {2 * c.lanes(), c.lanes(), 1}, [&](int64_t lanes, Val d) { columns(lanes, d); });
    });
  }

  // Values of two records of the tile in each word; behind an odd last one stands what weighs nothing.
  void pairValues(Val n) {
    const int64_t lanes = c.lanes();
    c.loop((n + 1) / 2, [&](Val pair) {
      c.loop(c.index(0), c.index(latent), c.index(lanes), [&](Val d) {
        auto value = [&](Val i) {
          return convert(bits(c.load(recordWords, {i, d / 4}, lanes / 4), c.getI8Type()), c.getI32Type());
        };
        c.store((value(pair * 2) & 0xffff) | (value(pair * 2 + 1) << 16), valuePairs, {pair, d});
      });
    });
  }

  void pairWeights(Val h, Val n) {
    constexpr double kMost = 32767;
    auto weight = [&](Val i) { return c.load(scores, {i, h}, side) * c.load(recordScales, {i}); };
    Val most = c.loop(c.index(0), n, c.index(1), {zeros(side)},
                      [&](Val i, ArrayRef<Val> so) { return CodeBuilder::Vals{max(weight(i), so[0])}; })[0];
    c.store(most * (1 / kMost), weightScales, {h});
    Val inverse = select(most == 0.0, zeros(side), kMost / most);
    auto rounded = [&](Val i) { return convert(fma(weight(i), inverse, c.number(0.5, inverse.type())), c.getI32Type()); };
    c.loop((n + 1) / 2, [&](Val pair) {
      Val second = rounded(pair * 2 + 1), there = pair * 2 + 1 < n;
      second = select(there, second, c.number(0, second.type()));
      c.store(rounded(pair * 2) | (second << 16), weightPairs, {pair, h});
    });
  }

  // addValues by integers.
  void addPairs(Val row, Val n) {
    const int64_t lanes = c.lanes();
    c.inBlocks(std::min(group, heads), {vectors / 2, 4, 2, 1}, [&](int64_t count, Val h) {
      c.inBlocks(latent, {2 * lanes, lanes}, [&](int64_t wide, Val d) {
        CodeBuilder::Vals sum(count * (wide / lanes), c.number(0, c.vectorOf(c.getI32Type(), lanes)));
        sum = c.loop(c.index(0), (n + 1) / 2, c.index(1), sum, [&](Val pair, ArrayRef<Val> before) {
          CodeBuilder::Vals after, value;
          for (int64_t first = 0; first < wide; first += lanes)
            value.push_back(c.load(valuePairs, {pair, d + first}, lanes));
          for (int64_t j = 0; j < count; ++j) {
            Val weight = c.splat(c.load(weightPairs, {pair, h + j}), lanes);
            for (Val v : value)
              after.push_back(addPairProducts(v, weight, before[after.size()]));
          }
          return after;
        });
        for (auto [i, products] : llvm::enumerate(sum)) {
          Val head = h + int64_t(i) / (wide / lanes), at = d + int64_t(i) % (wide / lanes) * lanes;
          Val old = c.load(values, {row, head, at}, lanes) * c.load(factors, {head});
          c.store(fma(convert(products, c.getF32Type()), c.splat(c.load(weightScales, {head}), lanes), old), values,
                  {row, head, at});
        }
      });
    });
  }

  Kernel &k;
  CodeBuilder &c;
  Pages pages;
  CacheFormat format;
  const int64_t heads, latent, rope, width;
  const bool together;
  const int64_t vectors; // sums that fill the registers beside what a loop reads: columns, and places of records
  const int64_t side, block, tile, group, parts;
  const int64_t words; // of a latent of int8 whose bytes the target multiplies; else 0
  const int64_t pairs; // of a tile's records whose values are summed as integers, which must not overflow; else 0
  const int64_t tileRows;
  int64_t recordBytes = 0;
  Value query, records, scores, most, sums, factors, values, rounded;
  Value queryWords, queryScales, recordWords, recordScales, lifts, valuePairs, weightPairs, weightScales;
  // Of rows that go together: places in the tile of a row's keys, which records of the tile are there, and the numbers
  // of each row's next key and of the one behind its last.
  Value wanted, widened, next, last;
};

} // namespace

LogicalResult writeAttend(Kernel &k) { return Attend(k).run(); }

LogicalResult writeMerge(Kernel &k) {
  CodeBuilder &c = k.c;
  const int64_t parts = k.size(0, 2), latent = k.size(0, 3) - 2;
  if (parts <= 0 || latent <= 0)
    return k.error() << "parts have no fixed size";
  Value x = k.tensor(0), factors = k.scratch({parts}, c.getF32Type());
  k.forItems({{1, 0}, {1, 1}}, [&](ArrayRef<Val> place) {
    Val t = place[0], h = place[1];
    auto sum = [&](Val start, llvm::function_ref<Val(Val so, Val part)> add) {
      return c.loop(c.index(0), c.index(parts), c.index(1), {start},
                    [&](Val part, ArrayRef<Val> so) { return CodeBuilder::Vals{add(so[0], part)}; })[0];
    };
    // What a part's sums are relative to; a part without keys has none, and its sums are 0 whatever they are times.
    Val lowest = c.f32(-std::numeric_limits<float>::max());
    auto largest = [&](Val part) {
      Val none = c.load(x, {t, h, part, c.index(latent + 1)}) == 0.0;
      return select(none, lowest, c.load(x, {t, h, part, c.index(latent)}));
    };
    Val top = sum(lowest, [&](Val so, Val part) { return max(largest(part), so); });
    Val total = sum(c.f32(0), [&](Val so, Val part) {
      Val factor = exp(largest(part) - top);
      c.store(factor, factors, {part});
      return fma(factor, c.load(x, {t, h, part, c.index(latent + 1)}), so);
    });
    Val factor = select(total == 0.0, c.f32(0), 1.0 / total);
    c.eachVector(latent, [&](Val d, int64_t n) {
      Val merged = sum(c.number(0, c.vectorOf(c.getF32Type(), n)), [&](Val so, Val part) {
        return fma(c.load(x, {t, h, part, d}, n), c.splat(c.load(factors, {part}), n), so);
      });
      c.store(merged * factor, k.tensor(1), {t, h, d});
    });
  });
  return success();
}

} // namespace modelc::codegen
