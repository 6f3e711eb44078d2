//===- LogitsKernel.cpp - dsa.logits --------------------------------------===//
//
// An item is a tile of rows over a block of pages. A page's keys are turned once for all rows of the tile that read it,
// sixteen keys side by side: then the heads' scores of sixteen keys are sums without any across lanes.
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
        pageBytes(k.size(5, 1)) {}

  LogicalResult run() {
    const int64_t wanted = kPageTokens * (width * format.valueBytes() + (format.f8() ? 4 : 0));
    if (heads <= 0 || width <= 0 || pageBytes != wanted)
      return k.error() << "pages of " << pageBytes << " bytes; " << width << " values in format " << format.name
                       << " make " << wanted;
    Type f32 = c.getF32Type();
    keys = k.scratch({kPageTokens / kSide, width, kSide}, f32);
    factors = k.scratch({kPageTokens}, f32);
    k.forItems({{0, 0, tileRows}, {6, 1, blockPages * kPageTokens}},
               [&](ArrayRef<Val> place) { item(place[0] * tileRows, place[1] * blockPages); });
    return success();
  }

private:
  void item(Val firstRow, Val firstPage) {
    Val columns = c.dim(k.tensor(6), 1), rows = c.dim(k.tensor(0), 0);
    Val lastRow = min(firstRow + tileRows, rows);
    Val lastPage = min(firstPage + blockPages, (columns + (kPageTokens - 1)) / kPageTokens);
    c.loop(firstPage, lastPage, c.index(1), [&](Val page) {
      Val first = page * kPageTokens;
      // The sequence whose keys lie in the scratch; padding rows have -1.
      c.loop(firstRow, lastRow, c.index(1), {c.i32(-1)}, [&](Val t, ArrayRef<Val> loaded) {
        Val seen = min(pages.visible(t), columns) - first, sequence = pages.sequence(t);
        return c.ifElse(
            seen > 0, {sequence.type()},
            [&] {
              c.ifThen(sequence != loaded[0], [&] { loadPage(pages.page(t, first)); });
              scoreRow(t, first, min(seen, c.index(kPageTokens)));
              return CodeBuilder::Vals{sequence};
            },
            [&] { return CodeBuilder::Vals{loaded[0]}; });
      });
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
            if (format.f8())
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
          Val zero = c.number(0, c.vectorOf(c.getF32Type(), kSide));
          c.loop(kPageTokens / kSide, [&](Val block) {
            c.loop(width, [&](Val d) { c.store(zero, keys, {block, d, c.index(0)}); });
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
          c.store(lane(widen(value), 0), keys, {block, d, i});
        });
        return;
      }
      SmallVector<Val> row;
      for (int64_t i = 0; i < kSide; ++i)
        row.push_back(c.loadBytes(pages.cache(), {page, byteOf(firstKey + i, d)}, word, kSide));
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
      for (int64_t i = 0; i < kSide; ++i)
        c.store(widen(row[i]), keys, {block, d + i, c.index(0)});
    });
  }

  // score[t, first …] of `seen` keys: Σ_h w[h]·relu(q_h·key), times the key's factor.
  void scoreRow(Val t, Val first, Val seen) {
    auto type = c.vectorOf(c.getF32Type(), kSide);
    const int64_t most = 12 * c.lanes() / kSide; // heads whose sums fill the registers
    c.loop(c.index(0), seen, c.index(kSide), [&](Val key) {
      Val block = key / kSide, total = c.number(0, type);
      auto heads16 = [&](int64_t n, Val h, Val sum) {
        CodeBuilder::Vals dots(n, c.number(0, type));
        dots = c.loop(c.index(0), c.index(width), c.index(1), dots, [&](Val d, ArrayRef<Val> before) {
          Val column = c.load(keys, {block, d, c.index(0)}, kSide);
          CodeBuilder::Vals after;
          for (int64_t i = 0; i < n; ++i)
            after.push_back(fma(column, c.load(k.tensor(0), {t, h + i, d}), before[i]));
          return after;
        });
        for (int64_t i = 0; i < n; ++i)
          sum = fma(select(dots[i] < 0.0, c.number(0, type), dots[i]), c.load(k.tensor(1), {t, h + i}), sum);
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

  Kernel &k;
  CodeBuilder &c;
  Pages pages;
  CacheFormat format;
  int64_t heads, width, tileRows, blockPages, pageBytes;
  Value keys, factors;
};

} // namespace

LogicalResult writeLogits(Kernel &k) { return Logits(k).run(); }

} // namespace modelc::codegen
