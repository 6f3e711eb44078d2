//===- Pages.h - paged caches in generated code -----------------*- C++ -*-===//
#ifndef MODELC_CORE_COMPILER_CODEGEN_PAGES_H
#define MODELC_CORE_COMPILER_CODEGEN_PAGES_H

#include "core/compiler/codegen/Kernels.h"
#include "core/program/program.h"

namespace modelc::codegen {

/// The operands pos, seq, pages and cache of a kernel, from operand `first` on: where the positions of a row live.
class Pages {
public:
  Pages(Kernel &k, size_t first) : c(k.c), k(k), first(first) {}

  mlir::Value cache() const { return k.tensor(first + 3); }
  Val sequence(Val t) const { return c.load(k.tensor(first + 1), {t}); }
  Val position(Val t) const { return c.load(k.tensor(first), {t}); }
  /// Positions a row sees (index): pos + 1, or 0 for a padding row and one whose position the page table does not
  /// reach.
  Val visible(Val t) const;
  /// The page (i32) that holds `position` (index) of the row's sequence; -1 beyond the table, and where the table names
  /// a page that the cache does not have.
  Val page(Val t, Val position) const;

private:
  CodeBuilder &c;
  Kernel &k;
  size_t first;
};

/// Bytes of the cache formats of cache.md, as code reads them.
struct CacheFormat {
  llvm::StringRef name; // f8, i8, bf16, f32

  bool f8() const { return name == "f8"; }
  bool i8() const { return name == "i8"; }
  bool scaled() const { return f8() || i8(); }
  int64_t valueBytes() const { return scaled() ? 1 : name == "bf16" ? 2 : 4; }
  /// float32 scales of a latent in its record.
  int64_t latentScales(int64_t latent) const { return f8() ? (latent + 127) / 128 : i8() ? 1 : 0; }
  /// What the roped key behind a latent is in.
  CacheFormat keyFormat() const { return {scaled() ? "bf16" : name}; }
  /// Where that key begins in a record.
  int64_t keyByte(int64_t latent) const { return latent * valueBytes() + latentScales(latent) * 4; }
  int64_t recordBytes(int64_t latent, int64_t rope) const { return keyByte(latent) + rope * keyFormat().valueBytes(); }
  /// n values at a byte of a page; e4m3 and int8 without their scale.
  Val load(CodeBuilder &c, mlir::Value cache, Val page, Val byte, int64_t n) const;
};

} // namespace modelc::codegen

#endif // MODELC_CORE_COMPILER_CODEGEN_PAGES_H
