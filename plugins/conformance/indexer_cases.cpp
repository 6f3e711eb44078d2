// dsa.append, dsa.logits, dsa.block_scores, dsa.window_scores, dsa.select, dsa.logits_select.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "plugins/conformance/cache.h"

namespace modelc::conformance {
namespace {

std::string IndexName(const std::vector<Chunk>& chunks, int64_t padding, const IndexLayout& layout) {
  return SizesName({{"D", layout.D}}) + " " + ChunksName(chunks, padding) + " format=" + layout.format;
}

// What dsa.select defines: the k best of score[0 … visible-1], ascending, -1 behind.
void SelectRow(const double* score, int64_t visible, int64_t k, double* selected) {
  std::vector<int64_t> order(visible);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    if (std::isnan(score[a]) != std::isnan(score[b])) return std::isnan(score[b]);
    if (score[a] > score[b] || score[a] < score[b]) return score[a] > score[b];
    return a < b;
  });
  order.resize(std::min(k, visible));
  std::sort(order.begin(), order.end());
  std::fill_n(selected, k, -1.0);
  std::copy(order.begin(), order.end(), selected);
}

Case AppendCase(const std::vector<Chunk>& chunks, int64_t padding, const IndexLayout& layout) {
  Case c;
  c.op = "dsa.append";
  c.name = IndexName(chunks, padding, layout);
  c.attributes = {{"format", layout.format}};
  c.names = {{"D", layout.D}, {"format", layout.format}};
  c.make = [=](Random& r) {
    const Step step = Step::Make(r, chunks, padding);
    Tensors t{NormalF32(r, {step.T(), layout.D}).PerRow()};
    step.Append(t);
    t.push_back(FilledCache(layout, step, [&] { return Values(layout.D, 1.0); }).InOut());
    return t;
  };
  c.reference = [=](const Tensors& t) {
    const Step step = Step::From(t[1], t[2], t[3]);
    const Values key = ToValues(t[0]);
    HostTensor cache = t[4];
    for (int64_t i = 0; i < step.T(); ++i) {
      if (step.IsPadding(i)) continue;
      layout.Write(&cache.bytes[step.Page(i, step.pos[i]) * layout.page_bytes()], step.pos[i] % kPageTokens,
                   &key[i * layout.D]);
    }
    return std::vector<Values>{ToValues(cache)};
  };
  return c;
}

struct ScoreSizes {
  std::vector<Chunk> chunks;
  int64_t padding, heads;
};

// Queries, head weights, step and keys. `exact`: small integers, so that every order of summation gives the same float
// and equal scores are common; times 127 where int8 holds them, whose scale then is 1.
Tensors ScoreInputs(Random& r, const ScoreSizes& s, const IndexLayout& layout, bool exact) {
  const double unit = layout.format == "i8" ? 127 : 1;
  const auto numbers = [&](int64_t n, int64_t range, double unit) {
    Values values(n);
    for (double& v : values) v = exact ? unit * static_cast<double>(r.Below(2 * range + 1) - range) : r.Normal();
    return values;
  };
  const Step step = Step::Make(r, s.chunks, s.padding);
  const int64_t T = step.T();
  Tensors t{F32({T, s.heads, layout.D}, numbers(T * s.heads * layout.D, 1, unit)).PerRow(),
            F32({T, s.heads}, numbers(T * s.heads, 2, 1)).PerRow()};
  step.Append(t);
  t.push_back(FilledCache(layout, step, [&] { return numbers(layout.D, 1, unit); }));
  return t;
}

// [T, C] scores; `unseen` beyond a row's visible positions, kAny in padding rows.
Values Scores(const Tensors& t, const IndexLayout& layout, int64_t C, double scale, double unseen) {
  const Step step = Step::From(t[2], t[3], t[4]);
  const int64_t heads = t[1].shape[1], D = layout.D;
  Values q = ToValues(t[0]);
  const Values w = ToValues(t[1]);
  if (layout.format == "i8") {
    for (auto head = q.begin(); head != q.end(); head += D) {
      const Int8Row row = RoundToInt8(&*head, D, kLeastI8);
      std::transform(row.values.begin(), row.values.end(), head, [&](int8_t v) { return v * row.scale; });
    }
  }
  Values score(step.T() * C, kAny);
  for (int64_t i = 0; i < step.T(); ++i) {
    if (step.IsPadding(i)) continue;
    for (int64_t p = 0; p < C; ++p) {
      double& sum = score[i * C + p];
      sum = unseen;
      if (p >= step.visible(i)) continue;
      const Values key = layout.Read(&t[5].bytes[step.Page(i, p) * layout.page_bytes()], p % kPageTokens);
      sum = 0;
      for (int64_t h = 0; h < heads; ++h) {
        double dot = 0;
        for (int64_t d = 0; d < D; ++d) dot += q[(i * heads + h) * D + d] * key[d];
        sum += w[i * heads + h] * std::max(dot, 0.0);
      }
      sum *= scale;
    }
  }
  return score;
}

double PairsSeen(const std::vector<Chunk>& chunks) {
  double seen = 0;
  for (const Chunk& c : chunks) seen += 0.5 * c.count * (2.0 * c.start + c.count + 1);
  return seen;
}

int64_t LongestContext(const std::vector<Chunk>& chunks) {
  int64_t longest = 0;
  for (const Chunk& c : chunks) longest = std::max<int64_t>(longest, c.start + c.count);
  return longest;
}

Case LogitsCase(const ScoreSizes& s, const IndexLayout& layout, bool timed = false) {
  constexpr double kScale = 0.03125;
  const int64_t C = LongestContext(s.chunks);
  Case c;
  c.op = "dsa.logits";
  c.name = SizesName({{"i", s.heads}}) + " " + IndexName(s.chunks, s.padding, layout);
  c.attributes = {{"scale", kScale}, {"format", layout.format}};
  c.names = {{"i", s.heads}, {"D", layout.D}, {"format", layout.format}};
  c.make = [=](Random& r) {
    Tensors t = ScoreInputs(r, s, layout, /*exact=*/false);
    t.push_back(Output(MODELC_F32, {t[0].shape[0], C}).PerRow());
    return t;
  };
  c.reference = [=](const Tensors& t) { return std::vector<Values>{Scores(t, layout, C, kScale, kUntouched)}; };
  c.flops = 2.0 * PairsSeen(s.chunks) * s.heads * layout.D;
  c.bytes = PairsSeen(s.chunks) * (layout.page_bytes() / kPageTokens + 4.0);
  c.timed = timed;
  return c;
}

Case LogitsSelectCase(const ScoreSizes& s, const IndexLayout& layout, int64_t k, bool timed = false) {
  constexpr double kScale = 0.125;
  const int64_t C = LongestContext(s.chunks);
  Case c;
  c.op = "dsa.logits_select";
  c.name = SizesName({{"i", s.heads}, {"k", k}}) + " " + IndexName(s.chunks, s.padding, layout) + " ties";
  c.attributes = {{"scale", kScale}, {"format", layout.format}, {"k", k}};
  c.names = {{"i", s.heads}, {"D", layout.D}, {"k", k}, {"format", layout.format}};
  c.make = [=](Random& r) {
    Tensors t = ScoreInputs(r, s, layout, /*exact=*/true);
    t.push_back(Output(MODELC_I32, {t[0].shape[0], k}).PerRow());
    return t;
  };
  c.reference = [=](const Tensors& t) {
    const Step step = Step::From(t[2], t[3], t[4]);
    const Values score = Scores(t, layout, C, kScale, 0);
    Values selected(step.T() * k, kAny);
    for (int64_t i = 0; i < step.T(); ++i) {
      if (!step.IsPadding(i)) SelectRow(&score[i * C], step.visible(i), k, &selected[i * k]);
    }
    return std::vector<Values>{selected};
  };
  c.flops = 2.0 * PairsSeen(s.chunks) * s.heads * layout.D;
  c.bytes = PairsSeen(s.chunks) * layout.page_bytes() / kPageTokens;
  c.timed = timed;
  return c;
}

enum class ScoreKind { kNormal, kTies, kNearTies, kSpecial, kAllEqual };

const char* Name(ScoreKind kind) {
  switch (kind) {
    case ScoreKind::kNormal:
      return "";
    case ScoreKind::kTies:
      return " ties at zero";
    case ScoreKind::kNearTies:
      return " neighbouring floats";
    case ScoreKind::kSpecial:
      return " -0, infinities, NaN";
    case ScoreKind::kAllEqual:
      return " all equal";
  }
  return "";
}

double Score(Random& r, ScoreKind kind) {
  switch (kind) {
    case ScoreKind::kNormal:
      return r.Normal();
    case ScoreKind::kTies:
      return std::max(0.0, r.Normal());
    case ScoreKind::kNearTies:
      return 1 + std::ldexp(static_cast<double>(r.Below(300)), -23);
    case ScoreKind::kSpecial: {
      const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, -NAN, 1e-42, -1e-42, 3e38, -3e38};
      return special[r.Below(10)];
    }
    case ScoreKind::kAllEqual:
      return -2.5;
  }
  return 0;
}

// Scores of each row's visible columns, with what comes before a result over them: score, pos, seq.
Tensors ScoredRows(Random& r, const std::vector<Chunk>& chunks, int64_t padding, ScoreKind kind) {
  const Step step = Step::Make(r, chunks, padding);
  const int64_t C = LongestContext(chunks);
  Values score(step.T() * C, 1e30);  // columns beyond the visible would win
  for (int64_t t = 0; t < step.T(); ++t) {
    for (int64_t p = 0; p < step.visible(t) && !step.IsPadding(t); ++p) score[t * C + p] = Score(r, kind);
  }
  return Tensors{F32({step.T(), C}, score).PerRow(), I32({step.T()}, step.pos).PerRow(), I32({step.T()}, step.seq).PerRow()};
}

Case SelectCase(const std::vector<Chunk>& chunks, int64_t padding, int64_t k, ScoreKind kind, bool timed = false) {
  const int64_t C = LongestContext(chunks);
  Case c;
  c.op = "dsa.select";
  c.name = SizesName({{"k", k}, {"C", C}}) + " " + ChunksName(chunks, padding) + Name(kind);
  c.attributes = {{"k", k}};
  c.names = {{"k", k}};
  c.make = [=](Random& r) {
    Tensors tensors = ScoredRows(r, chunks, padding, kind);
    tensors.push_back(Output(MODELC_I32, {tensors[0].shape[0], k}).PerRow());
    return tensors;
  };
  c.reference = [=](const Tensors& t) {
    const Values score = ToValues(t[0]);
    const int64_t T = t[0].shape[0];
    Values selected(T * k, kAny);
    for (int64_t i = 0; i < T; ++i) {
      if (t[2].as<int32_t>()[i] >= 0) SelectRow(&score[i * C], t[1].as<int32_t>()[i] + 1, k, &selected[i * k]);
    }
    return std::vector<Values>{selected};
  };
  c.bytes = 4.0 * PairsSeen(chunks);
  c.timed = timed;
  return c;
}

// What one row of dsa.block_scores or dsa.window_scores becomes; `size` is the block or the window.
void RescoreRow(std::string_view op, const double* score, int64_t visible, int64_t size, double* out) {
  for (int64_t p = 0; p < visible; ++p) {
    out[p] = op == "dsa.window_scores" && p >= visible - size ? INFINITY : score[p];
    if (op != "dsa.block_scores") continue;
    for (int64_t q = p / size * size; q < std::min(visible, (p / size + 1) * size); ++q)
      out[p] = std::fmax(out[p], score[q]);
  }
}

Case RescoreCase(const char* op, const char* attribute, const std::vector<Chunk>& chunks, int64_t padding, int64_t size,
                 ScoreKind kind) {
  const int64_t C = LongestContext(chunks);
  Case c;
  c.op = op;
  c.name = SizesName({{attribute, size}, {"C", C}}) + " " + ChunksName(chunks, padding) + Name(kind);
  c.attributes = {{attribute, size}};
  c.names = {{attribute, size}};
  c.nmse = 0;
  c.make = [=](Random& r) {
    Tensors tensors = ScoredRows(r, chunks, padding, kind);
    tensors.push_back(Output(MODELC_F32, {tensors[0].shape[0], C}).PerRow());
    return tensors;
  };
  c.reference = [=](const Tensors& t) {
    const Values score = ToValues(t[0]);
    Values out(score.size(), kAny);
    for (int64_t i = 0; i < t[0].shape[0]; ++i) {
      if (t[2].as<int32_t>()[i] < 0) continue;
      std::fill_n(&out[i * C], C, kUntouched);
      RescoreRow(op, &score[i * C], t[1].as<int32_t>()[i] + 1, size, &out[i * C]);
    }
    return std::vector<Values>{out};
  };
  return c;
}

}  // namespace

std::vector<Case> IndexerCases() {
  std::vector<Case> cases;
  const std::vector<Chunk> mixed = {{0, 3}, {62, 4}, {127, 1}, {191, 2}};
  for (const char* format : {"f8", "bf16", "f32", "i8"}) {
    const IndexLayout published{format, 128}, small{format, 32};
    cases.push_back(AppendCase(mixed, 0, published));
    cases.push_back(AppendCase(mixed, 2, small));
    cases.push_back(AppendCase({{63, 1}}, 1, {format, 256}));  // one scale a row, also beyond 128 values
    cases.push_back(AppendCase({}, 0, small));
    cases.push_back(LogitsCase({mixed, 2, 4}, small));
    cases.push_back(LogitsCase({{{500, 1}, {3, 5}}, 0, 64}, published));
    cases.push_back(LogitsCase({{{100, 1}}, 0, 3}, {format, 256}));
    cases.push_back(LogitsCase({{}, 0, 4}, small));
    cases.push_back(LogitsSelectCase({mixed, 1, 4}, small, 16));
    cases.push_back(LogitsSelectCase({{{700, 2}}, 0, 3}, published, 64));
    cases.push_back(LogitsSelectCase({{{0, 4}}, 0, 3}, small, 64));  // fewer visible than k
    cases.push_back(LogitsSelectCase({{}, 2, 3}, small, 8));
  }
  for (ScoreKind kind :
       {ScoreKind::kNormal, ScoreKind::kTies, ScoreKind::kNearTies, ScoreKind::kSpecial, ScoreKind::kAllEqual}) {
    cases.push_back(SelectCase(mixed, 1, 17, kind));
    cases.push_back(SelectCase({{2999, 1}, {40, 2}}, 0, 256, kind));
    cases.push_back(SelectCase({{5000, 1}}, 0, 2048, kind));
    cases.push_back(SelectCase({{333, 3}}, 0, 1, kind));
  }
  for (auto [op, attribute] : {std::pair("dsa.block_scores", "block"), std::pair("dsa.window_scores", "window")}) {
    for (ScoreKind kind : {ScoreKind::kNormal, ScoreKind::kAllEqual}) {
      cases.push_back(RescoreCase(op, attribute, mixed, 1, 16, kind));
      cases.push_back(RescoreCase(op, attribute, {{333, 3}}, 0, 7, kind));
      cases.push_back(RescoreCase(op, attribute, {{40, 2}}, 0, 64, kind));  // larger than what is visible
      cases.push_back(RescoreCase(op, attribute, {}, 0, 4, kind));
    }
    cases.push_back(RescoreCase(op, attribute, mixed, 0, 1, ScoreKind::kNormal));
  }
  cases.push_back(SelectCase({{63, 1}}, 0, 64, ScoreKind::kNormal));  // exactly k visible
  cases.push_back(SelectCase({{0, 3}}, 0, 5, ScoreKind::kNormal));    // fewer visible than k
  cases.push_back(SelectCase({}, 0, 5, ScoreKind::kNormal));
  for (int32_t depth : {4096, 32768}) {
    for (const char* format : {"f8", "i8"}) cases.push_back(LogitsCase({{{depth - 1, 1}}, 0, 64}, {format, 128}, true));
    cases.push_back(SelectCase({{depth - 1, 1}}, 0, 2048, ScoreKind::kNormal, true));
    cases.push_back(LogitsSelectCase({{{depth - 1, 1}}, 0, 64}, {"f8", 128}, 2048, true));
  }
  for (const char* format : {"f8", "i8"}) cases.push_back(LogitsCase({{{4032, 64}}, 0, 64}, {format, 128}, true));
  return cases;
}

}  // namespace modelc::conformance
