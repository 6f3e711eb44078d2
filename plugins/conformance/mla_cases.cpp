// mla.append, mla.attend_latent.
#include <algorithm>
#include <cmath>

#include "plugins/conformance/cache.h"

namespace modelc::conformance {
namespace {

std::string LatentName(const std::vector<Chunk>& chunks, int64_t padding, const LatentLayout& layout) {
  return SizesName({{"L", layout.L}, {"R", layout.R}}) + " " + ChunksName(chunks, padding) + " format=" + layout.format;
}

Case AppendCase(const std::vector<Chunk>& chunks, int64_t padding, const LatentLayout& layout) {
  Case c;
  c.op = "mla.append";
  c.name = LatentName(chunks, padding, layout);
  c.attributes = {{"format", layout.format}};
  c.names = {{"L", layout.L}, {"R", layout.R}, {"format", layout.format}};
  c.make = [=](Random& r) {
    const Step step = Step::Make(r, chunks, padding);
    Tensors t{NormalF32(r, {step.T(), layout.L}).PerRow(), NormalF32(r, {step.T(), layout.R}).PerRow()};
    step.Append(t);
    t.push_back(FilledCache(layout, step, [&] { return Values(layout.L + layout.R, 1.0); }).InOut());
    return t;
  };
  c.reference = [=](const Tensors& t) {
    const Step step = Step::From(t[2], t[3], t[4]);
    const Values latent = ToValues(t[0]), key = ToValues(t[1]);
    HostTensor cache = t[5];
    for (int64_t i = 0; i < step.T(); ++i) {
      if (step.IsPadding(i)) continue;
      Values record(latent.begin() + i * layout.L, latent.begin() + (i + 1) * layout.L);
      record.insert(record.end(), key.begin() + i * layout.R, key.begin() + (i + 1) * layout.R);
      layout.Write(&cache.bytes[step.Page(i, step.pos[i]) * layout.page_bytes()], step.pos[i] % kPageTokens,
                   record.data());
    }
    return std::vector<Values>{ToValues(cache)};
  };
  return c;
}

struct AttendSizes {
  std::vector<Chunk> chunks;
  int64_t padding, h, k;  // k = 0: no selection
};

// k positions of each row's visible ones, ascending, -1 behind; every third row has fewer than it could.
std::vector<int32_t> RandomSelection(Random& r, const Step& step, int64_t k) {
  std::vector<int32_t> all;
  for (int64_t t = 0; t < step.T(); ++t) {
    std::vector<int32_t> chosen = r.Permutation(step.visible(t));
    chosen.resize(std::min<int64_t>(k, std::max<int64_t>(1, step.visible(t) / (t % 3 == 2 ? 2 : 1))));
    std::sort(chosen.begin(), chosen.end());
    chosen.resize(k, -1);
    all.insert(all.end(), chosen.begin(), chosen.end());
  }
  return all;
}

Values AttendRow(const Values& q_lat, const Values& q_rope, const std::vector<Values>& records, double scale) {
  const size_t L = q_lat.size();
  Values logits, out(L);
  double most = -std::numeric_limits<double>::infinity(), sum = 0;
  for (const Values& record : records) {
    double dot = 0;
    for (size_t l = 0; l < L; ++l) dot += q_lat[l] * record[l];
    for (size_t i = 0; i < q_rope.size(); ++i) dot += q_rope[i] * record[L + i];
    logits.push_back(scale * dot);
    most = std::max(most, logits.back());
  }
  for (size_t j = 0; j < records.size(); ++j) {
    const double weight = std::exp(logits[j] - most);
    sum += weight;
    for (size_t l = 0; l < L; ++l) out[l] += weight * records[j][l];
  }
  for (double& v : out) v /= sum;
  return out;
}

Case AttendCase(const AttendSizes& s, const LatentLayout& layout, double sharpness = 1, bool timed = false) {
  const int64_t L = layout.L, R = layout.R;
  const double scale = sharpness / std::sqrt(static_cast<double>(L + R));
  Case c;
  c.op = "mla.attend_latent";
  c.name = SizesName({{"h", s.h}, {"k", s.k}}) + " " + LatentName(s.chunks, s.padding, layout) +
           (sharpness == 1 ? "" : " large logits");
  c.attributes = {{"scale", scale}, {"format", layout.format}};
  c.names = {{"h", s.h}, {"L", L}, {"R", R}, {"format", layout.format}};
  c.make = [=](Random& r) {
    const Step step = Step::Make(r, s.chunks, s.padding);
    const int64_t T = step.T();
    Tensors t{NormalF32(r, {T, s.h, L}).PerRow(), NormalF32(r, {T, s.h, R}).PerRow()};
    t.push_back(s.k == 0 ? LeftOut() : I32({T, s.k}, RandomSelection(r, step, s.k)).PerRow());
    step.Append(t);
    t.push_back(FilledCache(layout, step, [&] {
      Values record(L + R);
      for (double& v : record) v = r.Normal();
      return record;
    }));
    t.push_back(Output(MODELC_F32, {T, s.h, L}).PerRow());
    return t;
  };
  c.reference = [=](const Tensors& t) {
    const Step step = Step::From(t[3], t[4], t[5]);
    Values q_lat = ToValues(t[0]);
    const Values q_rope = ToValues(t[1]);
    for (int64_t i = 0; layout.format == "i8" && i < static_cast<int64_t>(q_lat.size()); i += L) {
      const Int8Row row = RoundToInt8(&q_lat[i], L, kLeastI8);
      std::transform(row.values.begin(), row.values.end(), &q_lat[i], [&](int8_t v) { return v * row.scale; });
    }
    Values out(step.T() * s.h * L, kAny);
    for (int64_t i = 0; i < step.T(); ++i) {
      if (step.IsPadding(i)) continue;
      std::vector<Values> records;
      for (int64_t j = 0; j < (s.k == 0 ? step.visible(i) : s.k); ++j) {
        const int64_t p = s.k == 0 ? j : t[2].as<int32_t>()[i * s.k + j];
        if (p < 0) break;
        records.push_back(layout.Read(&t[6].bytes[step.Page(i, p) * layout.page_bytes()], p % kPageTokens));
      }
      for (int64_t head = i * s.h; head < (i + 1) * s.h; ++head) {
        const Values row = AttendRow(Values(&q_lat[head * L], &q_lat[head * L] + L),
                                     Values(&q_rope[head * R], &q_rope[head * R] + R), records, scale);
        std::copy(row.begin(), row.end(), &out[head * L]);
      }
    }
    return std::vector<Values>{out};
  };
  double seen = 0;
  for (const Chunk& chunk : s.chunks) {
    for (int32_t i = 0; i < chunk.count; ++i) {
      const int64_t visible = chunk.start + i + 1;
      seen += static_cast<double>(s.k == 0 ? visible : std::min(visible, s.k));
    }
  }
  c.flops = 2.0 * seen * s.h * (2 * L + R);
  c.bytes = seen * layout.record_bytes();
  c.timed = timed;
  return c;
}

}  // namespace

std::vector<Case> MLACases() {
  std::vector<Case> cases;
  const std::vector<Chunk> mixed = {{0, 3}, {62, 4}, {127, 1}, {191, 2}};  // around page borders
  for (const char* format : {"f8", "bf16", "f32", "i8"}) {
    const LatentLayout published{format, 512, 64}, small{format, 40, 6}, odd{format, 200, 10};
    cases.push_back(AppendCase(mixed, 0, published));
    cases.push_back(AppendCase(mixed, 2, odd));
    cases.push_back(AppendCase({{63, 1}}, 1, small));
    cases.push_back(AppendCase({}, 0, small));
    cases.push_back(AppendCase({}, 3, small));
    cases.push_back(AttendCase({mixed, 2, 4, 0}, small));
    cases.push_back(AttendCase({mixed, 0, 3, 33}, odd));
    cases.push_back(AttendCase({{{300, 1}, {5, 6}}, 1, 16, 64}, published));
    cases.push_back(AttendCase({{{700, 1}}, 0, 2, 0}, small));
    cases.push_back(AttendCase({{{0, 1}}, 0, 1, 1}, small));             // one position to attend to
    cases.push_back(AttendCase({{{400, 2}}, 0, 2, 128}, small, 300.0));  // softmax must subtract the largest logit
    cases.push_back(AttendCase({{}, 2, 2, 8}, small));
    cases.push_back(AttendCase({{}, 0, 2, 8}, small));
  }
  for (const char* format : {"f8", "bf16", "i8"}) {
    const LatentLayout published{format, 512, 64};
    cases.push_back(AttendCase({{{4095, 1}}, 0, 128, 2048}, published, 1, true));
    cases.push_back(AttendCase({{{2047, 1}}, 0, 128, 0}, published, 1, true));
    cases.push_back(AttendCase({std::vector<Chunk>(8, {4095, 1}), 0, 128, 2048}, published, 1, true));
  }
  return cases;
}

}  // namespace modelc::conformance
