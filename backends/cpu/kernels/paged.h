// Paged caches: the byte layouts of plugins/abi/cache.md, and where a row's positions live.
#ifndef MODELC_BACKENDS_CPU_KERNELS_PAGED_H_
#define MODELC_BACKENDS_CPU_KERNELS_PAGED_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/kernel.h"
#include "backends/cpu/simd/simd.h"

namespace modelc::cpu {

inline constexpr int64_t kPageTokens = 64;

enum class CacheFormat { kF8, kBf16, kF32, kI8 };

// Attribute 'format' of an op on a cache.
inline void ReadFormat(Attributes& a, CacheFormat* out) {
  int number = 0;
  a.Choice("format", {"f8", "bf16", "f32", "i8"}, &number);
  *out = static_cast<CacheFormat>(number);
}

// The tensor 'cache' [pages, page_bytes] has pages of the size the layout asks for.
inline absl::Status CheckPageBytes(const Tensor& cache, int64_t wanted) {
  if (cache.shape[1] == wanted) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("tensor 'cache' has pages of ", cache.shape[1], " bytes; its format wants ", wanted));
}

// Latent records: L e4m3 with a scale per 128 of them, or L int8 with one scale, and R bf16; or L + R plain values.
struct LatentLayout {
  CacheFormat format;
  int64_t latent, rope;

  int64_t groups() const { return (latent + 127) / 128; }
  int64_t record_bytes() const {
    switch (format) {
      case CacheFormat::kF8:
        return latent + groups() * 4 + rope * 2;
      case CacheFormat::kBf16:
        return (latent + rope) * 2;
      case CacheFormat::kF32:
        return (latent + rope) * 4;
      case CacheFormat::kI8:
        return latent + 4 + rope * 2;
    }
    return 0;
  }
  int64_t page_bytes() const { return kPageTokens * record_bytes(); }

  void Write(const Simd& simd, const float* latent_row, const float* rope_row, std::byte* record) const {
    switch (format) {
      case CacheFormat::kF8: {
        auto* values = reinterpret_cast<uint8_t*>(record);
        for (int64_t g = 0; g < groups(); ++g) {
          const float scale = simd.to_e4m3(latent_row + g * 128, GroupSize(g), values + g * 128);
          std::memcpy(record + latent + g * 4, &scale, 4);
        }
        simd.to_bf16(rope_row, rope, reinterpret_cast<uint16_t*>(record + latent + groups() * 4));
        break;
      }
      case CacheFormat::kBf16:
        simd.to_bf16(latent_row, latent, reinterpret_cast<uint16_t*>(record));
        simd.to_bf16(rope_row, rope, reinterpret_cast<uint16_t*>(record) + latent);
        break;
      case CacheFormat::kF32:
        std::memcpy(record, latent_row, latent * 4);
        std::memcpy(record + latent * 4, rope_row, rope * 4);
        break;
      case CacheFormat::kI8: {
        const float scale = simd.to_i8(latent_row, latent, reinterpret_cast<int8_t*>(record));
        std::memcpy(record + latent, &scale, 4);
        simd.to_bf16(rope_row, rope, reinterpret_cast<uint16_t*>(record + latent + 4));
        break;
      }
    }
  }

  // out [latent + rope]
  void Read(const Simd& simd, const std::byte* record, float* out) const {
    switch (format) {
      case CacheFormat::kF8:
        for (int64_t g = 0; g < groups(); ++g) {
          float scale;
          std::memcpy(&scale, record + latent + g * 4, 4);
          simd.from_e4m3(reinterpret_cast<const uint8_t*>(record) + g * 128, scale, GroupSize(g), out + g * 128);
        }
        simd.from_bf16(reinterpret_cast<const uint16_t*>(record + latent + groups() * 4), 1, rope, out + latent);
        break;
      case CacheFormat::kBf16:
        simd.from_bf16(reinterpret_cast<const uint16_t*>(record), 1, latent + rope, out);
        break;
      case CacheFormat::kF32:
        std::memcpy(out, record, (latent + rope) * 4);
        break;
      case CacheFormat::kI8: {
        float scale;
        std::memcpy(&scale, record + latent, 4);
        const auto* values = reinterpret_cast<const int8_t*>(record);
        for (int64_t d = 0; d < latent; ++d) out[d] = static_cast<float>(values[d]) * scale;
        simd.from_bf16(reinterpret_cast<const uint16_t*>(record + latent + 4), 1, rope, out + latent);
        break;
      }
    }
  }

 private:
  int64_t GroupSize(int64_t g) const { return latent - g * 128 < 128 ? latent - g * 128 : 128; }
};

// Index pages: 64 rows of D e4m3 or int8 and then 64 scales; or 64 plain rows.
struct IndexLayout {
  CacheFormat format;
  int64_t width;

  bool bytes() const { return format == CacheFormat::kF8 || format == CacheFormat::kI8; }
  int64_t page_bytes() const {
    switch (format) {
      case CacheFormat::kF8:
      case CacheFormat::kI8:
        return kPageTokens * (width + 4);
      case CacheFormat::kBf16:
        return kPageTokens * width * 2;
      case CacheFormat::kF32:
        return kPageTokens * width * 4;
    }
    return 0;
  }

  void Write(const Simd& simd, const float* key, int64_t token, std::byte* page) const {
    std::byte* row = page + token * width;
    switch (format) {
      case CacheFormat::kF8:
      case CacheFormat::kI8: {
        const float scale = format == CacheFormat::kF8 ? simd.to_e4m3(key, width, reinterpret_cast<uint8_t*>(row))
                                                       : simd.to_i8(key, width, reinterpret_cast<int8_t*>(row));
        std::memcpy(page + kPageTokens * width + token * 4, &scale, 4);
        break;
      }
      case CacheFormat::kBf16:
        simd.to_bf16(key, width, reinterpret_cast<uint16_t*>(page) + token * width);
        break;
      case CacheFormat::kF32:
        std::memcpy(page + token * width * 4, key, width * 4);
    }
  }

  // A page's keys as IndexScores reads them, scales apart: bytes where the cache has bytes, else floats.
  size_t keys_bytes() const { return kPageTokens * padded() * (bytes() ? 1 : 4); }
  // Says whether there may be a NaN among keys of e4m3, which is so rare that it is worth asking once a page.
  bool ReadKeys(const Simd& simd, const std::byte* page, std::byte* keys) const {
    float* floats = reinterpret_cast<float*>(keys);
    switch (format) {
      case CacheFormat::kF8:
      case CacheFormat::kI8:
        simd.transpose_bytes(reinterpret_cast<const uint8_t*>(page), width, reinterpret_cast<uint8_t*>(keys));
        break;
      case CacheFormat::kBf16:
        simd.transpose_bf16(reinterpret_cast<const uint16_t*>(page), width, floats);
        break;
      case CacheFormat::kF32:
        simd.transpose_f32(reinterpret_cast<const float*>(page), width, floats);
    }
    return format == CacheFormat::kF8 && simd.has_e4m3_nan(reinterpret_cast<const uint8_t*>(page), kPageTokens * width);
  }
  // One row's queries [heads, width] and head weights [heads] as IndexScores reads them.
  size_t query_bytes(int64_t heads) const {
    return static_cast<size_t>(heads * (padded() * (format == CacheFormat::kI8 ? 2 : 4) + 4));
  }
  void ReadQueries(const Simd& simd, const float* q, const float* w, int64_t heads, std::byte* out) const {
    float* weights = reinterpret_cast<float*>(out + query_bytes(heads)) - heads;
    std::copy_n(w, heads, weights);
    if (format == CacheFormat::kI8) {
      for (int64_t h = 0; h < heads; ++h)
        weights[h] *= simd.pack_i8_query(q + h * width, width, padded(), reinterpret_cast<int32_t*>(out) + h * padded() / 2);
      return;
    }
    float* values = reinterpret_cast<float*>(out);
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t d = 0; d < padded(); ++d) *values++ = d < width ? q[h * width + d] : 0.0f;
  }
  // Scores of one row against a page, from what ReadQueries and ReadKeys gave; `ahead` is the page that comes next.
  void IndexScores(const Simd& simd, const std::byte* queries, int64_t heads, const std::byte* keys, bool nan, int64_t n,
                   const std::byte* ahead, float* scores) const {
    const float *q = reinterpret_cast<const float*>(queries),
                *w = reinterpret_cast<const float*>(queries + query_bytes(heads)) - heads;
    const auto *k = reinterpret_cast<const uint8_t*>(keys), *next = reinterpret_cast<const uint8_t*>(ahead);
    switch (format) {
      case CacheFormat::kF8:
        return simd.index_scores_e4m3(q, w, heads, k, n, padded(), nan, next, scores);
      case CacheFormat::kI8:
        return simd.index_scores_i8(reinterpret_cast<const int32_t*>(queries), w, heads, k, n, padded(), next, scores);
      case CacheFormat::kBf16:
      case CacheFormat::kF32:
        return simd.index_scores(q, w, heads, reinterpret_cast<const float*>(keys), n, width, scores);
    }
  }
  // What the page's first n keys are to be multiplied by, times `factor`.
  void ReadScales(const std::byte* page, int64_t n, float factor, float* out) const {
    if (!bytes()) return static_cast<void>(std::fill_n(out, n, factor));
    std::memcpy(out, page + kPageTokens * width, n * sizeof(float));
    for (int64_t i = 0; i < n; ++i) out[i] *= factor;
  }

 private:
  // Dimensions as the loops over bytes want them: a multiple of 4, zeros at the end.
  int64_t padded() const { return bytes() ? (width + 3) / 4 * 4 : width; }
};

// The rows of a step: the operands pos, seq, pages and cache together.
class PagedRows {
 public:
  PagedRows(const Tensor& pos, const Tensor& seq, const Tensor& pages, const Tensor& cache)
      : pos_(pos.as<int32_t>()),
        seq_(seq.as<int32_t>()),
        pages_(pages.as<int32_t>()),
        cache_(cache.data),
        n_seq_(pages.shape[0]),
        pages_per_seq_(pages.shape[1]),
        n_pages_(cache.shape[0]),
        page_bytes_(cache.shape[1]) {}

  // Positions a row sees: pos + 1; 0 for a padding row, and for one whose position the page table does not reach.
  int64_t Visible(int64_t row) const {
    if (seq_[row] < 0 || seq_[row] >= n_seq_ || pos_[row] < 0 || pos_[row] / kPageTokens >= pages_per_seq_) return 0;
    return static_cast<int64_t>(pos_[row]) + 1;
  }
  int64_t Position(int64_t row) const { return pos_[row]; }
  int32_t Sequence(int64_t row) const { return seq_[row]; }
  // The page of a row's sequence that holds `position`; null beyond the table, and where the table names a page that
  // the cache does not have.
  std::byte* Page(int64_t row, int64_t position) const {
    if (position / kPageTokens >= pages_per_seq_) return nullptr;
    const int64_t page = pages_[seq_[row] * pages_per_seq_ + position / kPageTokens];
    return page < 0 || page >= n_pages_ ? nullptr : cache_ + page * page_bytes_;
  }

 private:
  const int32_t *pos_, *seq_, *pages_;
  std::byte* cache_;
  int64_t n_seq_, pages_per_seq_, n_pages_, page_bytes_;
};

// Hands out consecutive arrays of one allocation, each 64-byte aligned. With a null base it measures.
class Carver {
 public:
  explicit Carver(std::byte* base) : base_(base) {}
  template <typename T>
  T* Take(int64_t n) {
    T* out = base_ ? reinterpret_cast<T*>(base_ + used_) : nullptr;
    used_ += (static_cast<size_t>(n) * sizeof(T) + 63) / 64 * 64;
    return out;
  }
  size_t used() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_KERNELS_PAGED_H_
