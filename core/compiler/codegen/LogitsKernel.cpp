//===- LogitsKernel.cpp - dsa.logits --------------------------------------===//
//
// An item is a tile of rows over a block of pages. A page's keys are turned once for all rows of the tile that read it,
// sixteen keys side by side: then the heads' scores of sixteen keys are sums without any across lanes. Keys become
// float32 values; int8 keys become pairs of int16, or stay bytes in fours where the target multiplies those, and so do the
// queries of the tile, which are rounded first.
//
//===----------------------------------------------------------------------===//
#include "core/compiler/codegen/Pages.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

constexpr int64_t kSide = 16; // keys side by side

class Logits {
public:
  Logits(Kernel &k)
      : k(k), c(k.c), pages(k, 2), format{k.word("format")}, heads(k.size(0, 1)), width(k.size(0, 2)),
        tileRows(k.tile("rows", DefaultTiles::rows)), blockPages(k.tile("pages", DefaultTiles::pages)),
        pageBytes(k.size(5, 1)), each(c.hasDotBytes() ? 4 : 2), words((width + each - 1) / each),
        queryBytes((words + kSide - 1) / kSide * kSide * 4) {}

  LogicalResult run() {
    const int64_t wanted = kPageTokens * (width * format.valueBytes() + (format.scaled() ? 4 : 0));
    if (heads <= 0 || width <= 0 || pageBytes != wanted)
      return k.error() << "pages of " << pageBytes << " bytes; " << width << " values in format " << format.name
                       << " make " << wanted;
    Type f32 = c.getF32Type();
    if (format.i8()) {
      keys = k.scratch({kPageTokens / kSide, words, kSide}, c.getI32Type());
      queries = k.scratch({tileRows, heads * queryBytes}, c.getI8Type());
      lifts = k.scratch({tileRows, heads}, c.getI32Type());
      weights = k.scratch({tileRows, heads}, f32);
    } else {
      keys = k.scratch({kPageTokens / kSide, width, kSide}, f32);
    }
    factors = k.scratch({kPageTokens}, f32);
    const Kernel::GridDim rows{0, 0, tileRows}, keysOf{6, 1, blockPages * kPageTokens};
    if (k.word("order") == "keys")
      k.forItems({keysOf, rows}, [&](ArrayRef<Val> place) { item(place[1] * tileRows, place[0] * blockPages); });
    else
      k.forItems({rows, keysOf}, [&](ArrayRef<Val> place) { item(place[0] * tileRows, place[1] * blockPages); });
    return success();
  }

private:
  void item(Val firstRow, Val firstPage) {
    Val columns = c.dim(k.tensor(6), 1), rows = c.dim(k.tensor(0), 0);
    Val lastRow = min(firstRow + tileRows, rows);
    Val lastPage = min(firstPage + blockPages, (columns + (kPageTokens - 1)) / kPageTokens);
    if (format.i8())
      c.loop(firstRow, lastRow, c.index(1), [&](Val t) {
        c.ifThen(pages.visible(t) > firstPage * kPageTokens, [&] { roundQueries(t, t - firstRow); });
      });
    c.loop(firstPage, lastPage, c.index(1), [&](Val page) {
      Val first = page * kPageTokens;
      // The sequence whose keys lie in the scratch; padding rows have -1.
      c.loop(firstRow, lastRow, c.index(1), {c.i32(-1)}, [&](Val t, ArrayRef<Val> loaded) {
        Val seen = min(pages.visible(t), columns) - first, sequence = pages.sequence(t);
        return c.ifElse(
            seen > 0, {sequence.type()},
            [&] {
              c.ifThen(sequence != loaded[0], [&] { loadPage(pages.page(t, first)); });
              scoreRow(t, t - firstRow, first, min(seen, c.index(kPageTokens)));
              return CodeBuilder::Vals{sequence};
            },
            [&] { return CodeBuilder::Vals{loaded[0]}; });
      });
    });
  }

  // A row's queries in words, zeros at the end, and its head weights times their scales. Bytes of keys are multiplied
  // without their sign, 128 above what they stand for: a head's lift takes that out of its sums.
  void roundQueries(Val t, Val row) {
    Type stored = c.getIntegerType(32 / each);
    auto vector = c.vectorOf(c.getI32Type(), kSide);
    c.loop(heads, [&](Val h) {
      Val first = h * queryBytes;
      if (width * (4 / each) < queryBytes)
        c.loop(c.index(0), c.index(queryBytes), c.index(kSide * 4),
               [&](Val at) { c.storeBytes(c.number(0, vector), queries, {row, first + at}); });
      Val scale = c.eachRoundedInt8(
          width,
          [&](Val d, int64_t n) {
            return c.load(k.tensor(0), {t, h, d}, n);
          },
          [&](Val d, int64_t, Val rounded) {
            c.storeBytes(convert(rounded, stored), queries, {row, first + d * (4 / each)});
          });
      c.store(c.load(k.tensor(1), {t, h}) * scale, weights, {row, h});
      Val lift = c.i32(0);
      if (each == 4)
        lift = sumLanes(c.loop(c.index(0), c.index(queryBytes), c.index(kSide * 4), {c.number(0, vector)},
                               [&](Val at, ArrayRef<Val> so) {
                                 Val query = c.loadBytes(queries, {row, first + at}, c.getI32Type(), kSide);
                                 return CodeBuilder::Vals{dotBytes(c.number(0x01010101, vector), query, so[0])};
                               })[0]) *
               -128.0;
      c.store(lift, lifts, {row, h});
    });
  }

  void loadPage(Val page) {
    const double scale = k.real("scale");
    c.ifElse(
        page >= 0, {},
        [&] {
          Val number = convert(page, c.getIndexType());
          auto turnAll = [&](bool plain) {
            c.loop(kPageTokens / kSide, [&](Val block) { turn(number, block, plain); });
            return CodeBuilder::Vals();
          };
          if (format.f8())
            c.ifElse(
                c.anyE4M3NaN(pages.cache(), number, c.index(0), kPageTokens * width), {},
                [&] { return turnAll(false); }, [&] { return turnAll(true); });
          else
            turnAll(true);
          c.eachVector(kPageTokens, [&](Val token, int64_t n) {
            Val factor = c.number(scale, c.vectorOf(c.getF32Type(), n));
            if (format.scaled())
              factor = c.loadBytes(pages.cache(), {number, token * 4 + kPageTokens * width}, c.getF32Type(), n) * scale;
            c.store(factor, factors, {token});
          });
          return CodeBuilder::Vals();
        },
        [&] {
          // Without keys every score is 0.
          c.eachVector(kPageTokens, [&](Val token, int64_t n) {
            c.store(c.number(0, c.vectorOf(c.getF32Type(), n)), factors, {token});
          });
          auto type = cast<MemRefType>(keys.getType());
          Val zero = c.number(0, c.vectorOf(type.getElementType(), kSide));
          c.loop(kPageTokens / kSide, [&](Val block) {
            c.loop(type.getDimSize(1), [&](Val d) { c.store(zero, keys, {block, d, c.index(0)}); });
          });
          return CodeBuilder::Vals();
        });
  }

  // Sixteen keys of a page to keys[block][d][16]; `plain` where none is NaN.
  void turn(Val page, Val block, bool plain) {
    const int64_t bytes = format.valueBytes();
    Type word = c.getIntegerType(8 * bytes);
    Val firstKey = block * kSide;
    auto byteOf = [&](Val key, Val d) { return (key * width + d) * bytes; };
    auto widen = [&](Val column) {
      if (bytes == 1 && plain)
        return c.fromE4M3(column, c.f32(1));
      return bytes == 1 ? c.fromE4M3(column) : bytes == 2 ? c.fromBf16(column) : bits(column, c.getF32Type());
    };
    c.inBlocks(width, {kSide, 1}, [&](int64_t n, Val d) {
      if (n == 1) {
        c.loop(kSide, [&](Val i) {
          Val value = c.loadBytes(pages.cache(), {page, byteOf(firstKey + i, d)}, word, 1);
          if (!format.i8())
            return c.store(lane(widen(value), 0), keys, {block, d, i});
          // The first of a word clears the places of the others.
          Val number = convert(lane(value, 0), c.getIntegerType(32 / each)), place = d % each, word = d / each;
          if (each == 4)
            number = number ^ -128;
          Val shift = convert(place * (32 / each), c.getI32Type());
          Val before = select(place == 0, c.i32(0), c.load(keys, {block, word, i}));
          c.store(before | (extendUnsigned(number, c.getI32Type()) << shift), keys, {block, word, i});
        });
        return;
      }
      SmallVector<Val> row;
      for (int64_t i = 0; i < kSide; ++i)
        row.push_back(c.loadBytes(pages.cache(), {page, byteOf(firstKey + i, d)}, word, kSide));
      if (format.i8() && each == 4)
        return turnWords(row, block, d / 4);
      // Four rounds of interleaving the first half with the second are a transposition.
      SmallVector<int64_t> low, high;
      for (int64_t i = 0; i < kSide / 2; ++i) {
        low.append({i, kSide + i});
        high.append({kSide / 2 + i, kSide + kSide / 2 + i});
      }
      for (int round = 0; round < 4; ++round) {
        SmallVector<Val> next;
        for (int64_t i = 0; i < kSide / 2; ++i) {
          next.push_back(permute(row[i], row[i + kSide / 2], low));
          next.push_back(permute(row[i], row[i + kSide / 2], high));
        }
        row = next;
      }
      if (format.i8()) {
        auto wide = [&](Val column) { return convert(column, c.getI32Type()); };
        for (int64_t i = 0; i < kSide; i += 2)
          c.store((wide(row[i]) & 0xffff) | (wide(row[i + 1]) << 16), keys, {block, d / 2 + i / 2, c.index(0)});
        return;
      }
      for (int64_t i = 0; i < kSide; ++i)
        c.store(widen(row[i]), keys, {block, d + i, c.index(0)});
    });
  }

  // Sixteen bytes of sixteen keys, as words, to four rows of words side by side, without signs.
  void turnWords(ArrayRef<Val> keys16, Val block, Val word) {
    auto join = [&](Val a, Val b) {
      return permute(a, b, llvm::to_vector(llvm::seq<int64_t>(0, 2 * a.lanes())));
    };
    SmallVector<Val> four; // four keys each
    for (int64_t i = 0; i < kSide; i += 4) {
      auto words4 = [&](int64_t j) { return bits(keys16[i + j], c.getI32Type()); };
      four.push_back(join(join(words4(0), words4(1)), join(words4(2), words4(3))));
    }
    // Words w and w + 1 of eight keys each, then each word of all.
    auto words8 = [&](Val a, Val b, int64_t w) {
      SmallVector<int64_t> from;
      for (int64_t which : {w, w + 1})
        for (int64_t key = 0; key < 8; ++key)
          from.push_back(key * 4 + which);
      return permute(a, b, from);
    };
    for (int64_t w = 0; w < 4; w += 2) {
      Val low = words8(four[0], four[1], w), high = words8(four[2], four[3], w);
      for (int64_t i = 0; i < 2; ++i) {
        SmallVector<int64_t> from;
        for (int64_t key = 0; key < kSide; ++key)
          from.push_back((key < 8 ? 0 : 8) + i * 8 + key);
        c.store(permute(low, high, from) ^ int64_t(int32_t(0x80808080)), keys, {block, word + (w + i), c.index(0)});
      }
    }
  }

  // score[t, first …] of `seen` keys: Σ_h w[h]·relu(q_h·key), times the key's factor.
  void scoreRow(Val t, Val row, Val first, Val seen) {
    auto type = c.vectorOf(c.getF32Type(), kSide);
    const int64_t most = 12 * c.lanes() / kSide; // heads whose sums fill the registers
    c.loop(c.index(0), seen, c.index(kSide), [&](Val key) {
      Val block = key / kSide, total = c.number(0, type);
      auto heads16 = [&](int64_t n, Val h, Val sum) {
        CodeBuilder::Vals dots = format.i8() ? wordDots(n, row, h, block) : floatDots(n, t, h, block);
        for (int64_t i = 0; i < n; ++i) {
          Val weight = format.i8() ? c.load(weights, {row, h + i}) : c.load(k.tensor(1), {t, h + i});
          sum = fma(select(dots[i] < 0.0, c.number(0, type), dots[i]), weight, sum);
        }
        return sum;
      };
      int64_t h = 0;
      for (int64_t size : {most, int64_t(2), int64_t(1)}) {
        const int64_t count = (heads - h) / size;
        if (count > 0)
          total = c.loop(c.index(h), c.index(h + count * size), c.index(size), {total},
                         [&](Val at, ArrayRef<Val> sum) { return CodeBuilder::Vals{heads16(size, at, sum[0])}; })[0];
        h += count * size;
      }
      total = total * c.load(factors, {key}, kSide);
      Val left = seen - key;
      c.ifElse(
          left >= kSide, {},
          [&] {
            c.store(total, k.tensor(6), {t, first + key});
            return CodeBuilder::Vals();
          },
          [&] {
            Value rest = c.stack({kSide}, c.getF32Type());
            c.store(total, rest, {c.index(0)});
            c.loop(left, [&](Val i) { c.store(c.load(rest, {i}), k.tensor(6), {t, first + key + i}); });
            return CodeBuilder::Vals();
          });
    });
  }

  // Products of n heads' queries from h on with sixteen keys.
  CodeBuilder::Vals floatDots(int64_t n, Val t, Val h, Val block) {
    CodeBuilder::Vals sums(n, c.number(0, c.vectorOf(c.getF32Type(), kSide)));
    return c.loop(c.index(0), c.index(width), c.index(1), sums, [&](Val d, ArrayRef<Val> before) {
      Val column = c.load(keys, {block, d, c.index(0)}, kSide);
      CodeBuilder::Vals after;
      for (int64_t i = 0; i < n; ++i)
        after.push_back(fma(column, c.load(k.tensor(0), {t, h + i, d}), before[i]));
      return after;
    });
  }

  CodeBuilder::Vals wordDots(int64_t n, Val row, Val h, Val block) {
    Type i32 = c.getI32Type();
    CodeBuilder::Vals sums;
    for (int64_t i = 0; i < n; ++i)
      sums.push_back(c.splat(c.load(lifts, {row, h + i}), kSide));
    sums = c.loop(c.index(0), c.index(words), c.index(1), sums, [&](Val d, ArrayRef<Val> before) {
      Val column = c.load(keys, {block, d, c.index(0)}, kSide);
      CodeBuilder::Vals after;
      for (int64_t i = 0; i < n; ++i) {
        Val query = c.splat(c.loadBytes(queries, {row, (h + i) * queryBytes + d * 4}, i32, 0), kSide);
        after.push_back(each == 4 ? dotBytes(column, query, before[i]) : addPairProducts(column, query, before[i]));
      }
      return after;
    });
    for (Val &sum : sums)
      sum = convert(sum, c.getF32Type());
    return sums;
  }

  Kernel &k;
  CodeBuilder &c;
  Pages pages;
  CacheFormat format;
  int64_t heads, width, tileRows, blockPages, pageBytes;
  const int64_t each, words, queryBytes; // int8 values in a word; words of a key; bytes of a head's query, whole vectors
  Value keys, queries, lifts, weights, factors;
};

} // namespace

LogicalResult writeLogits(Kernel &k) { return Logits(k).run(); }

} // namespace modelc::codegen
