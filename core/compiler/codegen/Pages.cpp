//===- Pages.cpp - paged caches in generated code -------------------------===//
#include "core/compiler/codegen/Pages.h"

using namespace mlir;

namespace modelc::codegen {

Val Pages::visible(Val t) const {
  Value table = k.tensor(first + 2);
  Val seq = sequence(t), pos = position(t);
  Val sequences = convert(c.dim(table, 0), c.getI32Type());
  Val reached = convert(c.dim(table, 1) * kPageTokens, c.getI32Type());
  Val seen = (seq >= 0) & (seq < sequences) & (pos >= 0) & (pos < reached);
  return convert(select(seen, pos + 1, 0), c.getIndexType());
}

Val Pages::page(Val t, Val position) const {
  Value pages = k.tensor(first + 2);
  Val number = position / kPageTokens, none = c.i32(-1);
  return c.ifElse(
      number < c.dim(pages, 1), {none.type()},
      [&] {
        Val page = c.load(pages, {convert(sequence(t), c.getIndexType()), number});
        Val there = (page >= 0) & (page < convert(c.dim(cache(), 0), c.getI32Type()));
        return CodeBuilder::Vals{select(there, page, none)};
      },
      [&] { return CodeBuilder::Vals{none}; })[0];
}

Val CacheFormat::load(CodeBuilder &c, Value cache, Val page, Val byte, int64_t n) const {
  if (f8())
    return c.fromE4M3(c.loadBytes(cache, {page, byte}, c.getI8Type(), n));
  if (i8())
    return convert(c.loadBytes(cache, {page, byte}, c.getI8Type(), n), c.getF32Type());
  if (name == "bf16")
    return c.fromBf16(c.loadBytes(cache, {page, byte}, c.getIntegerType(16), n));
  return c.loadBytes(cache, {page, byte}, c.getF32Type(), n);
}

} // namespace modelc::codegen
