//===- CodeBuilder.h - writing vector code as expressions -------*- C++ -*-===//
//
// What the kernels of this folder are written with: scalars and vectors with the operators of C++, loops that take
// their bodies as lambdas, conversions of the number formats. Every call appends ops of arith, math, vector, memref and
// scf.
//
//===----------------------------------------------------------------------===//
#ifndef MODELC_CORE_COMPILER_CODEGEN_CODEBUILDER_H
#define MODELC_CORE_COMPILER_CODEGEN_CODEBUILDER_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/TypeUtilities.h"

namespace modelc::codegen {

class CodeBuilder;

/// A scalar or vector. Where one side of an operator is a vector the other is splat; a number takes the other's type.
/// Integers are signed but for `>>`.
class Val {
public:
  Val() = default;
  Val(CodeBuilder &builder, mlir::Value value) : builder(&builder), value(value) {}

  mlir::Value get() const { return value; }
  operator mlir::Value() const { return value; }
  mlir::Type type() const { return value.getType(); }
  mlir::Type element() const { return mlir::getElementTypeOrSelf(value.getType()); }
  /// Elements of a vector; 0 for a scalar.
  int64_t lanes() const {
    auto vector = llvm::dyn_cast<mlir::VectorType>(value.getType());
    return vector ? vector.getNumElements() : 0;
  }
  CodeBuilder &code() const { return *builder; }

private:
  CodeBuilder *builder = nullptr;
  mlir::Value value;
};

Val operator+(Val a, Val b);
Val operator-(Val a, Val b);
Val operator*(Val a, Val b);
Val operator/(Val a, Val b); // of index values: rounds towards zero
Val operator%(Val a, Val b);
Val operator&(Val a, Val b);
Val operator|(Val a, Val b);
Val operator^(Val a, Val b);
Val operator<<(Val a, Val b);
Val operator>>(Val a, Val b); // zeros come in
Val operator-(Val a);
// Ordered: false where a NaN is compared.
Val operator<(Val a, Val b);
Val operator<=(Val a, Val b);
Val operator>(Val a, Val b);
Val operator>=(Val a, Val b);
Val operator==(Val a, Val b);
Val operator!=(Val a, Val b); // of floats: true where a NaN is compared

/// i32 vectors whose elements hold two i16 each: c plus the sum of their products. Processors with an instruction for
/// it (pmaddwd) get it.
Val addPairProducts(Val a, Val b, Val c);
/// i32 vectors of sixteen that hold four bytes each, of `a` without a sign, of `b` with one: c plus the sum of their
/// products (vpdpbusd). Where the target hasDotBytes().
Val dotBytes(Val a, Val b, Val c);
Val fma(Val a, Val b, Val c); // a * b + c; in one rounding where the target has it
Val select(Val condition, Val a, Val b);
Val select(Val condition, Val a, double b);
Val max(Val a, Val b); // b where a is NaN, so that a running maximum passes NaN by
Val min(Val a, Val b);
Val abs(Val a);
Val sqrt(Val a);
/// e^a within 2 ulp; 0 below -87, infinity above 88.7; NaN stays.
Val exp(Val a);
/// Sum over lanes, in a tree.
Val sumLanes(Val a);
Val maxLanes(Val a); // of integers and of floats without NaN
/// The elements where `mask` holds, moved to the front; what stands behind them is undefined. Processors with an
/// instruction for it (vpcompressd) get it.
Val compress(Val a, Val mask);
/// How many lanes of a mask hold, as an index.
Val countLanes(Val mask);
Val anyLane(Val mask);
Val allLanes(Val mask);
Val lane(Val a, int64_t i);
Val permute(Val a, Val b, llvm::ArrayRef<int64_t> from);
/// The same bits as another type of the same element width, or vectors of the same size in bytes.
Val bits(Val a, mlir::Type element);
/// Integers of another width, with the sign; indices; floats to and from integers (towards zero) or other floats.
Val convert(Val a, mlir::Type element);
Val extendUnsigned(Val a, mlir::Type element);

class CodeBuilder : public mlir::ImplicitLocOpBuilder {
public:
  /// What the target has.
  struct Registers {
    int64_t lanes;  // float32 values in one
    bool fma;       // multiplies and adds in one rounding
    bool dotBytes;  // dotBytes()
  };
  CodeBuilder(mlir::Location loc, mlir::OpBuilder &builder, Registers registers)
      : ImplicitLocOpBuilder(loc, builder), registers(registers) {}

  int64_t lanes() const { return registers.lanes; }
  bool hasFma() const { return registers.fma; }
  /// Whether `compress` is an instruction: of x86-64, where registers have 64 bytes.
  bool hasCompress() const { return registers.lanes >= 16; }
  bool hasDotBytes() const { return registers.dotBytes; }

  Val val(mlir::Value value) { return Val(*this, value); }
  Val number(double value, mlir::Type type); // splat where the type is a vector
  Val f32(double value) { return number(value, getF32Type()); }
  Val i32(int64_t value) { return number(value, getI32Type()); }
  Val index(int64_t value) { return number(value, getIndexType()); }
  Val splat(Val scalar, int64_t n);
  Val counting(int64_t n); // 0 … n-1, i32
  mlir::VectorType vectorOf(mlir::Type element, int64_t n) { return mlir::VectorType::get({n}, element); }

  /// Memory is row-major and dense. A vector is n neighbours from the place on.
  using Place = llvm::ArrayRef<Val>;
  Val load(mlir::Value memory, Place place);
  Val load(mlir::Value memory, Place place, int64_t n);
  void store(Val value, mlir::Value memory, Place place);
  /// n values of another element type from bytes (memref of i8) on; n = 0 gives a scalar.
  Val loadBytes(mlir::Value bytes, Place place, mlir::Type element, int64_t n);
  void storeBytes(Val value, mlir::Value bytes, Place place);
  Val dim(mlir::Value memory, int64_t d);
  /// A small array on the stack; made at the function's start, so it is one whatever loop asks.
  mlir::Value stack(llvm::ArrayRef<int64_t> shape, mlir::Type element);

  /// for (i = from; i < to; i += step)
  void loop(Val from, Val to, Val step, llvm::function_ref<void(Val)> body);
  void loop(int64_t to, llvm::function_ref<void(Val)> body) { loop(index(0), index(to), index(1), body); }
  void loop(Val to, llvm::function_ref<void(Val)> body) { loop(index(0), to, index(1), body); }
  /// The same with values carried from one turn to the next; gives what the last turn leaves.
  using Vals = llvm::SmallVector<Val>;
  Vals loop(Val from, Val to, Val step, llvm::ArrayRef<Val> init,
            llvm::function_ref<Vals(Val i, llvm::ArrayRef<Val> carried)> body);
  /// Goes on while `condition` of the carried values holds.
  Vals loopWhile(llvm::ArrayRef<Val> init, llvm::function_ref<Val(llvm::ArrayRef<Val>)> condition,
                 llvm::function_ref<Vals(llvm::ArrayRef<Val>)> body);
  void ifThen(Val condition, llvm::function_ref<void()> then);
  /// Both branches give values of these types.
  Vals ifElse(Val condition, mlir::TypeRange types, llvm::function_ref<Vals()> then,
              llvm::function_ref<Vals()> otherwise);

  /// Calls body(column, n) for a row of `width`: a loop over whole vectors, then what is left as one shorter vector.
  void eachVector(int64_t width, llvm::function_ref<void(Val column, int64_t n)> body);
  /// Σ a·b over a row of `width`, (a, b) = product(column, n); in four partial sums.
  Val sumOver(int64_t width, llvm::function_ref<std::pair<Val, Val>(Val column, int64_t n)> product);
  /// The largest of a row of `width`, at least `least`; NaN is passed by.
  Val maxOver(int64_t width, double least, llvm::function_ref<Val(Val column, int64_t n)> value);
  /// Calls body(block, first) for 0 … n-1 in blocks of the given sizes, largest first, each a loop of as many as fit.
  void inBlocks(int64_t n, llvm::ArrayRef<int64_t> sizes, llvm::function_ref<void(int64_t block, Val first)> body);

  // Number formats. Vectors of the storage type (i8, i16) to f32 and back.
  Val fromBf16(Val bits16);
  Val toBf16(Val value);
  Val fromE4M3(Val bits8);
  /// The same of values that are no NaN, times `factor`; wrong where the factor is above 2^119.
  Val fromE4M3(Val bits8, Val factor);
  /// True when there is a NaN among n e4m3 values at a place of bytes: so rare that it is worth asking first.
  Val anyE4M3NaN(mlir::Value bytes, Val row, Val byte, int64_t n);
  Val toE4M3(Val value); // |value| <= 448 or NaN; to nearest, ties to even
  /// The value of toE4M3, as f32.
  Val roundE4M3(Val value);
  Val clamp448(Val value);
  /// 2^ceil(log2(max(amax, 1e-4) / 448)) of a largest magnitude; infinity gives 2^127.
  Val powerOfTwoScale(Val amax);
  /// Rounds a row of `width` through e4m3 in groups of 128, each with a scale of its own: put(column, n, rounded).
  void eachRounded(int64_t width, llvm::function_ref<Val(Val column, int64_t n)> value,
                   llvm::function_ref<void(Val column, int64_t n, Val rounded)> put);
  /// Rounds a row of `width` to int8 with one scale, as pages of i8 hold it: put(column, n, i8 values). Gives the
  /// scale, which is NaN, and zeros for values, where one is not finite.
  Val eachRoundedInt8(int64_t width, llvm::function_ref<Val(Val column, int64_t n)> value,
                      llvm::function_ref<void(Val column, int64_t n, Val rounded)> put);
  /// Any float-like row as f32: loads one or n values of f32, or of bf16 stored as such.
  Val loadF32(mlir::Value memory, Place place);
  Val loadF32(mlir::Value memory, Place place, int64_t n);
  /// Orders floats as i32: greater float, greater key; -0 as 0; NaN below all, and above `noKey`.
  Val sortKey(Val value);
  static constexpr int64_t noKey = INT32_MIN;

private:
  Registers registers;
};

#define MODELC_WITH_NUMBER(op)                                                                                         \
  inline Val operator op(Val a, double b) { return a op a.code().number(b, a.type()); }                                \
  inline Val operator op(double a, Val b) { return b.code().number(a, b.type()) op b; }
MODELC_WITH_NUMBER(+)
MODELC_WITH_NUMBER(-)
MODELC_WITH_NUMBER(*)
MODELC_WITH_NUMBER(/)
MODELC_WITH_NUMBER(%)
MODELC_WITH_NUMBER(&)
MODELC_WITH_NUMBER(|)
MODELC_WITH_NUMBER(^)
MODELC_WITH_NUMBER(<<)
MODELC_WITH_NUMBER(>>)
MODELC_WITH_NUMBER(<)
MODELC_WITH_NUMBER(<=)
MODELC_WITH_NUMBER(>)
MODELC_WITH_NUMBER(>=)
MODELC_WITH_NUMBER(==)
MODELC_WITH_NUMBER(!=)
#undef MODELC_WITH_NUMBER

} // namespace modelc::codegen

#endif // MODELC_CORE_COMPILER_CODEGEN_CODEBUILDER_H
