//===- RowKernels.cpp - ops that work row by row, alone or as chains ------===//
//
// A row of [T, h, D] is h rows of D with one position. A chain of ops does all its steps on one of them before the
// next, so that what passes from step to step stays in the first cache or in registers.
//
//===----------------------------------------------------------------------===//
#include "core/compiler/codegen/Kernels.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

// A tensor of a step: its memory, and the place of the row being worked on in it.
struct Rows {
  Value memory;
  SmallVector<Val> prefix;
  int64_t width = 0;

  SmallVector<Val> at(Val column) const {
    SmallVector<Val> place = prefix;
    place.push_back(column);
    return place;
  }
};

// An op of the chain. `perRow` runs once for each t, `perHead` for each of its heads.
struct Step {
  std::string op;
  DictionaryAttr attributes;
  SmallVector<int64_t> tensors; // numbers of the kernel's; -1 - i is what step i left for another
};

class Chain {
public:
  Chain(Kernel &k) : k(k), c(k.c) {}

  LogicalResult run();

private:
  // What a step computes of the row at hand; a row's tables are made by the function that returns it.
  using Body = std::function<void(ArrayRef<Rows>)>;

  LogicalResult readSteps();
  LogicalResult check(const Step &step);
  Body prepare(const Step &step, Val t);
  Body prepareRope(const Step &step, Val t);
  void sinCos(Val angle, Val &sine, Val &cosine);
  void norm(const Rows &x, int64_t first, Value w, Value bias, double eps, const Rows &out);
  void hadamard(const Rows &x, const Rows &out);
  void quantize(const Rows &x, const Rows &out);

  double real(const Step &step, StringRef name) const {
    Attribute attr = step.attributes.get(name);
    if (auto number = dyn_cast_or_null<FloatAttr>(attr))
      return number.getValueAsDouble();
    auto number = dyn_cast_or_null<IntegerAttr>(attr);
    return number ? double(number.getInt()) : 0;
  }
  int64_t integer(const Step &step, StringRef name) const {
    auto truth = dyn_cast_or_null<BoolAttr>(step.attributes.get(name));
    return truth ? truth.getValue() : int64_t(real(step, name));
  }
  Value memory(const Step &step, size_t i) const { return k.tensor(step.tensors[i]); }
  int64_t width(const Step &step, size_t i) const {
    return step.tensors[i] < 0 ? widths[-1 - step.tensors[i]] : k.size(step.tensors[i], -1);
  }

  Kernel &k;
  CodeBuilder &c;
  SmallVector<Step> steps;
  SmallVector<int64_t> widths; // of what each step leaves, by its last result
};

LogicalResult Chain::readSteps() {
  auto list = k.request.attributes.getAs<ArrayAttr>("steps");
  if (!list) {
    Step &only = steps.emplace_back(Step{k.request.op, k.request.attributes, {}});
    llvm::append_range(only.tensors, llvm::seq<int64_t>(0, k.request.tensors.size()));
  } else {
    for (Attribute entry : list) {
      auto form = cast<DictionaryAttr>(entry);
      Step &step =
          steps.emplace_back(Step{form.getAs<StringAttr>("op").str(), form.getAs<DictionaryAttr>("attributes"), {}});
      llvm::append_range(step.tensors, form.getAs<DenseI64ArrayAttr>("tensors").asArrayRef());
    }
  }
  for (auto [i, step] : llvm::enumerate(steps)) {
    const int64_t last = step.tensors.back();
    int64_t wide = last >= 0 ? k.size(last, -1) : width(step, 0); // what stays inside has its input's form …
    if (step.op == "rope" && !integer(step, "keep") && last < 0)
      wide = integer(step, "dim"); // … but for a rope that drops the rest
    if ((step.op == "rms_norm" || step.op == "layer_norm") && last < 0)
      wide = width(step, 1);
    widths.push_back(wide);
  }
  return success();
}

LogicalResult Chain::check(const Step &step) {
  for (int64_t tensor : step.tensors) {
    if (tensor < 0)
      continue;
    for (int64_t d = 1; d < k.rank(tensor); ++d)
      if (k.size(tensor, d) <= 0)
        return k.error() << "tensor " << tensor << " has no fixed width";
  }
  if (step.op == "hadamard" && !llvm::isPowerOf2_64(width(step, 0)))
    return k.error() << "transforms " << width(step, 0) << " values; want a power of two";
  return success();
}

// x / rms · w, or with a bias (x - mean) / deviation · w + bias.
void Chain::norm(const Rows &x, int64_t first, Value w, Value bias, double eps, const Rows &out) {
  const int64_t width = out.width;
  auto value = [&](Val column, int64_t n) { return c.load(x.memory, x.at(first ? column + first : column), n); };
  Val mean;
  if (bias)
    mean = c.sumOver(width, [&](Val column, int64_t n) {
      Val v = value(column, n);
      return std::pair(v, c.number(1, v.type()));
    }) / double(width);
  auto centered = [&](Val column, int64_t n) { return bias ? value(column, n) - mean : value(column, n); };
  Val squares = c.sumOver(width, [&](Val column, int64_t n) {
    Val v = centered(column, n);
    return std::pair(v, v);
  });
  Val factor = 1.0 / sqrt(squares / double(width) + eps);
  c.eachVector(width, [&](Val column, int64_t n) {
    Val scaled = centered(column, n) * factor, weight = c.loadF32(w, {column}, n);
    c.store(bias ? fma(scaled, weight, c.loadF32(bias, {column}, n)) : scaled * weight, out.memory, out.at(column));
  });
}

// Orthonormal. Blocks of up to sixteen vectors are transformed in registers, wider strides in memory.
void Chain::hadamard(const Rows &x, const Rows &out) {
  const int64_t width = x.width, n = std::min(c.lanes(), width), block = std::min<int64_t>(width, 16 * n);
  const double factor = 1 / std::sqrt(double(width));
  c.inBlocks(width, {block}, [&](int64_t, Val first) {
    SmallVector<Val> v;
    for (int64_t i = 0; i < block; i += n)
      v.push_back(c.load(x.memory, x.at(first + i), n));
    for (int64_t stride = 1; stride < n; stride *= 2) {
      SmallVector<int64_t> partner;
      SmallVector<float> signs;
      for (int64_t i = 0; i < n; ++i) {
        partner.push_back(i ^ stride);
        signs.push_back(i & stride ? -1.0f : 1.0f);
      }
      auto type = c.vectorOf(c.getF32Type(), n);
      Val sign = c.val(arith::ConstantOp::create(c, DenseElementsAttr::get(type, ArrayRef<float>(signs))));
      for (Val &part : v)
        part = fma(part, sign, permute(part, part, partner));
    }
    for (size_t stride = 1; stride < v.size(); stride *= 2)
      for (size_t i = 0; i < v.size(); ++i)
        if (!(i & stride)) {
          Val a = v[i], b = v[i + stride];
          v[i] = a + b;
          v[i + stride] = a - b;
        }
    for (auto [i, part] : llvm::enumerate(v))
      c.store(part * factor, out.memory, out.at(first + int64_t(i) * n));
  });
  for (int64_t stride = block; stride < width; stride *= 2)
    c.loop(c.index(0), c.index(width), c.index(2 * stride), [&](Val i) {
      c.loop(i, i + stride, c.index(n), [&](Val j) {
        Val a = c.load(out.memory, out.at(j), n), b = c.load(out.memory, out.at(j + stride), n);
        c.store(a + b, out.memory, out.at(j));
        c.store(a - b, out.memory, out.at(j + stride));
      });
    });
}

void Chain::quantize(const Rows &x, const Rows &out) {
  c.eachRounded(
      x.width, [&](Val column, int64_t n) { return c.load(x.memory, x.at(column), n); },
      [&](Val column, int64_t, Val rounded) { c.store(rounded, out.memory, out.at(column)); });
}

// In float64, whose angles are right at any position: quarter turns taken off in two parts, then Taylor series.
void Chain::sinCos(Val angle, Val &sine, Val &cosine) {
  Type i64 = c.getI64Type(), f32 = c.getF32Type();
  auto like = [&](double value) { return c.number(value, angle.type()); };
  const double shift = 6755399441055744.0; // 1.5 * 2^52: adding it rounds to an integer
  Val shifted = fma(angle, like(0.63661977236758134308), like(shift)), turns = shifted - shift;
  Val r = fma(turns, like(-1.57079632679489655800), angle);
  r = fma(turns, like(-6.12323399573676603587e-17), r);
  Val square = r * r, odd = like(1.0 / 6227020800), even = like(1.0 / 479001600);
  for (double coefficient : {-1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120, -1.0 / 6})
    odd = fma(odd, square, like(coefficient));
  for (double coefficient : {-1.0 / 3628800, 1.0 / 40320, -1.0 / 720, 1.0 / 24, -0.5, 1.0})
    even = fma(even, square, like(coefficient));
  odd = fma(odd * square, r, r);
  Val quarter = bits(shifted, i64); // its low bits count quarter turns
  Val swapped = (quarter & 1) == 1, negative = (quarter & 2) == 2, negativeCosine = ((quarter + 1) & 2) == 2;
  Val s = select(swapped, even, odd), k = select(swapped, odd, even);
  sine = convert(select(negative, -s, s), f32);
  cosine = convert(select(negativeCosine, -k, k), f32);
}

Chain::Body Chain::prepareRope(const Step &step, Val t) {
  const int64_t dim = integer(step, "dim"), first = integer(step, "first"), pairs = dim / 2;
  const bool keep = integer(step, "keep"), half = step.attributes.getAs<StringAttr>("pairs").getValue() == "half";
  // Cosines and sines by pair; or, for neighbours, by value: (c, c) and (-s, s).
  const int64_t wide = half ? pairs : dim;
  Value cosines = c.stack({wide}, c.getF32Type()), sines = c.stack({wide}, c.getF32Type());
  Type f64 = c.getF64Type();
  Val position = convert(c.load(memory(step, 1), {t}), f64);
  c.eachVector(pairs, [&](Val pair, int64_t n) {
    Val sine, cosine;
    sinCos(convert(c.load(memory(step, 2), {pair}, n), f64) * position, sine, cosine);
    if (half) {
      c.store(cosine, cosines, {pair});
      c.store(sine, sines, {pair});
      return;
    }
    SmallVector<int64_t> twice, both;
    for (int64_t i = 0; i < n; ++i) {
      twice.append({i, i});
      both.append({i, n + i});
    }
    c.store(permute(cosine, cosine, twice), cosines, {pair * 2});
    c.store(permute(-sine, sine, both), sines, {pair * 2});
  });
  return [=, this](ArrayRef<Rows> rows) {
    const Rows &x = rows[0], &out = rows[3];
    const int64_t start = keep ? first : 0;
    if (keep) {
      auto copy = [&](int64_t from, int64_t count) {
        c.eachVector(count, [&](Val column, int64_t n) {
          c.store(c.load(x.memory, x.at(column + from), n), out.memory, out.at(column + from));
        });
      };
      copy(0, first);
      copy(first + dim, x.width - first - dim);
    }
    if (half) {
      c.eachVector(pairs, [&](Val i, int64_t n) {
        Val a = c.load(x.memory, x.at(i + first), n), b = c.load(x.memory, x.at(i + (first + pairs)), n);
        Val cosine = c.load(cosines, {i}, n), sine = c.load(sines, {i}, n);
        c.store(fma(a, cosine, -(b * sine)), out.memory, out.at(i + start));
        c.store(fma(a, sine, b * cosine), out.memory, out.at(i + (start + pairs)));
      });
      return;
    }
    c.eachVector(dim, [&](Val i, int64_t n) {
      SmallVector<int64_t> neighbour;
      for (int64_t j = 0; j < n; ++j)
        neighbour.push_back(j ^ 1);
      Val v = c.load(x.memory, x.at(i + first), n);
      c.store(fma(permute(v, v, neighbour), c.load(sines, {i}, n), v * c.load(cosines, {i}, n)), out.memory,
              out.at(i + start));
    });
  };
}

Chain::Body Chain::prepare(const Step &step, Val t) {
  if (step.op == "rope")
    return prepareRope(step, t);
  if (step.op == "add")
    return [this](ArrayRef<Rows> rows) {
      c.eachVector(rows[2].width, [&](Val column, int64_t n) {
        c.store(c.load(rows[0].memory, rows[0].at(column), n) + c.load(rows[1].memory, rows[1].at(column), n),
                rows[2].memory, rows[2].at(column));
      });
    };
  if (step.op == "rms_norm")
    return [&, this](ArrayRef<Rows> rows) {
      norm(rows[0], integer(step, "first"), memory(step, 1), Value(), real(step, "eps"), rows[2]);
    };
  if (step.op == "layer_norm")
    return [&, this](ArrayRef<Rows> rows) {
      norm(rows[0], 0, memory(step, 1), memory(step, 2), real(step, "eps"), rows[3]);
    };
  if (step.op == "add_rms_norm")
    return [&, this](ArrayRef<Rows> rows) {
      c.eachVector(rows[3].width, [&](Val column, int64_t n) {
        c.store(c.load(rows[0].memory, rows[0].at(column), n) + c.load(rows[1].memory, rows[1].at(column), n),
                rows[3].memory, rows[3].at(column));
      });
      norm(rows[3], 0, memory(step, 2), Value(), real(step, "eps"), rows[4]);
    };
  if (step.op == "hadamard")
    return [this](ArrayRef<Rows> rows) { hadamard(rows[0], rows[1]); };
  return [this](ArrayRef<Rows> rows) { quantize(rows[0], rows[1]); };
}

LogicalResult Chain::run() {
  if (failed(readSteps()))
    return failure();
  for (const Step &step : steps)
    if (failed(check(step)))
      return failure();
  // The first tensor of the first step has the rows; its middle dimension the heads.
  const int64_t heads = k.rank(0) == 3 ? k.size(0, 1) : 1;
  SmallVector<Value> between;
  for (auto [i, step] : llvm::enumerate(steps))
    between.push_back(step.tensors.back() < 0 ? c.stack({widths[i]}, c.getF32Type()) : Value());
  k.forItems({{0, 0}}, [&](ArrayRef<Val> place) {
    SmallVector<Body> bodies;
    for (const Step &step : steps)
      bodies.push_back(prepare(step, place[0]));
    auto doHead = [&](Val head) {
      for (auto [step, body] : llvm::zip(steps, bodies)) {
        SmallVector<Rows> rows;
        for (auto [i, tensor] : llvm::enumerate(step.tensors)) {
          Rows row{tensor < 0 ? between[-1 - tensor] : k.tensor(tensor), {}, width(step, i)};
          if (tensor >= 0 && k.rank(tensor) > 1)
            row.prefix.push_back(place[0]);
          if (tensor >= 0 && k.rank(tensor) == 3)
            row.prefix.push_back(head);
          rows.push_back(row);
        }
        body(rows);
      }
    };
    heads == 1 ? doHead(c.index(0)) : c.loop(heads, doHead);
  });
  return success();
}

} // namespace

LogicalResult writeRows(Kernel &k) { return Chain(k).run(); }

} // namespace modelc::codegen
