#include "plugins/conformance/cache.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace modelc::conformance {
namespace {

constexpr int64_t kGroup = 128;

void PutF32(std::byte* at, double value) {
  const float f = static_cast<float>(value);
  std::memcpy(at, &f, sizeof f);
}

double GetF32(const std::byte* at) {
  float f;
  std::memcpy(&f, at, sizeof f);
  return f;
}

void PutBF16(std::byte* at, double value) {
  const uint16_t bits = EncodeBF16(value);
  std::memcpy(at, &bits, sizeof bits);
}

double GetBF16(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return DecodeBF16(bits);
}

int64_t PlainBytes(const std::string& format) { return format == "f32" ? 4 : 2; }

void WritePlain(const std::string& format, std::byte* at, const double* values, int64_t n) {
  for (int64_t i = 0; i < n; ++i) format == "f32" ? PutF32(at + 4 * i, values[i]) : PutBF16(at + 2 * i, values[i]);
}

Values ReadPlain(const std::string& format, const std::byte* at, int64_t n) {
  Values values(n);
  for (int64_t i = 0; i < n; ++i) values[i] = format == "f32" ? GetF32(at + 4 * i) : GetBF16(at + 2 * i);
  return values;
}

// Writes n e4m3 values and returns their scale.
double WriteE4M3(std::byte* at, const double* values, int64_t n) {
  double amax = 0;
  for (int64_t i = 0; i < n; ++i) amax = std::max(amax, std::fabs(values[i]));
  const double scale = PowerOfTwoScale(amax);
  for (int64_t i = 0; i < n; ++i) at[i] = static_cast<std::byte>(EncodeE4M3(values[i] / scale));
  return scale;
}

}  // namespace

Step Step::Make(Random& random, const std::vector<Chunk>& chunks, int64_t padding) {
  Step step;
  step.S = static_cast<int64_t>(chunks.size());
  const auto pad = [&] {
    step.pos.insert(step.pos.end(), padding, 0);
    step.seq.insert(step.seq.end(), padding, -1);
  };
  pad();
  std::vector<int64_t> used;
  for (int64_t s = 0; s < step.S; ++s) {
    const auto [start, count] = chunks[s];
    for (int32_t i = 0; i < count; ++i) {
      step.pos.push_back(start + i);
      step.seq.push_back(static_cast<int32_t>(s));
    }
    const int64_t length = start + count;
    used.push_back((length + kPageTokens - 1) / kPageTokens);
    step.C = std::max(step.C, length);
    step.P = std::max(step.P, used.back());
    step.pool += used.back();
  }
  pad();
  step.pool += 3;
  const std::vector<int32_t> free = random.Permutation(step.pool);
  step.pages.resize(step.S * step.P);
  size_t next = 0;
  for (int64_t s = 0; s < step.S; ++s) {
    for (int64_t p = 0; p < used[s]; ++p) step.pages[s * step.P + p] = free[next++];
  }
  return step;
}

Step Step::From(const HostTensor& pos, const HostTensor& seq, const HostTensor& pages) {
  Step step;
  step.pos.assign(pos.as<int32_t>(), pos.as<int32_t>() + pos.shape[0]);
  step.seq.assign(seq.as<int32_t>(), seq.as<int32_t>() + seq.shape[0]);
  step.S = pages.shape[0];
  step.P = pages.shape[1];
  step.pages.assign(pages.as<int32_t>(), pages.as<int32_t>() + step.S * step.P);
  return step;
}

void Step::Append(Tensors& tensors) const {
  tensors.push_back(I32({T()}, pos).PerRow());
  tensors.push_back(I32({T()}, seq).PerRow());
  tensors.push_back(I32({S, P}, pages));
}

std::string ChunksName(const std::vector<Chunk>& chunks, int64_t padding) {
  std::string name = "rows=";
  for (size_t i = 0; i < chunks.size(); ++i) {
    name += (i ? "," : "") + std::to_string(chunks[i].count) + "@" + std::to_string(chunks[i].start);
  }
  return name + (padding ? " padding=" + std::to_string(padding) : "");
}

int64_t LatentLayout::record_bytes() const {
  if (format == "f8") return L + 4 * ((L + kGroup - 1) / kGroup) + 2 * R;
  if (format == "i8") return L + 4 + 2 * R;
  return PlainBytes(format) * (L + R);
}

void LatentLayout::Write(std::byte* page, int64_t token, const double* values) const {
  std::byte* record = page + token * record_bytes();
  if (format == "i8") {
    const Int8Row row = RoundToInt8(values, L, kLeastI8);
    std::memcpy(record, row.values.data(), L);
    PutF32(record + L, row.scale);
    return WritePlain("bf16", record + L + 4, values + L, R);
  }
  if (format != "f8") return WritePlain(format, record, values, L + R);
  std::byte* scales = record + L;
  for (int64_t begin = 0; begin < L; begin += kGroup, scales += 4) {
    PutF32(scales, WriteE4M3(record + begin, values + begin, std::min(kGroup, L - begin)));
  }
  WritePlain("bf16", scales, values + L, R);
}

Values LatentLayout::Read(const std::byte* page, int64_t token) const {
  const std::byte* record = page + token * record_bytes();
  if (format == "bf16" || format == "f32") return ReadPlain(format, record, L + R);
  Values values(L);
  const std::byte* scales = record + L;
  for (int64_t i = 0; i < L; ++i) {
    values[i] = format == "i8" ? static_cast<int8_t>(record[i]) * GetF32(scales)
                               : DecodeE4M3(static_cast<uint8_t>(record[i])) * GetF32(scales + 4 * (i / kGroup));
  }
  const Values key = ReadPlain("bf16", record + record_bytes() - 2 * R, R);
  values.insert(values.end(), key.begin(), key.end());
  return values;
}

int64_t IndexLayout::page_bytes() const {
  return format == "f8" || format == "i8" ? kPageTokens * (D + 4) : kPageTokens * D * PlainBytes(format);
}

void IndexLayout::Write(std::byte* page, int64_t token, const double* values) const {
  if (format == "i8") {
    const Int8Row row = RoundToInt8(values, D, kLeastI8);
    std::memcpy(page + token * D, row.values.data(), D);
    return PutF32(page + kPageTokens * D + 4 * token, row.scale);
  }
  if (format != "f8") return WritePlain(format, page + token * D * PlainBytes(format), values, D);
  PutF32(page + kPageTokens * D + 4 * token, WriteE4M3(page + token * D, values, D));
}

Values IndexLayout::Read(const std::byte* page, int64_t token) const {
  if (format == "bf16" || format == "f32") return ReadPlain(format, page + token * D * PlainBytes(format), D);
  const double scale = GetF32(page + kPageTokens * D + 4 * token);
  Values values(D);
  for (int64_t i = 0; i < D; ++i) {
    const auto byte = static_cast<uint8_t>(page[token * D + i]);
    values[i] = scale * (format == "i8" ? static_cast<int8_t>(byte) : DecodeE4M3(byte));
  }
  return values;
}

template <typename Layout>
HostTensor FilledCache(const Layout& layout, const Step& step, const std::function<Values()>& make) {
  HostTensor cache = Output(MODELC_U8, {step.pool, layout.page_bytes()});
  cache.role = HostTensor::Role::kInput;
  std::fill(cache.bytes.begin(), cache.bytes.end(), std::byte{0xff});
  std::vector<int64_t> filled(step.S);  // positions of each sequence that hold something
  for (int64_t t = 0; t < step.T(); ++t) {
    if (step.IsPadding(t)) continue;
    for (int64_t& p = filled[step.seq[t]]; p < step.visible(t); ++p) {
      layout.Write(&cache.bytes[step.Page(t, p) * layout.page_bytes()], p % kPageTokens, make().data());
    }
  }
  return cache;
}

template HostTensor FilledCache(const LatentLayout&, const Step&, const std::function<Values()>&);
template HostTensor FilledCache(const IndexLayout&, const Step&, const std::function<Values()>&);

}  // namespace modelc::conformance
