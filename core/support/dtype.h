// Element types that a program, a checkpoint and the plugin ABI share. Values equal modelc_dtype's.
#ifndef MODELC_CORE_SUPPORT_DTYPE_H_
#define MODELC_CORE_SUPPORT_DTYPE_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace modelc {

enum class DType : uint32_t { kF32 = 0, kBF16 = 1, kF8E4M3 = 2, kI32 = 3, kU8 = 4, kInt8 = 5, kInt4 = 6 };

// Of weights alone, in groups of 128 columns with their scales (plugins/abi/ops.md).
inline bool IsGrouped(DType t) { return t == DType::kInt8 || t == DType::kInt4; }

// Whether a weight may be converted to t when it is bound (docs/weight-formats.md).
inline bool IsWeightFormat(DType t) { return t == DType::kBF16 || IsGrouped(t); }

// Of one element; 0 for grouped ones, whose elements have no bytes of their own.
inline int64_t ByteSize(DType t) {
  switch (t) {
    case DType::kF32:
    case DType::kI32: return 4;
    case DType::kBF16: return 2;
    case DType::kF8E4M3:
    case DType::kU8: return 1;
    case DType::kInt8:
    case DType::kInt4: return 0;
  }
  return 0;
}

// Of a row of k elements.
inline int64_t RowBytes(DType t, int64_t k) {
  if (IsGrouped(t)) return (k + 127) / 128 * (t == DType::kInt8 ? 132 : 72);
  return k * ByteSize(t);
}

// "f32", "bf16", "f8e4m3", "i32", "u8", "int8", "int4".
inline std::string_view Name(DType t) {
  switch (t) {
    case DType::kF32: return "f32";
    case DType::kBF16: return "bf16";
    case DType::kF8E4M3: return "f8e4m3";
    case DType::kI32: return "i32";
    case DType::kU8: return "u8";
    case DType::kInt8: return "int8";
    case DType::kInt4: return "int4";
  }
  return "?";
}

inline std::optional<DType> ParseDType(std::string_view name) {
  for (uint32_t i = 0; i <= 6; ++i)
    if (Name(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  return std::nullopt;
}

}  // namespace modelc

#endif  // MODELC_CORE_SUPPORT_DTYPE_H_
