// mla.attend_latent and mla.attend_expanded: attention in latent space, or over keys and values made of latents; over
// selected positions or over all visible ones.
//
// Rows are grouped to tiles: one row with its own list of positions, or several neighbouring rows of one sequence that
// see the same positions up to their own. Expanded, rows with lists share tiles, too: a row masks what is not in its own.
// A tile's (row, head) pairs are the columns of the inner loops. Its keys are cut into spans, and a span's result is always
// computed from nothing and then merged in order, by whoever computes it: spans depend on the row's number of keys alone, so
// the result does not depend on the team or on the other rows.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backends/cpu/kernels/args.h"
#include "backends/cpu/kernels/attend_records.h"
#include "backends/cpu/kernels/attention.h"
#include "backends/cpu/kernels/expanded_records.h"
#include "backends/cpu/kernels/paged.h"

namespace modelc::cpu {
namespace {

constexpr int64_t kSpanKeys = 512;     // shortest span
constexpr int64_t kMaxSpans = 32;      // longer contexts get longer spans
constexpr int64_t kTileColumns = 128;  // (row, head) pairs a tile aims at
constexpr int64_t kTileRows = 256;     // rows of a tile whose records are expanded, a head at a time
constexpr float kLowest = -std::numeric_limits<float>::infinity();

int64_t SpanLength(int64_t keys) {
  int64_t length = kSpanKeys;
  while (keys > length * kMaxSpans) length *= 2;
  return length;
}

struct Tile {
  int64_t row;
  int64_t rows;
  int64_t keys;    // of the row that has most
  int64_t spans() const { return (keys + SpanLength(keys) - 1) / SpanLength(keys); }
};

// One unit of work: a range of a tile's heads over one span.
struct Unit {
  Tile tile;
  int64_t head, heads;
  int64_t columns() const { return tile.rows * heads; }
};

// What a span adds to each column: softmax sums relative to the column's largest score.
struct Partial {
  float *max, *sum;  // [columns]
  float* values;     // [columns, L]
};

template <typename Records>
class Attend final : public Kernel {
 public:
  Attend(CacheFormat format, float scale, int64_t nope = 0) : format_(format), scale_(scale), nope_(nope) {}

  absl::Status Check(absl::Span<const Tensor> t) const override {
    if constexpr (Records::kExpands) return CheckExpanded(t);
    absl::StatusOr<Dims> dims = Match({{"q_lat", {MODELC_F32}, "ThL"},
                                       {"q_rope", {MODELC_F32}, "ThR"},
                                       {"sel", {MODELC_I32}, "Tk", /*optional=*/true},
                                       {"pos", {MODELC_I32}, "T"},
                                       {"seq", {MODELC_I32}, "T"},
                                       {"pages", {MODELC_I32}, "SP"},
                                       {"cache", {MODELC_U8}, "NB"},
                                       {"out", {MODELC_F32}, "ThL"}},
                                      t);
    if (!dims.ok()) return dims.status();
    return CheckPageBytes(t[6], Step(*this, t).shape.layout.page_bytes());
  }

  void Run(absl::Span<const Tensor> t, Worker& worker) const override;

  Traffic Reads(absl::Span<const Tensor> t) const override {
    return {Records::kExpands ? WeightBytes(t[7], t[7].shape[0]) : 0, 0};
  }

 private:
  // The operands of one command by name.
  struct Step {
    Step(const Attend& op, absl::Span<const Tensor> t)
        : q(t[0].as<float>()), q_rope(t[1].as<float>()), sel(t[2].as<int32_t>()), k(t[2] ? t[2].shape[1] : 0),
          rows(t[3], t[4], t[5], t[6]), out(t.back().as<float>()), n_rows(t[0].shape[0]), heads(t[0].shape[1]),
          shape{.layout = {op.format_, Records::kExpands ? t[7].last() : t[0].shape[2], t[1].shape[2]},
                .heads = heads,
                .query = t[0].shape[2],
                .value = t.back().shape[2],
                .weight = Records::kExpands ? &t[7] : nullptr,
                .nope = op.nope_} {}
    const float *q, *q_rope;
    const int32_t* sel;
    int64_t k;
    PagedRows rows;
    float* out;
    int64_t n_rows, heads;
    AttendShape shape;
    // What a tile walks along: a row's list, or positions.
    bool lists() const { return sel && !Records::kExpands; }
  };
  // A worker's memory for one unit.
  struct Scratch {
    Scratch(const Simd& simd, const AttendShape& shape, const Unit& largest, int64_t padded, Carver carver);
    Records records;
    size_t bytes;
    float* scores;            // [kTileKeys, ScoreStride]
    float* factor;            // [padded columns]
    int32_t* limit;           // [padded columns]
    const std::byte** where;  // [2 kTileKeys]
    Partial span, total;
  };

  absl::Status CheckExpanded(absl::Span<const Tensor> t) const;
  int64_t Padded(int64_t columns) const { return (columns + simd_.lanes - 1) / simd_.lanes * simd_.lanes; }
  int64_t Keys(const Step& step, int64_t row) const;
  int64_t MakeTiles(const Step& step, Tile* tiles) const;
  void LoadQuery(const Step& step, const Unit& unit, const Scratch& s) const;
  void Locate(const Step& step, const Tile& tile, int64_t first, int64_t n, const std::byte** where) const;
  void MaskUnselected(const Step& step, const Unit& unit, int64_t first, int64_t n, float* scores, int64_t stride) const;
  void AttendSpan(const Step& step, const Unit& unit, int64_t span, const Scratch& s, const Partial& out,
                  Worker& worker) const;
  void Merge(const Partial& from, int64_t columns, int64_t width, const Partial& into) const;
  void Finish(const Step& step, const Unit& unit, const Partial& total) const;

  const Simd& simd_ = SimdFor(HostIsa());
  CacheFormat format_;
  float scale_;
  int64_t nope_;
};

template <typename Records>
absl::Status Attend<Records>::CheckExpanded(absl::Span<const Tensor> t) const {
  absl::StatusOr<Dims> dims = Match({{"q", {MODELC_F32}, "ThD"},
                                     {"q_rope", {MODELC_F32}, "ThR"},
                                     {"sel", {MODELC_I32}, "Tk", /*optional=*/true},
                                     {"pos", {MODELC_I32}, "T"},
                                     {"seq", {MODELC_I32}, "T"},
                                     {"pages", {MODELC_I32}, "SP"},
                                     {"cache", {MODELC_U8}, "NB"},
                                     {"W", kFloatWeights, "WL"},
                                     {"out", {MODELC_F32}, "ThV"}},
                                    t);
  if (!dims.ok()) return dims.status();
  MODELC_CPU_RETURN_IF_ERROR(CheckWeight("W", t[7], Act::kNone));
  const int64_t wanted = (*dims)['h'] * (nope_ + (*dims)['V']);
  if ((*dims)['W'] != wanted)
    return absl::InvalidArgumentError(
        absl::StrCat("tensor 'W' has ", (*dims)['W'], " rows; wanted heads · (nope + values) = ", wanted));
  if (nope_ > (*dims)['D'])
    return absl::InvalidArgumentError(absl::StrCat("nope is ", nope_, "; tensor 'q' has ", (*dims)['D'], " values a head"));
  return CheckPageBytes(t[6], Step(*this, t).shape.layout.page_bytes());
}

Partial TakePartial(Carver& carver, int64_t padded, int64_t columns, int64_t width) {
  Partial p;
  p.max = carver.Take<float>(padded);
  p.sum = carver.Take<float>(padded);
  p.values = carver.Take<float>(columns * width);
  return p;
}

void Clear(const Partial& p, int64_t padded, int64_t columns, int64_t width) {
  std::fill_n(p.max, padded, kLowest);
  std::fill_n(p.sum, padded, 0.0f);
  std::fill_n(p.values, columns * width, 0.0f);
}

template <typename Records>
Attend<Records>::Scratch::Scratch(const Simd& simd, const AttendShape& shape, const Unit& largest, int64_t padded,
                                  Carver carver)
    : records(simd, shape, largest.columns(), padded, carver) {
  scores = carver.Take<float>(kTileKeys * ScoreStride(padded));
  factor = carver.Take<float>(padded);
  limit = carver.Take<int32_t>(padded);
  where = carver.Take<const std::byte*>(2 * kTileKeys);
  span = TakePartial(carver, padded, largest.columns(), shape.value);
  total = TakePartial(carver, padded, largest.columns(), shape.value);
  bytes = carver.used();
}

// Positions a tile of the row walks along: the length of its list, or all it sees.
template <typename Records>
int64_t Attend<Records>::Keys(const Step& step, int64_t row) const {
  const int64_t visible = step.rows.Visible(row);
  if (!step.lists() || visible == 0) return visible;
  const int32_t* list = step.sel + row * step.k;
  return std::find_if(list, list + step.k, [](int32_t p) { return p < 0; }) - list;
}

// Rows that see nothing are in no tile.
template <typename Records>
int64_t Attend<Records>::MakeTiles(const Step& step, Tile* tiles) const {
  const int64_t most_rows = Records::kExpands ? kTileRows
                            : step.sel        ? 1
                                              : std::max<int64_t>(1, kTileColumns / std::max<int64_t>(1, step.heads));
  int64_t n = 0;
  for (int64_t row = 0; row < step.n_rows; ++row) {
    const int64_t keys = Keys(step, row);
    if (step.rows.Visible(row) == 0) continue;
    Tile* last = n > 0 ? &tiles[n - 1] : nullptr;
    if (last && last->row + last->rows == row && last->rows < most_rows &&
        step.rows.Sequence(last->row) == step.rows.Sequence(row) && SpanLength(last->keys) == SpanLength(keys)) {
      ++last->rows;
      last->keys = std::max(last->keys, keys);
    } else {
      tiles[n++] = {row, 1, keys};
    }
  }
  return n;
}

template <typename Records>
void Attend<Records>::LoadQuery(const Step& step, const Unit& unit, const Scratch& s) const {
  const int64_t width = step.shape.query, rope = step.shape.layout.rope;
  for (int64_t c = 0; c < unit.columns(); ++c) {
    const int64_t column = (unit.tile.row + c / unit.heads) * step.heads + unit.head + c % unit.heads;
    s.records.SetQuery(c, step.q + column * width, step.q_rope + column * rope);
  }
}

// Addresses of the tile's records first … first + n - 1; null for a page that is not there.
template <typename Records>
void Attend<Records>::Locate(const Step& step, const Tile& tile, int64_t first, int64_t n,
                          const std::byte** where) const {
  const int32_t* list = step.lists() ? step.sel + tile.row * step.k + first : nullptr;
  const int64_t bytes = step.shape.layout.record_bytes();
  for (int64_t i = 0; i < n; ++i) {
    const int64_t position = list ? list[i] : first + i;
    const std::byte* page = step.rows.Page(tile.row, position);
    where[i] = page ? page + position % kPageTokens * bytes : nullptr;
  }
}

// Takes the positions first … first + n - 1 that are not in a row's list out of the row's scores.
template <typename Records>
void Attend<Records>::MaskUnselected(const Step& step, const Unit& unit, int64_t first, int64_t n, float* scores,
                                     int64_t stride) const {
  for (int64_t c = 0; c < unit.columns(); ++c) {
    const int32_t* list = step.sel + (unit.tile.row + c / unit.heads) * step.k;
    // As unsigned numbers the -1 behind a list's end are its largest.
    const auto before = [](int32_t a, int64_t b) { return static_cast<uint32_t>(a) < b; };
    const int32_t* next = std::lower_bound(list, list + step.k, first, before);
    for (int64_t i = 0; i < n; ++i) {
      if (next != list + step.k && *next == first + i)
        ++next;
      else
        scores[i * stride + c] = kLowest;
    }
  }
}

template <typename Records>
void Attend<Records>::AttendSpan(const Step& step, const Unit& unit, int64_t span, const Scratch& s, const Partial& out,
                                 Worker& worker) const {
  const int64_t columns = unit.columns(), padded = Padded(columns);
  const int64_t length = SpanLength(unit.tile.keys);
  const int64_t begin = span * length, end = std::min(begin + length, unit.tile.keys);
  Clear(out, padded, columns, step.shape.value);
  for (int64_t first = begin; first < end; first += kTileKeys) {
    const int64_t n = std::min(kTileKeys, end - first);
    const int64_t next = std::min(kTileKeys, end - first - n);
    if (first == begin)
      Locate(step, unit.tile, first, n, s.where);
    else
      std::copy_n(s.where + kTileKeys, n, s.where);
    Locate(step, unit.tile, first + n, next, s.where + n);
    s.records.Load({s.where, n, next, first == begin}, unit.head);
    for (int64_t c = 0; c < padded; ++c) {
      const int64_t row = unit.tile.row + c / unit.heads;
      const int64_t keys = c >= columns ? 0 : unit.tile.rows == 1 ? unit.tile.keys : step.rows.Visible(row);
      s.limit[c] = static_cast<int32_t>(std::clamp<int64_t>(keys - first, 0, n));
    }
    s.records.Score(columns, n, s.scores, ScoreStride(padded));
    if (step.sel && !step.lists()) MaskUnselected(step, unit, first, n, s.scores, ScoreStride(padded));
    simd_.softmax(s.scores, ScoreStride(padded), padded, n, scale_, s.limit, out.max, out.sum, s.factor);
    s.records.AddWeighted({s.scores, padded, s.factor, s.limit}, columns, unit.heads, n, out.values);
  }
  if (unit.head == 0) worker.AddTraffic({.cache_bytes = static_cast<uint64_t>((end - begin) * step.shape.layout.record_bytes())});
}

template <typename Records>
void Attend<Records>::Merge(const Partial& from, int64_t columns, int64_t width, const Partial& into) const {
  for (int64_t c = 0; c < columns; ++c) {
    if (from.sum[c] == 0.0f && from.max[c] == kLowest) continue;  // the span has no key for the column
    const float top = std::max(into.max[c], from.max[c]);
    const float base = top == kLowest ? 0.0f : top;
    const float keep = std::exp(into.max[c] - base), add = std::exp(from.max[c] - base);
    into.max[c] = top;
    into.sum[c] = into.sum[c] * keep + from.sum[c] * add;
    float* to = into.values + c * width;
    if (keep != 1.0f)
      for (int64_t d = 0; d < width; ++d) to[d] *= keep;
    simd_.multiply_add(from.values + c * width, add, width, to);
  }
}

template <typename Records>
void Attend<Records>::Finish(const Step& step, const Unit& unit, const Partial& total) const {
  const int64_t width = step.shape.value;
  for (int64_t c = 0; c < unit.columns(); ++c) {
    const int64_t column = (unit.tile.row + c / unit.heads) * step.heads + unit.head + c % unit.heads;
    const float factor = total.sum[c] == 0.0f ? 0.0f : 1.0f / total.sum[c];
    for (int64_t d = 0; d < width; ++d) step.out[column * width + d] = total.values[c * width + d] * factor;
  }
}

template <typename Records>
void Attend<Records>::Run(absl::Span<const Tensor> t, Worker& worker) const {
  const Step step(*this, t);
  if (step.n_rows == 0 || step.heads == 0) return;

  // The tiles, made anew by every worker; the rest of the scratch follows them.
  const size_t tile_bytes = (step.n_rows * sizeof(Tile) + 63) / 64 * 64;
  Tile* tiles = reinterpret_cast<Tile*>(worker.Scratch(tile_bytes));
  const int64_t n_tiles = MakeTiles(step, tiles);
  if (n_tiles == 0) return;
  int64_t most_rows = 1, most_spans = 1;
  for (int64_t i = 0; i < n_tiles; ++i) {
    most_rows = std::max(most_rows, tiles[i].rows);
    most_spans = std::max(most_spans, tiles[i].spans());
  }

  // With few tiles their spans are separate units, and where that is still not enough, groups of heads.
  const int64_t wanted = worker.count() == 1 ? 1 : 2 * worker.count();
  const bool split_spans = n_tiles < wanted && most_spans > 1;
  const int64_t units = n_tiles * (split_spans ? most_spans : 1);
  const int64_t head_groups =
      std::clamp<int64_t>((worker.count() + units - 1) / units, 1, std::max<int64_t>(1, step.heads / simd_.lanes));
  const int64_t group = Records::kExpands
                            ? 1
                            : ((step.heads + head_groups - 1) / head_groups + simd_.lanes - 1) / simd_.lanes * simd_.lanes;
  const int64_t groups = (step.heads + group - 1) / group;
  const auto unit_of = [&](int64_t tile, int64_t g) {
    return Unit{tiles[tile], g * group, std::min(group, step.heads - g * group)};
  };

  const Unit largest{{0, most_rows, 0}, 0, std::min(group, step.heads)};
  const int64_t padded = Padded(largest.columns()), width = step.shape.value;
  const size_t bytes = Scratch(simd_, step.shape, largest, padded, Carver(nullptr)).bytes;
  std::byte* memory = worker.Scratch(tile_bytes + bytes);
  tiles = reinterpret_cast<Tile*>(memory);
  MakeTiles(step, tiles);  // again: the scratch may have moved
  const Scratch s(simd_, step.shape, largest, padded, Carver(memory + tile_bytes));

  if (!split_spans) {
    for (int64_t task; (task = worker.Next()) < n_tiles * groups;) {
      const Unit unit = unit_of(n_tiles - 1 - task / groups, task % groups);  // long tiles first
      LoadQuery(step, unit, s);
      Clear(s.total, padded, unit.columns(), width);
      for (int64_t span = 0; span < unit.tile.spans(); ++span) {
        AttendSpan(step, unit, span, s, s.span, worker);
        Merge(s.span, unit.columns(), width, s.total);
      }
      Finish(step, unit, s.total);
    }
    return;
  }

  Carver measure(nullptr);
  TakePartial(measure, padded, largest.columns(), width);
  const size_t partial_bytes = measure.used();
  std::byte* partials = worker.Shared(n_tiles * groups * most_spans * partial_bytes);
  const auto partial_of = [&](int64_t unit, int64_t span) {
    Carver carver(partials + (unit * most_spans + span) * partial_bytes);
    return TakePartial(carver, padded, largest.columns(), width);
  };
  int64_t loaded = -1;  // the unit whose query is in the scratch
  for (int64_t task; (task = worker.Next()) < n_tiles * groups * most_spans;) {
    const int64_t number = task / most_spans, span = task % most_spans;
    const Unit unit = unit_of(number / groups, number % groups);
    if (span >= unit.tile.spans()) continue;
    if (loaded != number) LoadQuery(step, unit, s);
    loaded = number;
    AttendSpan(step, unit, span, s, partial_of(number, span), worker);
  }
  worker.Barrier();
  for (int64_t number; (number = worker.Next()) < n_tiles * groups;) {
    const Unit unit = unit_of(number / groups, number % groups);
    Clear(s.total, padded, unit.columns(), width);
    for (int64_t span = 0; span < unit.tile.spans(); ++span)
      Merge(partial_of(number, span), unit.columns(), width, s.total);
    Finish(step, unit, s.total);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Kernel>> MakeLatentAttend(const nlohmann::json& attributes) {
  CacheFormat format{};
  float scale = 0;
  Attributes a(attributes);
  a.Number("scale", &scale);
  ReadFormat(a, &format);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  if (format == CacheFormat::kI8) return std::make_unique<Attend<Int8Records>>(format, scale);
  return std::make_unique<Attend<FloatRecords>>(format, scale);
}

absl::StatusOr<std::unique_ptr<Kernel>> MakeExpandedAttend(const nlohmann::json& attributes) {
  CacheFormat format{};
  float scale = 0;
  int64_t nope = 0;
  Attributes a(attributes);
  a.Number("scale", &scale);
  a.Integer("nope", &nope, 1);
  ReadFormat(a, &format);
  MODELC_CPU_RETURN_IF_ERROR(a.Finish());
  return std::make_unique<Attend<ExpandedRecords>>(format, scale, nope);
}

}  // namespace modelc::cpu
