//===- CodeBuilder.cpp - expressions, memory and loops --------------------===//
#include "core/compiler/codegen/CodeBuilder.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

Type withElement(Val like, Type element) {
  return like.lanes() ? Type(VectorType::get({like.lanes()}, element)) : element;
}

// Both sides as vectors when one is.
void alike(Val &a, Val &b) {
  if (a.lanes() && !b.lanes())
    b = a.code().splat(b, a.lanes());
  else if (b.lanes() && !a.lanes())
    a = a.code().splat(a, b.lanes());
}

template <typename FloatOp, typename IntOp> Val binary(Val a, Val b) {
  alike(a, b);
  CodeBuilder &c = a.code();
  if (isa<FloatType>(a.element()))
    return c.val(FloatOp::create(c, a.get(), b.get()));
  return c.val(IntOp::create(c, a.get(), b.get()));
}

template <typename IntOp> Val integers(Val a, Val b) {
  alike(a, b);
  return a.code().val(IntOp::create(a.code(), a.get(), b.get()));
}

Val compare(Val a, Val b, arith::CmpFPredicate floats, arith::CmpIPredicate ints) {
  alike(a, b);
  CodeBuilder &c = a.code();
  if (isa<FloatType>(a.element()))
    return c.val(arith::CmpFOp::create(c, floats, a.get(), b.get()));
  return c.val(arith::CmpIOp::create(c, ints, a.get(), b.get()));
}

SmallVector<Value> values(ArrayRef<Val> vals) {
  return llvm::map_to_vector(vals, [](Val v) { return v.get(); });
}

} // namespace

Val operator+(Val a, Val b) { return binary<arith::AddFOp, arith::AddIOp>(a, b); }
Val operator-(Val a, Val b) { return binary<arith::SubFOp, arith::SubIOp>(a, b); }
Val operator*(Val a, Val b) { return binary<arith::MulFOp, arith::MulIOp>(a, b); }
Val operator/(Val a, Val b) { return binary<arith::DivFOp, arith::DivSIOp>(a, b); }
Val operator%(Val a, Val b) { return integers<arith::RemSIOp>(a, b); }
Val operator&(Val a, Val b) { return integers<arith::AndIOp>(a, b); }
Val operator|(Val a, Val b) { return integers<arith::OrIOp>(a, b); }
Val operator^(Val a, Val b) { return integers<arith::XOrIOp>(a, b); }
Val operator<<(Val a, Val b) { return integers<arith::ShLIOp>(a, b); }
Val operator>>(Val a, Val b) { return integers<arith::ShRUIOp>(a, b); }
Val operator-(Val a) { return a.code().val(arith::NegFOp::create(a.code(), a.get())); }
Val operator<(Val a, Val b) { return compare(a, b, arith::CmpFPredicate::OLT, arith::CmpIPredicate::slt); }
Val operator<=(Val a, Val b) { return compare(a, b, arith::CmpFPredicate::OLE, arith::CmpIPredicate::sle); }
Val operator>(Val a, Val b) { return compare(a, b, arith::CmpFPredicate::OGT, arith::CmpIPredicate::sgt); }
Val operator>=(Val a, Val b) { return compare(a, b, arith::CmpFPredicate::OGE, arith::CmpIPredicate::sge); }
Val operator==(Val a, Val b) { return compare(a, b, arith::CmpFPredicate::OEQ, arith::CmpIPredicate::eq); }
Val operator!=(Val a, Val b) { return compare(a, b, arith::CmpFPredicate::UNE, arith::CmpIPredicate::ne); }

Val fma(Val a, Val b, Val c) {
  if (!a.code().hasFma())
    return a * b + c;
  alike(a, b);
  alike(a, c);
  alike(b, c);
  return a.code().val(math::FmaOp::create(a.code(), a.get(), b.get(), c.get()));
}

Val select(Val condition, Val a, Val b) {
  alike(a, b);
  if (condition.lanes() && !a.lanes()) {
    a = a.code().splat(a, condition.lanes());
    b = b.code().splat(b, condition.lanes());
  }
  return a.code().val(arith::SelectOp::create(a.code(), condition.get(), a.get(), b.get()));
}
Val select(Val condition, Val a, double b) { return select(condition, a, a.code().number(b, a.type())); }

Val max(Val a, Val b) { return select(a > b, a, b); }
Val min(Val a, Val b) { return select(a < b, a, b); }
Val abs(Val a) { return a.code().val(math::AbsFOp::create(a.code(), a.get())); }
Val sqrt(Val a) { return a.code().val(math::SqrtOp::create(a.code(), a.get())); }

Val sumLanes(Val a) {
  const auto tree = isa<FloatType>(a.element()) ? arith::FastMathFlags::reassoc : arith::FastMathFlags::none;
  return a.code().val(vector::ReductionOp::create(a.code(), vector::CombiningKind::ADD, a.get(), tree));
}

Val maxLanes(Val a) {
  const auto kind = isa<FloatType>(a.element()) ? vector::CombiningKind::MAXNUMF : vector::CombiningKind::MAXSI;
  const auto flags = isa<FloatType>(a.element()) ? arith::FastMathFlags::nnan : arith::FastMathFlags::none;
  return a.code().val(vector::ReductionOp::create(a.code(), kind, a.get(), flags));
}

Val compress(Val a, Val mask) {
  CodeBuilder &code = a.code();
  Value rest = LLVM::PoisonOp::create(code, a.type());
  return code.val(LLVM::CallIntrinsicOp::create(code, a.type(), code.getStringAttr("llvm.experimental.vector.compress"),
                                                ValueRange{a.get(), mask.get(), rest})
                      .getResult(0));
}

Val countLanes(Val mask) {
  CodeBuilder &code = mask.code();
  Val word = lane(bits(mask, code.getIntegerType(mask.lanes())), 0);
  return code.val(arith::IndexCastUIOp::create(code, code.getIndexType(), math::CtPopOp::create(code, word.get())));
}

Val anyLane(Val mask) {
  return mask.code().val(vector::ReductionOp::create(mask.code(), vector::CombiningKind::OR, mask.get()));
}

Val allLanes(Val mask) {
  return mask.code().val(vector::ReductionOp::create(mask.code(), vector::CombiningKind::AND, mask.get()));
}

Val lane(Val a, int64_t i) { return a.code().val(vector::ExtractOp::create(a.code(), a.get(), i)); }

Val permute(Val a, Val b, ArrayRef<int64_t> from) {
  return a.code().val(vector::ShuffleOp::create(a.code(), a.get(), b.get(), from));
}

Val bits(Val a, Type element) {
  CodeBuilder &c = a.code();
  if (!a.lanes())
    return c.val(arith::BitcastOp::create(c, element, a.get()));
  const int64_t n = a.lanes() * a.element().getIntOrFloatBitWidth() / element.getIntOrFloatBitWidth();
  return c.val(vector::BitCastOp::create(c, c.vectorOf(element, n), a.get()));
}

Val convert(Val a, Type to) {
  CodeBuilder &c = a.code();
  Type from = a.element(), type = withElement(a, to);
  if (from == to)
    return a;
  if (isa<IndexType>(from) || isa<IndexType>(to))
    return c.val(arith::IndexCastOp::create(c, type, a.get()));
  if (isa<FloatType>(from) && isa<FloatType>(to))
    return from.getIntOrFloatBitWidth() < to.getIntOrFloatBitWidth() ? c.val(arith::ExtFOp::create(c, type, a.get()))
                                                                     : c.val(arith::TruncFOp::create(c, type, a.get()));
  if (isa<FloatType>(from))
    return c.val(arith::FPToSIOp::create(c, type, a.get()));
  if (isa<FloatType>(to))
    return c.val(arith::SIToFPOp::create(c, type, a.get()));
  return from.getIntOrFloatBitWidth() < to.getIntOrFloatBitWidth() ? c.val(arith::ExtSIOp::create(c, type, a.get()))
                                                                   : c.val(arith::TruncIOp::create(c, type, a.get()));
}

Val extendUnsigned(Val a, Type to) {
  return a.code().val(arith::ExtUIOp::create(a.code(), withElement(a, to), a.get()));
}

Val CodeBuilder::number(double value, Type type) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr scalar = isa<FloatType>(element) ? TypedAttr(FloatAttr::get(element, value))
                                             : TypedAttr(IntegerAttr::get(element, int64_t(value)));
  if (auto vector = dyn_cast<VectorType>(type))
    return val(arith::ConstantOp::create(*this, DenseElementsAttr::get(vector, scalar)));
  return val(arith::ConstantOp::create(*this, scalar));
}

Val CodeBuilder::splat(Val scalar, int64_t n) {
  return val(vector::BroadcastOp::create(*this, vectorOf(scalar.type(), n), scalar.get()));
}

Val CodeBuilder::counting(int64_t n) {
  SmallVector<int32_t> numbers;
  for (int64_t i = 0; i < n; ++i)
    numbers.push_back(i);
  return val(
      arith::ConstantOp::create(*this, DenseElementsAttr::get(vectorOf(getI32Type(), n), ArrayRef<int32_t>(numbers))));
}

Val CodeBuilder::load(Value memory, Place place) { return val(memref::LoadOp::create(*this, memory, values(place))); }

Val CodeBuilder::load(Value memory, Place place, int64_t n) {
  Type element = cast<MemRefType>(memory.getType()).getElementType();
  return val(vector::LoadOp::create(*this, vectorOf(element, n), memory, values(place)));
}

void CodeBuilder::store(Val value, Value memory, Place place) {
  if (value.lanes())
    vector::StoreOp::create(*this, value.get(), memory, values(place));
  else
    memref::StoreOp::create(*this, value.get(), memory, values(place));
}

Val CodeBuilder::loadBytes(Value bytes, Place place, Type element, int64_t n) {
  const int64_t count = std::max<int64_t>(n, 1);
  Val loaded = load(bytes, place, count * element.getIntOrFloatBitWidth() / 8);
  loaded = element.isInteger(8) ? loaded : bits(loaded, element);
  return n ? loaded : lane(loaded, 0);
}

void CodeBuilder::storeBytes(Val value, Value bytes, Place place) {
  Val vector = value.lanes() ? value : splat(value, 1);
  store(codegen::bits(vector, getI8Type()), bytes, place);
}

Val CodeBuilder::dim(Value memory, int64_t d) {
  auto type = cast<MemRefType>(memory.getType());
  return type.isDynamicDim(d) ? val(memref::DimOp::create(*this, memory, d)) : index(type.getDimSize(d));
}

Value CodeBuilder::stack(ArrayRef<int64_t> shape, Type element) {
  OpBuilder::InsertionGuard guard(*this);
  auto function = getInsertionBlock()->getParentOp();
  while (!isa<func::FuncOp>(function))
    function = function->getParentOp();
  setInsertionPointToStart(&cast<func::FuncOp>(function).getBody().front());
  return memref::AllocaOp::create(*this, MemRefType::get(shape, element), getI64IntegerAttr(64));
}

void CodeBuilder::loop(Val from, Val to, Val step, function_ref<void(Val)> body) {
  loop(from, to, step, {}, [&](Val i, ArrayRef<Val>) {
    body(i);
    return Vals();
  });
}

CodeBuilder::Vals CodeBuilder::loop(Val from, Val to, Val step, ArrayRef<Val> init,
                                    function_ref<Vals(Val, ArrayRef<Val>)> body) {
  auto op = scf::ForOp::create(*this, from.get(), to.get(), step.get(), values(init));
  OpBuilder::InsertionGuard guard(*this);
  // Without carried values the op comes with its terminator.
  if (init.empty())
    setInsertionPoint(op.getBody()->getTerminator());
  else
    setInsertionPointToEnd(op.getBody());
  Vals carried = llvm::map_to_vector(op.getRegionIterArgs(), [&](Value v) { return val(v); });
  Vals next = body(val(op.getInductionVar()), carried);
  if (!init.empty())
    scf::YieldOp::create(*this, values(next));
  return llvm::map_to_vector(op.getResults(), [&](Value v) { return val(v); });
}

CodeBuilder::Vals CodeBuilder::loopWhile(ArrayRef<Val> init, function_ref<Val(ArrayRef<Val>)> condition,
                                         function_ref<Vals(ArrayRef<Val>)> body) {
  SmallVector<Value> start = values(init);
  auto op = scf::WhileOp::create(*this, ValueRange(start).getTypes(), start);
  OpBuilder::InsertionGuard guard(*this);
  auto enter = [&](Region &region) {
    Block *block = createBlock(&region);
    for (Value v : start)
      block->addArgument(v.getType(), getLoc());
    return llvm::map_to_vector(block->getArguments(), [&](Value v) { return val(v); });
  };
  Vals before = enter(op.getBefore());
  scf::ConditionOp::create(*this, condition(before).get(), values(before));
  Vals after = enter(op.getAfter());
  scf::YieldOp::create(*this, values(body(after)));
  return llvm::map_to_vector(op.getResults(), [&](Value v) { return val(v); });
}

void CodeBuilder::ifThen(Val condition, function_ref<void()> then) {
  auto op = scf::IfOp::create(*this, condition.get(), /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPoint(op.thenBlock()->getTerminator());
  then();
}

CodeBuilder::Vals CodeBuilder::ifElse(Val condition, TypeRange types, function_ref<Vals()> then,
                                      function_ref<Vals()> otherwise) {
  auto op = scf::IfOp::create(*this, types, condition.get(), /*addThenBlock=*/true, /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToEnd(op.thenBlock());
  scf::YieldOp::create(*this, values(then()));
  setInsertionPointToEnd(op.elseBlock());
  scf::YieldOp::create(*this, values(otherwise()));
  return llvm::map_to_vector(op.getResults(), [&](Value v) { return val(v); });
}

void CodeBuilder::eachVector(int64_t width, function_ref<void(Val, int64_t)> body) {
  const int64_t whole = width / lanes() * lanes();
  if (whole == lanes())
    body(index(0), lanes());
  else if (whole)
    loop(index(0), index(whole), index(lanes()), [&](Val column) { body(column, lanes()); });
  if (width > whole)
    body(index(whole), width - whole);
}

Val CodeBuilder::sumOver(int64_t width, function_ref<std::pair<Val, Val>(Val, int64_t)> product) {
  constexpr int64_t kSums = 4;
  const int64_t n = lanes(), fours = width / (kSums * n) * kSums * n, whole = width / n * n;
  auto add = [&](Val column, Val sum) {
    auto [a, b] = product(column, n);
    return fma(a, b, sum);
  };
  Vals sums(kSums, number(0, vectorOf(getF32Type(), n)));
  if (fours)
    sums = loop(index(0), index(fours), index(kSums * n), sums, [&](Val column, ArrayRef<Val> before) {
      Vals after;
      for (int64_t j = 0; j < kSums; ++j)
        after.push_back(add(column + index(j * n), before[j]));
      return after;
    });
  for (int64_t column = fours; column < whole; column += n)
    sums[0] = add(index(column), sums[0]);
  Val total = sumLanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
  if (width > whole) {
    auto [a, b] = product(index(whole), width - whole);
    total = total + sumLanes(a * b);
  }
  return total;
}

Val CodeBuilder::maxOver(int64_t width, double least, function_ref<Val(Val, int64_t)> value) {
  const int64_t n = lanes(), whole = width / n * n;
  Val largest = f32(least);
  if (whole) {
    Val start = number(least, vectorOf(getF32Type(), n));
    Val most = loop(index(0), index(whole), index(n), {start}, [&](Val column, ArrayRef<Val> before) {
      return Vals{codegen::max(value(column, n), before[0])};
    })[0];
    largest = maxLanes(most);
  }
  if (width > whole) {
    Val rest = value(index(whole), width - whole);
    largest = codegen::max(largest, maxLanes(codegen::max(rest, number(least, rest.type()))));
  }
  return largest;
}

void CodeBuilder::inBlocks(int64_t n, ArrayRef<int64_t> sizes, function_ref<void(int64_t, Val)> body) {
  int64_t first = 0;
  for (int64_t size : sizes) {
    const int64_t count = (n - first) / size;
    if (count == 1)
      body(size, index(first));
    else if (count > 1)
      loop(index(first), index(first + count * size), index(size), [&](Val i) { body(size, i); });
    first += count * size;
  }
}

} // namespace modelc::codegen
