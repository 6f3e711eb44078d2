//===- RouteKernel.cpp - moe.route ----------------------------------------===//
#include "core/compiler/codegen/Kernels.h"

using namespace mlir;

namespace modelc::codegen {
namespace {

// Choices by integer keys (CodeBuilder::sortKey), whose order is total: the largest key, then the lowest index.
class Route {
public:
  Route(Kernel &k)
      : k(k), c(k.c), experts(k.size(0, 1)), active(k.size(2, 1)), groups(k.integer("groups")),
        perGroup(groups ? experts / groups : 0), kept(k.integer("topk_group")) {}

  LogicalResult run() {
    if (experts <= 0 || active <= 0 || groups <= 0 || experts % groups || kept > groups)
      return k.error() << "chooses " << active << " of " << experts << " experts in " << groups << " groups, of which "
                       << kept << " stay";
    Type f32 = c.getF32Type(), i32 = c.getI32Type();
    score = k.scratch({experts}, f32);
    key = k.scratch({experts}, i32);
    groupKey = k.scratch({groups}, i32);
    chosen = k.scratch({active}, i32);
    k.forItems({{0, 0}}, [&](ArrayRef<Val> place) { route(place[0]); });
    return success();
  }

private:
  void route(Val t) {
    c.eachVector(experts, [&](Val e, int64_t n) {
      Val s = 1.0 / (exp(-c.load(k.tensor(0), {t, e}, n)) + 1.0);
      c.store(s, score, {e});
      c.store(c.sortKey(s + c.loadF32(k.tensor(1), {e}, n)), key, {e});
    });
    if (kept < groups)
      keepGroups(t);
    Val none = c.number(CodeBuilder::noKey, c.getI32Type());
    c.loop(active, [&](Val a) {
      Val best = largest(key, c.index(0), experts);
      c.store(best, chosen, {a});
      c.store(none, key, {convert(best, c.getIndexType())});
    });
    write(t);
  }

  // Takes the keys of all groups but the best ones away.
  void keepGroups(Val t) {
    c.loop(groups, [&](Val g) {
      Val first = g * perGroup, best = largest(key, first, perGroup);
      Val value = biased(t, best);
      if (perGroup > 1) {
        Val place = convert(best, c.getIndexType()), kept = c.load(key, {place});
        c.store(c.number(CodeBuilder::noKey, kept.type()), key, {place});
        value = value + biased(t, largest(key, first, perGroup));
        c.store(kept, key, {place});
      }
      c.store(c.sortKey(value), groupKey, {g});
    });
    Value stays = c.stack({groups}, c.getI32Type());
    c.loop(groups, [&](Val g) { c.store(c.i32(0), stays, {g}); });
    c.loop(kept, [&](Val) {
      Val best = convert(largest(groupKey, c.index(0), groups), c.getIndexType());
      c.store(c.number(CodeBuilder::noKey, c.getI32Type()), groupKey, {best});
      c.store(c.i32(1), stays, {best});
    });
    c.loop(groups, [&](Val g) {
      c.ifThen(c.load(stays, {g}) == 0, [&] {
        c.eachVector(perGroup, [&](Val e, int64_t n) {
          Val none = c.number(CodeBuilder::noKey, c.vectorOf(c.getI32Type(), n));
          c.store(none, key, {g * perGroup + e});
        });
      });
    });
  }

  Val biased(Val, Val expert) {
    Val e = convert(expert, c.getIndexType());
    return c.load(score, {e}) + c.loadF32(k.tensor(1), {e});
  }

  // The number (i32) of the largest of keys first … first + n - 1, the lowest among equals.
  Val largest(Value keys, Val first, int64_t n) {
    const int64_t lanes = std::min(c.lanes(), n), whole = n / lanes * lanes;
    auto type = c.vectorOf(c.getI32Type(), lanes);
    Val numbers = c.counting(lanes), base = convert(first, c.getI32Type());
    CodeBuilder::Vals best =
        c.loop(c.index(0), c.index(whole), c.index(lanes), {c.number(CodeBuilder::noKey, type), numbers + base},
               [&](Val i, ArrayRef<Val> before) {
                 Val value = c.load(keys, {first + i}, lanes), better = value > before[0];
                 Val place = numbers + (base + convert(i, c.getI32Type()));
                 return CodeBuilder::Vals{select(better, value, before[0]), select(better, place, before[1])};
               });
    Val top = maxLanes(best[0]);
    // The lowest place among the lanes that have it: the negative of the largest negative.
    Val place = 0.0 - maxLanes(select(best[0] == top, 0.0 - best[1], double(INT32_MIN)));
    for (int64_t i = whole; i < n; ++i) {
      Val value = c.load(keys, {first + i}), better = value > top;
      top = select(better, value, top);
      place = select(better, base + i, place);
    }
    return place;
  }

  // The chosen in order of their number: each goes to the place of how many are below it.
  void write(Val t) {
    Type index = c.getIndexType();
    c.loop(active, [&](Val a) {
      Val expert = c.load(chosen, {a});
      Val below = c.loop(c.index(0), c.index(active), c.index(1), {c.i32(0)}, [&](Val b, ArrayRef<Val> before) {
        return CodeBuilder::Vals{before[0] + extendUnsigned(c.load(chosen, {b}) < expert, c.getI32Type())};
      })[0];
      c.store(expert, k.tensor(3), {t, convert(below, index)});
    });
    auto weight = [&](Val a) { return c.load(score, {convert(c.load(k.tensor(3), {t, a}), index)}); };
    Val factor = c.f32(k.real("scale"));
    if (k.integer("normalize"))
      factor = factor / c.loop(c.index(0), c.index(active), c.index(1), {c.f32(0)},
                               [&](Val a, ArrayRef<Val> sum) { return CodeBuilder::Vals{sum[0] + weight(a)}; })[0];
    c.loop(active, [&](Val a) { c.store(weight(a) * factor, k.tensor(2), {t, a}); });
  }

  Kernel &k;
  CodeBuilder &c;
  int64_t experts, active, groups, perGroup, kept;
  Value score, key, groupKey, chosen;
};

} // namespace

LogicalResult writeRoute(Kernel &k) { return Route(k).run(); }

} // namespace modelc::codegen
