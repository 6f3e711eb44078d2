//===- MoveKernels.cpp - ops that move rows -------------------------------===//
#include "core/compiler/codegen/Pages.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

// Copies n values of a row, whose place lacks its column, from one memory to another.
void copyRow(CodeBuilder &c, Value from, SmallVector<Val> at, Value to, SmallVector<Val> place, int64_t n,
             int64_t behind = 0) {
  c.eachVector(n, [&](Val column, int64_t count) {
    SmallVector<Val> source = at, target = place;
    source.push_back(column);
    target.push_back(behind ? column + behind : column);
    c.store(c.load(from, source, count), to, target);
  });
}

// Row `index` of operand 0, or zeros where there is none, to row t of the result.
LogicalResult gather(Kernel &k, size_t indices, size_t table, size_t out) {
  CodeBuilder &c = k.c;
  const int64_t width = k.size(out, -1);
  if (width <= 0 || k.rank(out) != 2)
    return k.error() << "rows have no fixed width";
  k.forItems({{out, 0}}, [&](ArrayRef<Val> place) {
    Val row = convert(c.load(k.tensor(indices), {place[0]}), c.getIndexType());
    Val there = (row >= 0) & (row < c.dim(k.tensor(table), 0));
    c.ifElse(
        there, {},
        [&] {
          c.eachVector(width, [&](Val column, int64_t n) {
            c.store(k.weight(table, {row, column}, n), k.tensor(out), {place[0], column});
          });
          return CodeBuilder::Vals();
        },
        [&] {
          c.eachVector(width, [&](Val column, int64_t n) {
            c.store(c.number(0, c.vectorOf(c.getF32Type(), n)), k.tensor(out), {place[0], column});
          });
          return CodeBuilder::Vals();
        });
  });
  return success();
}

LogicalResult copy(Kernel &k) {
  CodeBuilder &c = k.c;
  const int64_t width = k.size(0, -1), middle = k.rank(0) == 3 ? k.size(0, 1) : 1;
  if (width <= 0 || middle <= 0 || k.rank(0) < 2)
    return k.error() << "rows have no fixed width";
  k.forItems({{0, 0}}, [&](ArrayRef<Val> place) {
    SmallVector<Val> row(place);
    c.loop(middle, [&](Val i) {
      if (k.rank(0) == 3)
        row = {place[0], i};
      copyRow(c, k.tensor(0), row, k.tensor(1), row, width);
    });
  });
  return success();
}

LogicalResult concat(Kernel &k) {
  const int64_t a = k.size(0, 1), b = k.size(1, 1);
  k.forItems({{0, 0}}, [&](ArrayRef<Val> place) {
    SmallVector<Val> row(place);
    copyRow(k.c, k.tensor(0), row, k.tensor(2), row, a);
    copyRow(k.c, k.tensor(1), row, k.tensor(2), row, b, a);
  });
  return success();
}

// base + Σ_a weights[t, a] · y[slot[t, a]], in order of a.
LogicalResult combine(Kernel &k) {
  CodeBuilder &c = k.c;
  const int64_t width = k.size(0, 1), active = k.size(1, 1);
  k.forItems({{4, 0}}, [&](ArrayRef<Val> place) {
    Val t = place[0];
    c.eachVector(width, [&](Val column, int64_t n) {
      Val sum = k.has(3) ? c.load(k.tensor(3), {t, column}, n) : c.number(0, c.vectorOf(c.getF32Type(), n));
      sum = c.loop(c.index(0), c.index(active), c.index(1), {sum}, [&](Val a, ArrayRef<Val> before) {
        Val row = convert(c.load(k.tensor(1), {t, a}), c.getIndexType());
        return CodeBuilder::Vals{fma(c.load(k.tensor(0), {row, column}, n), c.load(k.tensor(2), {t, a}), before[0])};
      })[0];
      c.store(sum, k.tensor(4), {t, column});
    });
  });
  return success();
}

// A stable sort by counting: one item.
LogicalResult dispatch(Kernel &k) {
  CodeBuilder &c = k.c;
  constexpr int64_t kAll = int64_t{1} << 30;
  const int64_t active = k.size(0, 1), experts = k.size(1, 0) - 1;
  Type index = c.getIndexType();
  Value next = k.scratch({experts}, c.getI32Type());
  k.forItems({{1, 0, kAll}}, [&](ArrayRef<Val>) {
    c.loop(experts, [&](Val e) { c.store(c.i32(0), next, {e}); });
    auto each = [&](llvm::function_ref<void(Val, Val, Val)> body) {
      c.loop(c.dim(k.tensor(0), 0), [&](Val t) {
        c.loop(active, [&](Val a) { body(t, a, convert(c.load(k.tensor(0), {t, a}), index)); });
      });
    };
    each([&](Val, Val, Val e) { c.store(c.load(next, {e}) + 1, next, {e}); });
    Val total = c.loop(c.index(0), c.index(experts), c.index(1), {c.i32(0)}, [&](Val e, ArrayRef<Val> before) {
      Val count = c.load(next, {e});
      c.store(before[0], k.tensor(1), {e});
      c.store(before[0], next, {e});
      return CodeBuilder::Vals{before[0] + count};
    })[0];
    c.store(total, k.tensor(1), {c.index(experts)});
    each([&](Val t, Val a, Val e) {
      Val at = c.load(next, {e});
      c.store(at + 1, next, {e});
      c.store(at, k.tensor(3), {t, a});
      c.store(convert(t, c.getI32Type()), k.tensor(2), {convert(at, index)});
    });
  });
  return success();
}

// Writes values of a row to a page from a byte on, in the cache's format; e4m3 and int8 with one scale, which goes to
// `scaleByte`.
void append(Kernel &k, const CacheFormat &format, const Pages &pages, Val page, Val byte, int64_t n, Val scaleByte,
            llvm::function_ref<Val(Val, int64_t)> value) {
  CodeBuilder &c = k.c;
  if (format.i8()) {
    Val scale = c.eachRoundedInt8(n, value, [&](Val d, int64_t, Val rounded) {
      c.store(rounded, pages.cache(), {page, byte + d});
    });
    return c.storeBytes(scale, pages.cache(), {page, scaleByte});
  }
  if (!format.f8()) {
    c.eachVector(n, [&](Val d, int64_t count) {
      Val v = value(d, count);
      c.storeBytes(format.name == "bf16" ? c.toBf16(v) : v, pages.cache(), {page, byte + d * format.valueBytes()});
    });
    return;
  }
  Val scale = c.powerOfTwoScale(c.maxOver(n, 1e-4, [&](Val d, int64_t count) { return abs(value(d, count)); }));
  Val inverse = 1.0 / scale;
  c.eachVector(n, [&](Val d, int64_t count) {
    c.store(c.toE4M3(c.clamp448(value(d, count) * inverse)), pages.cache(), {page, byte + d});
  });
  c.storeBytes(scale, pages.cache(), {page, scaleByte});
}

// Calls body(t, page, token) for each row that has a place in the cache.
void eachAppended(Kernel &k, const Pages &pages, llvm::function_ref<void(Val, Val, Val)> body) {
  CodeBuilder &c = k.c;
  k.forItems({{0, 0}}, [&](ArrayRef<Val> place) {
    Val t = place[0];
    c.ifThen(pages.visible(t) > 0, [&] {
      Val position = convert(pages.position(t), c.getIndexType()), page = pages.page(t, position);
      c.ifThen(page >= 0, [&] { body(t, convert(page, c.getIndexType()), position % kPageTokens); });
    });
  });
}

LogicalResult appendKey(Kernel &k) {
  CodeBuilder &c = k.c;
  const Pages pages(k, 1);
  const CacheFormat format{k.word("format")};
  const int64_t width = k.size(0, 1);
  eachAppended(k, pages, [&](Val t, Val page, Val token) {
    append(k, format, pages, page, token * (width * format.valueBytes()), width, token * 4 + kPageTokens * width,
           [&](Val d, int64_t n) {
             return c.load(k.tensor(0), {t, d}, n);
           });
  });
  return success();
}

LogicalResult appendLatent(Kernel &k) {
  CodeBuilder &c = k.c;
  const Pages pages(k, 2);
  const CacheFormat format{k.word("format")};
  const int64_t latent = k.size(0, 1), rope = k.size(1, 1);
  eachAppended(k, pages, [&](Val t, Val page, Val token) {
    Val record = token * format.recordBytes(latent, rope);
    const int64_t step = format.f8() ? 128 : latent;
    for (int64_t first = 0; first < latent; first += step)
      append(k, format, pages, page, record + first * format.valueBytes(), std::min(step, latent - first),
             record + (latent + first / 128 * 4), [&](Val d, int64_t n) {
               return c.load(k.tensor(0), {t, d + first}, n);
             });
    append(k, format.keyFormat(), pages, page, record + format.keyByte(latent), rope, record, [&](Val d, int64_t n) {
      return c.load(k.tensor(1), {t, d}, n);
    });
  });
  return success();
}

} // namespace

LogicalResult writeMove(Kernel &k) {
  const std::string &op = k.request.op;
  if (op == "embed")
    return gather(k, 0, 1, 2);
  if (op == "take_rows")
    return gather(k, 1, 0, 2);
  if (op == "copy")
    return copy(k);
  if (op == "concat")
    return concat(k);
  if (op == "moe.combine")
    return combine(k);
  if (op == "moe.dispatch")
    return dispatch(k);
  return op == "dsa.append" ? appendKey(k) : appendLatent(k);
}

} // namespace modelc::codegen
