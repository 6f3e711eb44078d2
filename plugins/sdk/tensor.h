// For plugin authors who write C++: the checks every tensor of a submit needs before a kernel looks at it. Header only.
#ifndef MODELC_PLUGINS_SDK_TENSOR_H_
#define MODELC_PLUGINS_SDK_TENSOR_H_

#include <optional>

#include "plugins/abi/plugin.h"

namespace modelc::sdk {

// Bytes of one element; 0 for a value that is no modelc_dtype, and for those whose elements have no bytes of their own.
inline uint64_t ElementBytes(uint32_t dtype) {
  switch (dtype) {
    case MODELC_F32:
    case MODELC_I32:
      return 4;
    case MODELC_BF16:
      return 2;
    case MODELC_F8E4M3:
    case MODELC_U8:
      return 1;
  }
  return 0;
}

// Bytes of a group of 128 columns of an int8 or int4 weight (ops.md); 0 for other dtypes.
inline uint64_t GroupBytes(uint32_t dtype) { return dtype == MODELC_INT8 ? 132 : dtype == MODELC_INT4 ? 72 : 0; }

// What an offset into a tensor is a multiple of; 0 for a value that is no modelc_dtype.
inline uint64_t Alignment(uint32_t dtype) { return GroupBytes(dtype) ? sizeof(float) : ElementBytes(dtype); }

// Bytes a tensor covers from its offset on. Nothing when its dtype is unknown or wants more dimensions, its rank above
// 4, a size negative, or the product too large for a buffer.
inline std::optional<uint64_t> TensorBytes(const modelc_tensor& t) {
  const uint64_t group = GroupBytes(t.dtype);
  uint64_t bytes = group ? group : ElementBytes(t.dtype);
  if (bytes == 0 || t.rank > 4 || (group && t.rank < 2)) return std::nullopt;
  bool empty = false;
  for (uint32_t d = 0; d < t.rank; ++d) {
    if (t.shape[d] < 0) return std::nullopt;
    if (t.shape[d] == 0) empty = true;
  }
  for (uint32_t d = 0; d < t.rank && !empty; ++d) {
    const uint64_t size = static_cast<uint64_t>(t.shape[d]),
                   units = group && d + 1 == t.rank ? (size + 127) / 128 : size;
    if (__builtin_mul_overflow(bytes, units, &bytes)) return std::nullopt;
  }
  return empty ? 0 : bytes;
}

// True when `bytes` at `offset` lie within a buffer.
inline bool InRange(uint64_t offset, uint64_t bytes, uint64_t buffer_bytes) {
  return offset <= buffer_bytes && bytes <= buffer_bytes - offset;
}

}  // namespace modelc::sdk

#endif  // MODELC_PLUGINS_SDK_TENSOR_H_
