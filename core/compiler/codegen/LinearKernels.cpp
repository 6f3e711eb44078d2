//===- LinearKernels.cpp - matrix products: the floor ---------------------===//
//
// Right for every dtype and size, and no match for a plugin's own: what a device runs until it has them. Rows and
// weight rows are taken in small tiles whose sums fill the registers; K lies in lanes.
//
//===----------------------------------------------------------------------===//
#include "core/compiler/codegen/Kernels.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

constexpr int64_t kRows = 4;          // rows of a tile
constexpr int64_t kWeights = 3;       // weight rows of a tile
constexpr int64_t kBlockWeights = 48; // weight rows of an item

class Product {
public:
  explicit Product(Kernel &k) : k(k), c(k.c), quantize(k.word("act") == "e4m3_1x128_pow2") {}

  // x [T, K], W [N, K] (twice for a gated unit) → out [T, N].
  LogicalResult plain(bool gated) {
    first = 1, second = gated ? 2 : 0, out = gated ? 3 : 2, rank = 2;
    n = k.size(1, 0), depth = k.size(1, 1);
    x = flat(0, depth), y = flat(out, n);
    prepare();
    Val rows = c.dim(k.tensor(0), 0);
    k.forItems({{0, 0, kRows}, {1, 0, kBlockWeights}}, [&](ArrayRef<Val> place) {
      tile(place[0] * kRows, rows, place[1] * kBlockWeights, Val(), [](Val row) { return row; });
    });
    return success();
  }

  // Rows offsets[e] … offsets[e + 1] - 1 with the weights of expert e.
  LogicalResult grouped(bool gated) {
    const size_t offsets = gated ? 2 : 1;
    first = offsets + 1, second = gated ? first + 1 : 0, out = gated ? 5 : 3, rank = 3;
    n = k.size(first, 1), depth = k.size(first, 2);
    x = k.tensor(0), y = k.tensor(out);
    prepare();
    Type index = c.getIndexType();
    k.forItems({{first, 0}, {first, 1, kBlockWeights}}, [&](ArrayRef<Val> place) {
      Val e = place[0], begin = convert(c.load(k.tensor(offsets), {e}), index);
      Val end = convert(c.load(k.tensor(offsets), {e + 1}), index);
      c.loop(begin, end, c.index(kRows), [&](Val row) {
        tile(row, end, place[1] * kBlockWeights, e,
             [&](Val m) { return gated ? convert(c.load(k.tensor(1), {m}), index) : m; });
      });
    });
    return success();
  }

private:
  // The tensor as rows of `width`.
  Value flat(size_t i, int64_t width) {
    if (k.rank(i) == 2)
      return k.tensor(i);
    auto type = MemRefType::get({ShapedType::kDynamic, width}, c.getF32Type());
    Val rows = c.dim(k.tensor(i), 0);
    return memref::ReinterpretCastOp::create(c, type, k.tensor(i), OpFoldResult(c.getIndexAttr(0)),
                                             {OpFoldResult(rows.get()), c.getIndexAttr(width)},
                                             {OpFoldResult(c.getIndexAttr(width)), c.getIndexAttr(1)});
  }

  void prepare() { input = k.scratch({kRows, depth}, c.getF32Type()); }

  // Rows from `row` on, at most kRows of them and below `end`, times weight rows from `weight` on, at most
  // kBlockWeights.
  void tile(Val row, Val end, Val weight, Val expert, llvm::function_ref<Val(Val)> source) {
    for (int64_t i = 0; i < kRows; ++i)
      loadRow(source(min(row + i, end - 1)), i);
    Val last = min(weight + kBlockWeights, c.index(n));
    c.loop(weight, last, c.index(kWeights), [&](Val w) {
      SmallVector<Val> rows;
      for (int64_t j = 0; j < kWeights; ++j)
        rows.push_back(min(w + j, c.index(n - 1)));
      SmallVector<Val> sums = dots(first, expert, rows), ups;
      if (second)
        ups = dots(second, expert, rows);
      for (int64_t i = 0; i < kRows; ++i)
        c.ifThen(row + i < end, [&] {
          for (int64_t j = 0; j < kWeights; ++j) {
            Val value = sums[i * kWeights + j];
            if (second)
              value = value / (exp(-value) + 1.0) * ups[i * kWeights + j];
            c.store(value, y, {row + i, rows[j]});
          }
        });
    });
  }

  void loadRow(Val row, int64_t i) {
    Val to = c.index(i);
    auto value = [&](Val d, int64_t count) { return c.load(x, {row, d}, count); };
    if (!quantize) {
      c.eachVector(depth, [&](Val d, int64_t count) { c.store(value(d, count), input, {to, d}); });
      return;
    }
    c.eachRounded(depth, value, [&](Val d, int64_t, Val rounded) { c.store(rounded, input, {to, d}); });
  }

  // kRows x kWeights sums over K.
  SmallVector<Val> dots(size_t tensor, Val expert, ArrayRef<Val> rows) {
    const int64_t lanes = c.lanes(), whole = depth / lanes * lanes;
    auto add = [&](Val d, int64_t count, ArrayRef<Val> before) {
      CodeBuilder::Vals weights, after;
      for (Val row : rows) {
        SmallVector<Val> place{row, d};
        if (rank == 3)
          place.insert(place.begin(), expert);
        weights.push_back(k.weight(tensor, place, count));
      }
      for (int64_t i = 0; i < kRows; ++i) {
        Val value = c.load(input, {c.index(i), d}, count);
        for (int64_t j = 0; j < kWeights; ++j)
          after.push_back(fma(value, weights[j], before[i * kWeights + j]));
      }
      return after;
    };
    CodeBuilder::Vals sums(kRows * kWeights, c.number(0, c.vectorOf(c.getF32Type(), lanes)));
    sums = c.loop(c.index(0), c.index(whole), c.index(lanes), sums,
                  [&](Val d, ArrayRef<Val> before) { return add(d, lanes, before); });
    SmallVector<Val> totals;
    for (Val sum : sums)
      totals.push_back(sumLanes(sum));
    if (depth > whole) {
      CodeBuilder::Vals rest(kRows * kWeights, c.number(0, c.vectorOf(c.getF32Type(), depth - whole)));
      rest = add(c.index(whole), depth - whole, rest);
      for (size_t i = 0; i < totals.size(); ++i)
        totals[i] = totals[i] + sumLanes(rest[i]);
    }
    return totals;
  }

  Kernel &k;
  CodeBuilder &c;
  const bool quantize;
  size_t first = 0, second = 0, out = 0; // tensors; no second without a gate
  int64_t rank = 2, n = 0, depth = 0;
  Value x, y, input;
};

// One matrix per head, rows first … first + count - 1 of its share of the weight.
LogicalResult headLinear(Kernel &k) {
  CodeBuilder &c = k.c;
  const int64_t heads = k.size(0, 1), share = k.size(1, 0) / heads, width = k.size(1, 1);
  const int64_t from = k.integer("x_first"), first = k.integer("first"), count = k.integer("count");
  k.forItems({{0, 0}, {0, 1}}, [&](ArrayRef<Val> place) {
    Val t = place[0], h = place[1], row = h * share + first;
    if (!k.integer("transposed")) {
      c.loop(count, [&](Val i) {
        Val sum = c.sumOver(width, [&](Val d, int64_t n) {
          return std::pair(c.load(k.tensor(0), {t, h, d + from}, n), k.weight(1, {row + i, d}, n));
        });
        c.store(sum, k.tensor(2), {t, h, i});
      });
      return;
    }
    c.eachVector(width, [&](Val d, int64_t n) {
      Val zero = c.number(0, c.vectorOf(c.getF32Type(), n));
      Val sum = c.loop(c.index(0), c.index(count), c.index(1), {zero}, [&](Val i, ArrayRef<Val> before) {
        return CodeBuilder::Vals{fma(k.weight(1, {row + i, d}, n), c.load(k.tensor(0), {t, h, i + from}), before[0])};
      })[0];
      c.store(sum, k.tensor(2), {t, h, d});
    });
  });
  return success();
}

} // namespace

LogicalResult writeLinear(Kernel &k) {
  const std::string &op = k.request.op;
  if (op == "head_linear")
    return headLinear(k);
  if (op == "grouped_linear" || op == "grouped_linear_silu_mul")
    return Product(k).grouped(op == "grouped_linear_silu_mul");
  return Product(k).plain(op == "linear_silu_mul");
}

} // namespace modelc::codegen
