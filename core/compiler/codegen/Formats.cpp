//===- Formats.cpp - exponentials and number formats on vectors -----------===//
#include "core/compiler/codegen/CodeBuilder.h"

using namespace mlir;

namespace modelc::codegen {

// 2^n by the exponent's bits, r in [-ln 2 / 2, ln 2 / 2] by a polynomial (Cephes expf).
Val exp(Val v) {
  CodeBuilder &c = v.code();
  Type i32 = c.getI32Type(), f32 = c.getF32Type();
  Val x = select(v < -87.0, c.number(-87.0, v.type()), v);
  x = select(x > 88.7, c.number(88.7, v.type()), x);
  const double shift = 12582912.0; // 1.5 * 2^23: adding it rounds to an integer
  auto like = [&](double value) { return c.number(value, v.type()); };
  Val n = fma(x, like(1.44269504), like(shift)) - shift;
  Val r = fma(n, like(-0.693359375), x);
  r = fma(n, like(2.12194440e-4), r);
  Val p = like(1.9875691500e-4);
  for (double coefficient : {1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1})
    p = fma(p, r, like(coefficient));
  p = fma(p, r * r, r) + 1.0;
  // In two factors, so that n = 128 does not overflow the exponent before the product does.
  Val exponent = convert(select(n == n, n, 0.0), i32);
  Val half = c.val(arith::ShRSIOp::create(c, exponent.get(), c.number(1, exponent.type()).get()));
  p = p * bits((half + 127) << 23, f32) * bits((exponent - half + 127) << 23, f32);
  p = select(v > 88.7228, like(__builtin_inf()), p);
  return select(v < -87.0, like(0.0), p);
}

Val CodeBuilder::fromBf16(Val bits16) { return bits(extendUnsigned(bits16, getI32Type()) << 16, getF32Type()); }

Val CodeBuilder::toBf16(Val value) {
  Val word = bits(value, getI32Type());
  Val rounded = (word + 0x7fff + ((word >> 16) & 1)) >> 16;
  Val nan = (word >> 16) | 0x40;
  return convert(select(value == value, rounded, nan), getIntegerType(16));
}

namespace {

// Sign-extended, a byte has its sign wherever a wider format wants it; the bits between are cleared. A half of the same
// bits is 2^8 times smaller, and conversions of halves know subnormals; without them a float is 2^120 times smaller.
// Gives the small value and how many times it is too small.
std::pair<Val, double> smallE4M3(Val bits8) {
  CodeBuilder &c = bits8.code();
  if (c.hasFma()) {
    Val word = (convert(bits8, c.getIntegerType(16)) << 7) & int64_t(int16_t(0xbf80));
    return {convert(bits(word, c.getF16Type()), c.getF32Type()), 256.0};
  }
  Val word = (convert(bits8, c.getI32Type()) << 20) & int64_t(int32_t(0x87f00000));
  return {bits(word, c.getF32Type()), 0x1p120};
}

} // namespace

Val CodeBuilder::fromE4M3(Val bits8) {
  auto [small, times] = smallE4M3(bits8);
  Val value = small * times;
  return select((bits8 & 0x7f) == 0x7f, number(__builtin_nan(""), value.type()), value);
}

Val CodeBuilder::fromE4M3(Val bits8, Val factor) {
  auto [small, times] = smallE4M3(bits8);
  // One factor for both is exact where neither leaves float's range.
  return hasFma() ? small * (factor * times) : small * times * factor;
}

Val CodeBuilder::anyE4M3NaN(Value bytes, Val row, Val byte, int64_t n) {
  constexpr int64_t kBytes = 32;
  const int64_t whole = n / kBytes * kBytes;
  auto nan = [&](Val at, int64_t count) { return (load(bytes, {row, at}, count) & 0x7f) == 0x7f; };
  Val any = anyLane(loop(index(0), index(whole), index(kBytes), {number(0, vectorOf(getI1Type(), kBytes))},
                         [&](Val i, ArrayRef<Val> so) { return Vals{so[0] | nan(byte + i, kBytes)}; })[0]);
  return n > whole ? any | anyLane(nan(byte + whole, n - whole)) : any;
}

Val CodeBuilder::toE4M3(Val value) {
  Val word = bits(value, getI32Type()), magnitude = abs(value), low = bits(magnitude, getI32Type());
  // Below 2^-6 the step is 2^-9 everywhere: adding 2^14 leaves it in the last mantissa bit.
  Val small = bits(magnitude + 16384.0, getI32Type()) - 0x46800000;
  Val normal = ((low + 0x7ffff + ((low >> 20) & 1)) >> 20) - (120 << 3);
  Val e = select(magnitude < 0.015625, small, normal);
  e = select(value == value, e, 0x7f);
  return convert(e | ((word >> 24) & 0x80), getI8Type());
}

Val CodeBuilder::roundE4M3(Val value) {
  Val word = bits(value, getI32Type()), magnitude = abs(value), low = bits(magnitude, getI32Type());
  Val small = (magnitude + 16384.0) - 16384.0;
  Val normal = bits((low + 0x7ffff + ((low >> 20) & 1)) & int64_t(int32_t(0xfff00000)), getF32Type());
  Val rounded = bits(select(magnitude < 0.015625, small, normal), getI32Type());
  Val signedValue = bits(rounded | (word & int64_t(INT32_MIN)), getF32Type());
  return select(value == value, signedValue, value);
}

Val CodeBuilder::clamp448(Val value) {
  Val below = select(value > 448.0, number(448.0, value.type()), value);
  return select(below < -448.0, number(-448.0, value.type()), below);
}

Val CodeBuilder::powerOfTwoScale(Val amax) {
  Val word = bits(amax / 448.0, getI32Type());
  Val exponent = (word >> 23) + extendUnsigned((word & 0x7fffff) != 0, getI32Type());
  return bits(codegen::min(exponent, number(254, exponent.type())) << 23, getF32Type());
}

void CodeBuilder::eachRounded(int64_t width, function_ref<Val(Val, int64_t)> value,
                              function_ref<void(Val, int64_t, Val)> put) {
  constexpr int64_t kGroup = 128;
  inBlocks(width, {kGroup, width % kGroup ? width % kGroup : kGroup}, [&](int64_t size, Val first) {
    Val amax = maxOver(size, 1e-4, [&](Val column, int64_t n) { return codegen::abs(value(first + column, n)); });
    Val scale = powerOfTwoScale(amax), inverse = 1.0 / scale;
    eachVector(size, [&](Val column, int64_t n) {
      put(first + column, n, roundE4M3(clamp448(value(first + column, n) * inverse)) * scale);
    });
  });
}

Val CodeBuilder::eachRoundedInt8(int64_t width, function_ref<Val(Val, int64_t)> value,
                                 function_ref<void(Val, int64_t, Val)> put) {
  Val amax = maxOver(width, 1e-4, [&](Val column, int64_t n) { return codegen::abs(value(column, n)); });
  // 0, or NaN where a value is not finite.
  Val odd = sumOver(width, [&](Val column, int64_t n) {
    Val v = value(column, n);
    return std::pair(v, number(0, v.type()));
  });
  Val inverse = select(odd == odd, 127.0 / amax, 0.0);
  eachVector(width, [&](Val column, int64_t n) {
    Val v = value(column, n) * inverse;
    // Adding 1.5 * 2^23 rounds to an integer, which then is in the low bits.
    put(column, n, convert(bits(select(v == v, v, 0.0) + 12582912.0, getI32Type()), getI8Type()));
  });
  return amax / 127.0 + odd;
}

Val addPairProducts(Val a, Val b, Val c) {
  CodeBuilder &code = a.code();
  auto wide = [&](Val v) { return convert(bits(v, code.getIntegerType(16)), code.getI32Type()); };
  Val products = wide(a) * wide(b);
  SmallVector<int64_t> even, odd;
  for (int64_t i = 0; i < a.lanes(); ++i) {
    even.push_back(2 * i);
    odd.push_back(2 * i + 1);
  }
  return c + (permute(products, products, even) + permute(products, products, odd));
}

Val dotBytes(Val a, Val b, Val c) {
  CodeBuilder &code = a.code();
  auto bytes = [&](Val v) { return bits(v, code.getI8Type()).get(); };
  return code.val(LLVM::CallIntrinsicOp::create(code, c.type(), code.getStringAttr("llvm.x86.avx512.vpdpbusd.512"),
                                                ValueRange{c.get(), bytes(a), bytes(b)})
                      .getResult(0));
}

Val CodeBuilder::loadF32(Value memory, Place place) {
  Val loaded = load(memory, place);
  return loaded.element().isBF16() ? fromBf16(bits(loaded, getIntegerType(16))) : loaded;
}

Val CodeBuilder::loadF32(Value memory, Place place, int64_t n) {
  Val loaded = load(memory, place, n);
  return loaded.element().isBF16() ? fromBf16(bits(loaded, getIntegerType(16))) : loaded;
}

Val CodeBuilder::sortKey(Val value) {
  Val word = bits(select(value == 0.0, number(0.0, value.type()), value), getI32Type());
  // Negative numbers grow with their bits: all but the sign is turned over.
  Val key = select(word < 0, word ^ 0x7fffffff, word);
  return select(value == value, key, double(noKey + 1));
}

} // namespace modelc::codegen
