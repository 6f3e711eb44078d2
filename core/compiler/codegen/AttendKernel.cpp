//===- AttendKernel.cpp - mla.attend_latent -------------------------------===//
//
// An item is a row and a group of its heads. Records are widened to float32 a tile of keys at a time; scores have heads
// side by side, weighted sums the latent's values, so nothing is summed across lanes. Softmax runs along: a tile's sums
// are relative to the largest score so far.
//
//===----------------------------------------------------------------------===//
#include "core/compiler/codegen/Pages.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

class Attend {
public:
  Attend(Kernel &k)
      : k(k), c(k.c), pages(k, 3), format{k.word("format")}, heads(k.size(0, 1)), latent(k.size(0, 2)),
        rope(k.size(1, 2)), width(latent + rope), side(2 * c.lanes()), block(6),
        tile(k.tile("keys", DefaultTiles::keys)),
        group((std::min(k.tile("heads", DefaultTiles::heads), heads) + side - 1) / side * side) {}

  LogicalResult run() {
    if (heads <= 0 || latent <= 0 || rope < 0)
      return k.error() << "queries have no fixed size";
    recordBytes = format.recordBytes(latent, rope);
    if (k.size(6, 1) != kPageTokens * recordBytes)
      return k.error() << "pages of " << k.size(6, 1) << " bytes; records in format " << format.name << " make "
                       << kPageTokens * recordBytes;
    Type f32 = c.getF32Type();
    query = k.scratch({width, group}, f32);
    records = k.scratch({tile + block, width}, f32);
    scores = k.scratch({tile + block, group}, f32);
    most = k.scratch({group}, f32);
    sums = k.scratch({group}, f32);
    factors = k.scratch({group}, f32);
    values = k.scratch({group, latent}, f32);
    if (format.i8())
      rounded = k.scratch({latent}, c.getI8Type());
    // What stands behind the last key of a tile is computed and not used; it must be memory all the same.
    k.forItems({{0, 0}, {0, 1, group}}, [&](ArrayRef<Val> place) {
      c.ifThen(pages.visible(place[0]) > 0, [&] { attend(place[0], place[1] * group); });
    });
    return success();
  }

private:
  Val zeros(int64_t n) { return c.number(0, c.vectorOf(c.getF32Type(), n)); }

  void attend(Val t, Val firstHead) {
    Val count = min(c.index(group), c.index(heads) - firstHead), keys = countKeys(t);
    loadQuery(t, firstHead, count);
    c.loop(c.index(0), c.index(group), c.index(side), [&](Val h) {
      c.store(c.number(-__builtin_inf(), c.vectorOf(c.getF32Type(), side)), most, {h});
      c.store(zeros(side), sums, {h});
    });
    c.loop(group, [&](Val h) { c.eachVector(latent, [&](Val d, int64_t n) { c.store(zeros(n), values, {h, d}); }); });
    c.loop(c.index(0), keys, c.index(tile), [&](Val first) {
      Val n = min(c.index(tile), keys - first);
      c.loop(n, [&](Val i) { loadRecord(t, positionOf(t, first + i), i); });
      c.loop(c.index(0), c.index(group), c.index(side), [&](Val h) {
        score(h, n);
        softmax(h, n);
      });
      addValues(n);
    });
    c.loop(count, [&](Val h) {
      Val factor = select(keys == 0, c.f32(0), 1.0 / c.load(sums, {h}));
      c.eachVector(latent, [&](Val d, int64_t n) {
        c.store(c.load(values, {h, d}, n) * factor, k.tensor(7), {t, firstHead + h, d});
      });
    });
  }

  // The length of the row's list, which -1 ends; all it sees where there is none.
  Val countKeys(Val t) {
    if (!k.has(2))
      return pages.visible(t);
    Val longest = c.dim(k.tensor(2), 1);
    return c.loopWhile(
        {c.index(0)},
        [&](ArrayRef<Val> n) {
          // Not read beyond the end.
          return c.ifElse(
              n[0] < longest, {c.getI1Type()},
              [&] {
                return CodeBuilder::Vals{c.load(k.tensor(2), {t, n[0]}) >= 0};
              },
              [&] { return CodeBuilder::Vals{c.number(0, c.getI1Type())}; })[0];
        },
        [&](ArrayRef<Val> n) { return CodeBuilder::Vals{n[0] + 1}; })[0];
  }

  Val positionOf(Val t, Val i) { return k.has(2) ? convert(c.load(k.tensor(2), {t, i}), c.getIndexType()) : i; }

  // Heads side by side; what is beyond the last head is 0.
  void loadQuery(Val t, Val firstHead, Val count) {
    c.loop(width, [&](Val d) {
      c.loop(c.index(0), c.index(group), c.index(side), [&](Val h) { c.store(zeros(side), query, {d, h}); });
    });
    c.loop(count, [&](Val h) {
      if (format.i8()) {
        Val scale = c.eachRoundedInt8(
            latent,
            [&](Val d, int64_t n) {
              return c.load(k.tensor(0), {t, firstHead + h, d}, n);
            },
            [&](Val d, int64_t, Val v) { c.store(v, rounded, {d}); });
        c.loop(latent, [&](Val d) { c.store(convert(c.load(rounded, {d}), c.getF32Type()) * scale, query, {d, h}); });
      } else {
        c.loop(latent, [&](Val d) { c.store(c.load(k.tensor(0), {t, firstHead + h, d}), query, {d, h}); });
      }
      c.loop(rope, [&](Val d) { c.store(c.load(k.tensor(1), {t, firstHead + h, d}), query, {d + latent, h}); });
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
    c.eachVector(latent, [&](Val d, int64_t n) {
      c.store(format.load(c, pages.cache(), page, record + d, n) * scale, records, {i, d});
    });
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

  // scores[0 … n-1][h …]: blocks of keys, so that a load of the query serves several.
  void score(Val h, Val n) {
    c.loop(c.index(0), n, c.index(block), [&](Val i) {
      CodeBuilder::Vals sum(block, zeros(side));
      sum = c.loop(c.index(0), c.index(width), c.index(1), sum, [&](Val d, ArrayRef<Val> before) {
        Val column = c.load(query, {d, h}, side);
        CodeBuilder::Vals after;
        for (int64_t j = 0; j < block; ++j)
          after.push_back(fma(column, c.load(records, {i + j, d}), before[j]));
        return after;
      });
      for (int64_t j = 0; j < block; ++j)
        c.store(sum[j] * k.real("scale"), scores, {i + j, h});
    });
  }

  void softmax(Val h, Val n) {
    const double lowest = -__builtin_inf();
    Val before = c.load(most, {h}, side);
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
    c.store(fma(c.load(sums, {h}, side), old, total), sums, {h});
    c.store(top, most, {h});
  }

  // values[h] = factor[h] · values[h] + Σ_i scores[i][h] · records[i], by blocks of heads and of values.
  void addValues(Val n) {
    c.inBlocks(group, {block, 4, 2, 1}, [&](int64_t count, Val h) {
      auto columns = [&](int64_t lanes, Val d) {
        CodeBuilder::Vals sum;
        for (int64_t j = 0; j < count; ++j)
          sum.push_back(c.load(values, {h + j, d}, lanes) * c.load(factors, {h + j}));
        sum = c.loop(c.index(0), n, c.index(1), sum, [&](Val i, ArrayRef<Val> before) {
          Val value = c.load(records, {i, d}, lanes);
          CodeBuilder::Vals after;
          for (int64_t j = 0; j < count; ++j)
            after.push_back(fma(value, c.load(scores, {i, h + j}), before[j]));
          return after;
        });
        for (int64_t j = 0; j < count; ++j)
          c.store(sum[j], values, {h + j, d});
      };
      c.inBlocks(latent, {side, c.lanes(), 1}, [&](int64_t lanes, Val d) { columns(lanes, d); });
    });
  }

  Kernel &k;
  CodeBuilder &c;
  Pages pages;
  CacheFormat format;
  const int64_t heads, latent, rope, width, side, block, tile, group;
  int64_t recordBytes = 0;
  Value query, records, scores, most, sums, factors, values, rounded;
};

} // namespace

LogicalResult writeAttend(Kernel &k) { return Attend(k).run(); }

} // namespace modelc::codegen
