// mla.append, mla.attend_latent, mla.attend_parts, mla.merge_parts, mla.attend_expanded.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "absl/types/span.h"
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

// What a row and head sums over records, and what that is to be divided by.
struct Sums {
  Values values;  // [L]
  double most = 0, weight = 0;
};

Sums SumRecords(const Values& q_lat, const Values& q_rope, absl::Span<const Values> records, double scale) {
  const size_t L = q_lat.size();
  Sums sums{Values(L)};
  if (records.empty()) return sums;
  Values logits;
  for (const Values& record : records) {
    double dot = 0;
    for (size_t l = 0; l < L; ++l) dot += q_lat[l] * record[l];
    for (size_t i = 0; i < q_rope.size(); ++i) dot += q_rope[i] * record[L + i];
    logits.push_back(scale * dot);
  }
  sums.most = *std::max_element(logits.begin(), logits.end());
  for (size_t j = 0; j < records.size(); ++j) {
    const double weight = std::exp(logits[j] - sums.most);
    sums.weight += weight;
    for (size_t l = 0; l < L; ++l) sums.values[l] += weight * records[j][l];
  }
  return sums;
}

// The records a row attends to, in order; sel, pos, seq, pages and cache are tensors 2 … 6.
std::vector<Values> RecordsOf(const Tensors& t, const Step& step, int64_t row, int64_t k, const LatentLayout& layout) {
  std::vector<Values> records;
  for (int64_t j = 0; j < (k == 0 ? step.visible(row) : k); ++j) {
    const int64_t p = k == 0 ? j : t[2].as<int32_t>()[row * k + j];
    if (p < 0) break;
    records.push_back(layout.Read(&t[6].bytes[step.Page(row, p) * layout.page_bytes()], p % kPageTokens));
  }
  return records;
}

// Queries [T, h, width], [T, h, R] and what follows them up to the cache.
Tensors AttendInputs(Random& r, const AttendSizes& s, int64_t width, const LatentLayout& layout) {
  const Step step = Step::Make(r, s.chunks, s.padding);
  const int64_t T = step.T();
  Tensors t{NormalF32(r, {T, s.h, width}).PerRow(), NormalF32(r, {T, s.h, layout.R}).PerRow()};
  t.push_back(s.k == 0 ? LeftOut() : I32({T, s.k}, RandomSelection(r, step, s.k)).PerRow());
  step.Append(t);
  t.push_back(FilledCache(layout, step, [&] {
    Values record(layout.L + layout.R);
    for (double& v : record) v = r.Normal();
    return record;
  }));
  return t;
}

double SeenBy(const AttendSizes& s) {
  double seen = 0;
  for (const Chunk& chunk : s.chunks) {
    for (int32_t i = 0; i < chunk.count; ++i) {
      const int64_t visible = chunk.start + i + 1;
      seen += static_cast<double>(s.k == 0 ? visible : std::min(visible, s.k));
    }
  }
  return seen;
}

// A row's queries of head `head` (of all rows) over latents, as pages of the format meet them.
Values LatentQuery(const Tensors& t, int64_t head, const LatentLayout& layout) {
  const float* q = t[0].as<float>() + head * layout.L;
  Values query(q, q + layout.L);
  if (layout.format != "i8") return query;
  const Int8Row row = RoundToInt8(query.data(), layout.L, kLeastI8);
  std::transform(row.values.begin(), row.values.end(), query.begin(), [&](int8_t v) { return v * row.scale; });
  return query;
}

Values RopeQuery(const Tensors& t, int64_t head, const LatentLayout& layout) {
  const float* q = t[1].as<float>() + head * layout.R;
  return Values(q, q + layout.R);
}

// parts = 0: mla.attend_latent, else mla.attend_parts.
Case AttendCase(const AttendSizes& s, const LatentLayout& layout, double sharpness = 1, bool timed = false, int64_t parts = 0) {
  const int64_t L = layout.L, R = layout.R;
  const double scale = sharpness / std::sqrt(static_cast<double>(L + R));
  Case c;
  c.op = parts ? "mla.attend_parts" : "mla.attend_latent";
  c.name = SizesName({{"h", s.h}, {"k", s.k}}) + " " + LatentName(s.chunks, s.padding, layout) +
           (parts ? " parts=" + std::to_string(parts) : "") + (sharpness == 1 ? "" : " large logits");
  c.attributes = {{"scale", scale}, {"format", layout.format}};
  if (parts) c.attributes["parts"] = parts;
  c.names = {{"h", s.h}, {"L", L}, {"R", R}, {"format", layout.format}};
  c.make = [=](Random& r) {
    Tensors t = AttendInputs(r, s, L, layout);
    const int64_t T = t[0].shape[0];
    t.push_back(Output(MODELC_F32, parts ? Shape{T, s.h, parts, L + 2} : Shape{T, s.h, L}).PerRow());
    return t;
  };
  c.reference = [=](const Tensors& t) {
    const Step step = Step::From(t[3], t[4], t[5]);
    Values out;
    for (int64_t i = 0; i < step.T(); ++i) {
      if (step.IsPadding(i)) {
        out.resize(out.size() + s.h * (parts ? parts * (L + 2) : L), kAny);
        continue;
      }
      const std::vector<Values> records = RecordsOf(t, step, i, s.k, layout);
      const int64_t n = static_cast<int64_t>(records.size()), each = parts ? (n + parts - 1) / parts : n;
      for (int64_t head = i * s.h; head < (i + 1) * s.h; ++head) {
        for (int64_t part = 0; part < std::max<int64_t>(1, parts); ++part) {
          const int64_t from = std::min(part * each, n), to = std::min(from + each, n);
          const Sums sums = SumRecords(LatentQuery(t, head, layout), RopeQuery(t, head, layout),
                                       absl::MakeConstSpan(records).subspan(from, to - from), scale);
          for (double v : sums.values) out.push_back(parts ? v : v / sums.weight);
          if (parts) out.insert(out.end(), {sums.most, sums.weight});
        }
      }
    }
    return std::vector<Values>{out};
  };
  c.flops = 2.0 * SeenBy(s) * s.h * (2 * L + R);
  c.bytes = SeenBy(s) * layout.record_bytes();
  c.timed = timed;
  return c;
}

Case MergeCase(int64_t T, int64_t h, int64_t parts, int64_t L) {
  Case c;
  c.op = "mla.merge_parts";
  c.name = SizesName({{"T", T}, {"h", h}, {"parts", parts}, {"L", L}});
  c.names = {{"h", h}};
  c.make = [=](Random& r) {
    HostTensor x = NormalF32(r, {T, h, parts, L + 2}).PerRow();
    for (int64_t row = 0; row < T * h * parts; ++row) {
      float* values = x.as<float>() + row * (L + 2);
      // Every third row has no keys at all, of the others some parts; largest scores far apart.
      const bool none = row / parts % 3 == 2 || (row % parts > 0 && r.Below(4) == 0);
      if (none) std::fill_n(values, L + 2, 0.0f);
      else values[L] *= 100, values[L + 1] = static_cast<float>(1 + r.Below(1000));
    }
    return Tensors{x, Output(MODELC_F32, {T, h, L}).PerRow()};
  };
  c.reference = [=](const Tensors& t) {
    const Values x = ToValues(t[0]);
    Values out(T * h * L);
    for (int64_t row = 0; row < T * h; ++row) {
      const double* parts_of = &x[row * parts * (L + 2)];
      double most = -std::numeric_limits<double>::infinity(), sum = 0;
      for (int64_t p = 0; p < parts; ++p)
        if (parts_of[p * (L + 2) + L + 1] != 0) most = std::max(most, parts_of[p * (L + 2) + L]);
      for (int64_t p = 0; p < parts; ++p) {
        const double *part = parts_of + p * (L + 2), factor = part[L + 1] == 0 ? 0 : std::exp(part[L] - most);
        sum += factor * part[L + 1];
        for (int64_t l = 0; l < L; ++l) out[row * L + l] += factor * part[l];
      }
      for (int64_t l = 0; l < L && sum != 0; ++l) out[row * L + l] /= sum;
    }
    return std::vector<Values>{out};
  };
  return c;
}

// kv_b_proj [h · (nope + value), L]: keys and values of each head.
struct ExpandedSizes {
  int64_t nope, value;
  modelc_dtype dtype;
};

Case ExpandedCase(const AttendSizes& s, const ExpandedSizes& e, const LatentLayout& layout, bool timed = false) {
  const int64_t L = layout.L, R = layout.R, rows = e.nope + e.value;
  const double scale = 1 / std::sqrt(static_cast<double>(e.nope + R));
  Case c;
  c.op = "mla.attend_expanded";
  c.name = SizesName({{"h", s.h}, {"k", s.k}, {"nope", e.nope}, {"value", e.value}}) + " " +
           LatentName(s.chunks, s.padding, layout) + " W=" + Name(e.dtype);
  c.attributes = {{"scale", scale}, {"nope", e.nope}, {"format", layout.format}};
  c.names = {{"W.dtype", Name(e.dtype)}, {"h", s.h}, {"L", L}, {"R", R}, {"nope", e.nope}, {"format", layout.format}};
  c.make = [=](Random& r) {
    Tensors t = AttendInputs(r, s, e.nope + R, layout);
    t.push_back(Weight(r, e.dtype, {s.h * rows, L}, 1 / std::sqrt(static_cast<double>(L))));
    t.push_back(Output(MODELC_F32, {t[0].shape[0], s.h, e.value}).PerRow());
    return t;
  };
  c.reference = [=](const Tensors& t) {
    const Step step = Step::From(t[3], t[4], t[5]);
    const Values q = ToValues(t[0]), w = ToValues(t[7]);
    Values out;
    for (int64_t i = 0; i < step.T(); ++i) {
      if (step.IsPadding(i)) {
        out.resize(out.size() + s.h * e.value, kAny);
        continue;
      }
      const std::vector<Values> records = RecordsOf(t, step, i, s.k, layout);
      for (int64_t h = 0; h < s.h; ++h) {
        // Keys and values of the head, as records of such a width: what attention over latents sums is then their values.
        std::vector<Values> pairs;
        for (const Values& record : records) {
          Values pair(rows + R);
          for (int64_t n = 0; n < rows; ++n)
            for (int64_t l = 0; l < L; ++l) pair[n] += w[(h * rows + n) * L + l] * record[l];
          std::copy_n(&record[L], R, &pair[rows]);
          pairs.push_back(std::move(pair));
        }
        const int64_t head = i * s.h + h;
        Values query(rows);
        std::copy_n(&q[head * (e.nope + R)], e.nope, query.begin());
        const Sums sums = SumRecords(query, RopeQuery(t, head, layout), pairs, scale);
        for (int64_t v = e.nope; v < rows; ++v) out.push_back(sums.values[v] / sums.weight);
      }
    }
    return std::vector<Values>{out};
  };
  c.flops = 2.0 * SeenBy(s) * s.h * (e.nope + R + e.value);
  c.bytes = SeenBy(s) * layout.record_bytes();
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
    cases.push_back(AttendCase({mixed, 2, 4, 0}, small, 1, false, 3));
    cases.push_back(AttendCase({mixed, 1, 3, 33}, odd, 1, false, 64));  // more parts than keys
    cases.push_back(AttendCase({{{300, 1}, {5, 6}}, 1, 16, 64}, published, 1, false, 4));
    cases.push_back(AttendCase({{}, 0, 2, 8}, small, 1, false, 2));
    for (modelc_dtype dtype : {MODELC_F8E4M3, MODELC_BF16, MODELC_F32}) {
      cases.push_back(ExpandedCase({mixed, 2, 4, 0}, {12, 20, dtype}, small));
      cases.push_back(ExpandedCase({{{0, 70}, {130, 3}}, 1, 2, 0}, {12, 20, dtype}, small));  // rows that share keys
      cases.push_back(ExpandedCase({{{130, 20}, {7, 3}}, 1, 3, 33}, {33, 17, dtype}, odd));   // and those that choose
    }
    cases.push_back(ExpandedCase({{{100, 1}, {0, 6}}, 0, 3, 0}, {128, 128, MODELC_F8E4M3}, published));
    cases.push_back(ExpandedCase({{{0, 1}}, 0, 1, 1}, {12, 20, MODELC_F8E4M3}, small));
    cases.push_back(ExpandedCase({{}, 2, 2, 8}, {12, 20, MODELC_F8E4M3}, small));
    cases.push_back(ExpandedCase({{}, 0, 2, 0}, {12, 20, MODELC_F8E4M3}, small));
  }
  cases.push_back(MergeCase(3, 4, 2, 40));
  cases.push_back(MergeCase(5, 3, 7, 512));
  cases.push_back(MergeCase(2, 1, 64, 9));
  cases.push_back(MergeCase(0, 2, 2, 8));
  for (const char* format : {"f8", "bf16", "i8"}) {
    const LatentLayout published{format, 512, 64};
    cases.push_back(AttendCase({{{4095, 1}}, 0, 128, 2048}, published, 1, true));
    cases.push_back(AttendCase({{{2047, 1}}, 0, 128, 0}, published, 1, true));
    cases.push_back(AttendCase({std::vector<Chunk>(8, {4095, 1}), 0, 128, 2048}, published, 1, true));
    cases.push_back(AttendCase({{{1792, 256}}, 0, 16, 0}, published, 1, true));
    cases.push_back(ExpandedCase({{{1792, 256}}, 0, 16, 0}, {128, 128, MODELC_F8E4M3}, published, true));
  }
  return cases;
}

}  // namespace modelc::conformance
