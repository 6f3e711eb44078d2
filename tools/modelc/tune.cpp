// modelc tune: searches schedules of a model's ops on this device, by measuring.
#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/runtime/executor/executor.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "nlohmann/json.hpp"
#include "tools/modelc/commands.h"
#include "tools/modelc/json_lines.h"
#include "tools/modelc/measure/report.h"
#include "tools/modelc/measure/runs.h"
#include "tools/modelc/measure/table.h"
#include "tools/modelc/model.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;

constexpr double kWorthTaking = 0.97;   // a schedule must save this much, or it is noise
constexpr double kWorstLoss = 1.05;     // at no point may the winner lose more
constexpr double kHopeless = 1.5;       // a start this much slower is not refined
constexpr int kTryRounds = 3;           // of a comparison
constexpr int kLastRounds = 7;          // of the winner's

void Declare(po::options_description& options, po::positional_options_description& positional) {
  DeclareModelFlags(options, positional);
  options.add_options()
      ("op", po::value<std::string>()->default_value("*"), "ops whose schedule to search, with wildcards: 'dsa.*'")
      ("contexts", po::value<std::string>()->default_value("512,4096"), "tokens of the sequence a step belongs to")
      ("rows", po::value<std::string>()->default_value("1,32"), "tokens of a step")
      ("repeat", po::value<int>()->default_value(5), "timed steps of each of three rounds; medians count")
      ("out", po::value<std::string>()->default_value(""), "write every trial to NAME.json and NAME.svg");
}

// What an op's schedule says: "code" -> "generated", "rows" -> "8". Ordered as the attribute prints it.
using Parameters = std::vector<std::pair<std::string, std::string>>;

// Ops whose times only make sense together, as scoring and selection may be one kernel.
struct Family {
  const char* name;
  std::vector<std::string> ops;       // with schedules
  std::vector<std::string> launches;  // whose times count
};
const Family kFamilies[] = {
    {"dsa", {"dsa.logits", "dsa.select"}, {"dsa.logits", "dsa.select", "dsa.logits_select"}},
    {"mla", {"mla.attend_latent"}, {"mla.attend_latent", "mla.attend_parts", "mla.merge_parts"}},
    {"moe", {"moe.route"}, {"moe.route"}},
};

struct Knob {
  const char *op, *name;
  std::vector<std::string> values;
  const char* after = nullptr;  // a parameter without which it says nothing
};
// Of generated code.
const Knob kKnobs[] = {
    {"dsa.logits", "rows", {"1", "4", "16", "64"}},  {"dsa.logits", "pages", {"2", "8", "32", "64"}},
    {"dsa.logits", "order", {"keys"}},
    {"dsa.select", "select", {"threshold", "bits", "heap"}}, {"dsa.select", "block", {"32", "128", "1024"}},
    {"mla.attend_latent", "split", {"2", "4", "8"}},
    {"mla.attend_latent", "order", {"keys"}, "split"},
    {"mla.attend_latent", "gather", {"page"}},
    {"mla.attend_latent", "rows", {"2", "8", "16"}, "gather"},
    {"mla.attend_latent", "keys", {"16", "32", "128"}},
    {"mla.attend_latent", "heads", {"8", "16", "64"}},
};

bool Says(const Parameters& parameters, std::string_view name) {
  return std::any_of(parameters.begin(), parameters.end(), [&](const auto& p) { return p.first == name; });
}

using Setting = std::map<std::string, Parameters>;  // by op; one that is absent keeps the default

std::string ScheduleText(const char* family, const Parameters& parameters) {
  std::vector<std::string> parts;
  for (const auto& [name, value] : parameters) parts.push_back(absl::StrCat(name, " = ", value));
  return absl::StrCat("#lm.", family, "<", absl::StrJoin(parts, ", "), ">");
}

std::string SettingText(const Setting& setting) {
  if (setting.empty()) return "default";
  std::vector<std::string> ops;
  for (const auto& [op, parameters] : setting) {
    std::string text = op;
    for (const auto& [name, value] : parameters) absl::StrAppend(&text, " ", name == "code" ? "" : name + " ", value);
    ops.push_back(text);
  }
  return absl::StrJoin(ops, "; ");
}

struct Point {
  int64_t context, rows;
};

using Seconds = std::vector<double>;  // by point

// Geometric mean of a over b.
double Ratio(const Seconds& a, const Seconds& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::log(a[i] / b[i]);
  return std::exp(sum / static_cast<double>(a.size()));
}

Sizes SizesAt(const Program& program, Point point) { return StepSizes(program, point.rows, 1, point.context); }

// A program with one setting, its cache filled once.
class Trial {
 public:
  static absl::StatusOr<std::unique_ptr<Trial>> Create(ModelSource& source, const po::variables_map& flags,
                                                       std::vector<TunedSchedule> schedules, const std::vector<Point>& points) {
    source.options.tuned = std::move(schedules);
    MODELC_ASSIGN_OR_RETURN(Program program, CompileModel(source.text, source.name, source.options));
    Point longest = points.front();
    for (const Point& point : points) {
      if (point.context > program.limits[static_cast<int>(Size::kC)] || point.rows > program.limits[static_cast<int>(Size::kT)]) {
        return absl::InvalidArgumentError(absl::StrCat("a step of ", point.rows, " rows at context ", point.context,
                                                       " is beyond --max-rows or the model's context"));
      }
      if (point.context > longest.context) longest = point;
    }
    longest.rows = 1;
    const Sizes sizes = SizesAt(program, longest);
    MODELC_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, OpenDevice(flags));
    auto trial = std::make_unique<Trial>();
    MODELC_ASSIGN_OR_RETURN(trial->executor_, Executor::Create(std::move(program), *source.checkpoint, std::move(device),
                                                               Runs::LaunchPages(sizes), nullptr));
    trial->runs_ = std::make_unique<Runs>(*trial->executor_);
    MODELC_RETURN_IF_ERROR(trial->runs_->Fill(sizes));
    return trial;
  }

  // Time in the launches of these ops.
  absl::StatusOr<Seconds> Measure(const std::vector<std::string>& ops, const std::vector<Point>& points, int repeat) {
    Seconds seconds;
    for (const Point& point : points) {
      MODELC_ASSIGN_OR_RETURN(const LaunchSeconds launches,
                              runs_->Launches("step", SizesAt(executor_->program(), point), repeat));
      double sum = 0;
      for (const auto& [launch, took] : launches) {
        if (std::find(ops.begin(), ops.end(), launch->op) != ops.end()) sum += took;
      }
      seconds.push_back(std::max(sum, 1e-9));
    }
    return seconds;
  }

 private:
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Runs> runs_;
};

class Tuner {
 public:
  Tuner(ModelSource& source, const po::variables_map& flags, std::vector<TunedSchedule> ops, std::vector<Point> points)
      : source_(source), flags_(flags), ops_(std::move(ops)), points_(std::move(points)),
        quiet_(flags["json"].as<bool>()) {}

  absl::Status Open() {
    MODELC_ASSIGN_OR_RETURN(default_, Trial::Create(source_, flags_, {}, points_));
    if (quiet_) return absl::OkStatus();
    std::printf("%-76s", "schedule");
    for (const Point& p : points_) std::printf(" %13s", absl::StrCat(p.rows, " at ", p.context).c_str());
    std::printf(" %8s\n", "of deflt");
    return absl::OkStatus();
  }

  // Searches one family, and leaves what it won in `found`.
  absl::Status Tune(const Family& family) {
    family_ = &family;
    best_ = {};
    best_ratio_ = 1;
    trial_ = 0;
    MODELC_ASSIGN_OR_RETURN(const Seconds plain, default_->Measure(family.launches, points_, repeat()));
    Note("default", plain, 1);
    for (const Setting& start : Starts(family)) {
      Setting at = start;
      double ratio = 0;
      MODELC_RETURN_IF_ERROR(Try(at, ratio));
      if (ratio > kHopeless) continue;
      for (const Knob& knob : kKnobs) {
        const auto op = at.find(knob.op);
        if (op == at.end() || op->second.front().second != "generated") continue;
        const Setting before = at;
        if (knob.after && !Says(op->second, knob.after)) continue;
        for (const std::string& value : knob.values) {
          Setting next = before;
          next[knob.op].emplace_back(knob.name, value);
          double tried = 0;
          MODELC_RETURN_IF_ERROR(Try(next, tried));
          if (tried >= ratio * kWorthTaking) continue;
          ratio = tried;
          at = next;
        }
      }
    }
    return Decide();
  }

  const std::vector<TunedSchedule>& found() const { return found_; }
  const nlohmann::json& report() const { return report_; }
  const std::vector<Plot>& plots() const { return plots_; }
  bool tunes(const Family& family) const {
    return std::any_of(ops_.begin(), ops_.end(), [&](const TunedSchedule& op) {
      return std::find(family.ops.begin(), family.ops.end(), op.op) != family.ops.end();
    });
  }

 private:
  int repeat() const { return flags_["repeat"].as<int>(); }

  // Ways to run a family, apart from the default; tiles are for later.
  std::vector<Setting> Starts(const Family& family) const {
    const Parameters library = {{"code", "library"}}, generated = {{"code", "generated"}};
    if (family.ops.size() == 1) return {{{family.ops[0], generated}}};
    const Parameters apart = {{"code", "library"}, {"fuse", "false"}};
    return {{{"dsa.logits", library}, {"dsa.select", apart}},
            {{"dsa.logits", generated}, {"dsa.select", library}},
            {{"dsa.logits", generated}, {"dsa.select", generated}}};
  }

  std::vector<TunedSchedule> Entries(const Setting& setting) const {
    std::vector<TunedSchedule> out;
    for (TunedSchedule op : ops_) {
      const auto it = setting.find(op.op);
      if (it == setting.end()) continue;
      op.schedule = ScheduleText(family_->name, it->second);
      out.push_back(std::move(op));
    }
    return out;
  }

  struct Compared {
    Seconds mine, plain;
    double ratio() const { return Ratio(mine, plain); }
  };

  // A setting and the default in turn, so that what slows the machine down slows both.
  absl::StatusOr<Compared> Compare(const Setting& setting, int rounds) {
    MODELC_ASSIGN_OR_RETURN(const auto trial, Trial::Create(source_, flags_, Entries(setting), points_));
    std::vector<Timing> mine(points_.size()), plain(points_.size());
    for (int round = 0; round < rounds; ++round) {
      MODELC_ASSIGN_OR_RETURN(const Seconds a, trial->Measure(family_->launches, points_, repeat()));
      MODELC_ASSIGN_OR_RETURN(const Seconds b, default_->Measure(family_->launches, points_, repeat()));
      for (size_t i = 0; i < points_.size(); ++i) {
        mine[i].seconds.push_back(a[i]);
        plain[i].seconds.push_back(b[i]);
      }
    }
    Compared out;
    for (size_t i = 0; i < points_.size(); ++i) {
      out.mine.push_back(mine[i].median());
      out.plain.push_back(plain[i].median());
    }
    return out;
  }

  absl::Status Try(const Setting& setting, double& ratio) {
    MODELC_ASSIGN_OR_RETURN(const Compared compared, Compare(setting, kTryRounds));
    ratio = compared.ratio();
    Note(SettingText(setting), compared.mine, ratio);
    if (ratio < best_ratio_) {
      best_ratio_ = ratio;
      best_ = setting;
    }
    return absl::OkStatus();
  }

  // The winner once more, longer: what was luck does not come twice.
  absl::Status Decide() {
    std::string verdict = "the default stays";
    if (!best_.empty() && best_ratio_ < kWorthTaking) {
      MODELC_ASSIGN_OR_RETURN(const Compared compared, Compare(best_, kLastRounds));
      double worst = 0;
      for (size_t i = 0; i < points_.size(); ++i) worst = std::max(worst, compared.mine[i] / compared.plain[i]);
      Note(absl::StrCat("again: ", SettingText(best_)), compared.mine, compared.ratio());
      if (compared.ratio() < kWorthTaking && worst < kWorstLoss) {
        verdict = absl::StrFormat("%s, %.2f of the default's time", SettingText(best_), compared.ratio());
        for (TunedSchedule& entry : Entries(best_)) {
          entry.ratio = compared.ratio();
          found_.push_back(std::move(entry));
        }
      }
    }
    report_[family_->name]["verdict"] = verdict;
    if (!quiet_) std::printf("%s: %s\n\n", family_->name, verdict.c_str());
    return absl::OkStatus();
  }

  void Note(const std::string& what, const Seconds& seconds, double ratio) {
    report_[family_->name]["trials"].push_back({{"schedule", what}, {"seconds", seconds}, {"ratio", ratio}});
    if (plots_.empty() || plots_.back().title != family_->name) {
      plots_.push_back({family_->name, "trial", "time over the default's", {}});
    }
    plots_.back().points.push_back({what, static_cast<double>(trial_++), ratio});
    if (quiet_) return;
    std::printf("%-76s", what.c_str());
    for (double s : seconds) std::printf(" %13s", modelc::Seconds(s).c_str());
    std::printf(" %8.2f\n", ratio);
    std::fflush(stdout);
  }

  ModelSource& source_;
  const po::variables_map& flags_;
  const std::vector<TunedSchedule> ops_;
  const std::vector<Point> points_;
  const bool quiet_;
  std::unique_ptr<Trial> default_;
  const Family* family_ = nullptr;
  Setting best_;
  double best_ratio_ = 1;
  int trial_ = 0;
  std::vector<TunedSchedule> found_;
  nlohmann::json report_ = nlohmann::json::object();
  std::vector<Plot> plots_;
};

absl::StatusOr<std::vector<int64_t>> Numbers(const po::variables_map& flags, const char* name) {
  std::vector<int64_t> out;
  for (absl::string_view part : absl::StrSplit(Text(flags, name), ',')) {
    int64_t value = 0;
    if (!absl::SimpleAtoi(part, &value) || value < 1 || value > (int64_t{1} << 24)) {
      return absl::InvalidArgumentError(absl::StrCat("--", name, ": '", part, "' is no number from 1 on"));
    }
    out.push_back(value);
  }
  return out;
}

absl::StatusOr<std::vector<Point>> Points(const po::variables_map& flags) {
  MODELC_ASSIGN_OR_RETURN(const std::vector<int64_t> contexts, Numbers(flags, "contexts"));
  MODELC_ASSIGN_OR_RETURN(const std::vector<int64_t> rows, Numbers(flags, "rows"));
  std::vector<Point> points;
  for (int64_t context : contexts) {
    for (int64_t count : rows) {
      if (count <= context) points.push_back({context, count});
    }
  }
  if (points.empty()) return absl::InvalidArgumentError("--rows are all above --contexts");
  return points;
}

absl::StatusOr<std::vector<TunedSchedule>> Matching(std::vector<TunedSchedule> ops, const std::string& pattern) {
  std::vector<std::string> names;
  for (const TunedSchedule& op : ops) names.push_back(op.op);
  std::erase_if(ops, [&](const TunedSchedule& op) { return fnmatch(pattern.c_str(), op.op.c_str(), 0) != 0; });
  if (!ops.empty()) return ops;
  return absl::InvalidArgumentError(
      absl::StrCat("--op '", pattern, "' matches no op with a schedule; this model has ", absl::StrJoin(names, ", ")));
}

// Puts what was found into the record: in place of what is there for the ops looked at.
absl::Status Keep(const fs::path& file, const std::vector<TunedSchedule>& searched, const std::vector<TunedSchedule>& found) {
  std::vector<TunedSchedule> record;
  if (fs::exists(file)) {
    MODELC_ASSIGN_OR_RETURN(record, ReadTuning(file));
  }
  std::erase_if(record, [&](const TunedSchedule& old) {
    return std::any_of(searched.begin(), searched.end(), [&](const TunedSchedule& s) { return old.SameKey(s); });
  });
  record.insert(record.end(), found.begin(), found.end());
  return WriteTuning(file, record);
}

absl::StatusOr<int> Run(const po::variables_map& flags) {
  const fs::path file = TuningFile(flags), out = Text(flags, "out");
  if (file.empty()) return absl::InvalidArgumentError("name the record to write: --tuning FILE");
  MODELC_RETURN_IF_ERROR(CheckReportName(out));
  if (flags["repeat"].as<int>() < 1) return absl::InvalidArgumentError("--repeat must be at least 1");
  MODELC_ASSIGN_OR_RETURN(const std::vector<Point> points, Points(flags));
  MODELC_ASSIGN_OR_RETURN(ModelSource source, OpenSource(flags));
  MODELC_ASSIGN_OR_RETURN(std::vector<TunedSchedule> ops, ScheduledOps(source.text, source.name, source.options));
  MODELC_ASSIGN_OR_RETURN(ops, Matching(std::move(ops), Text(flags, "op")));
  for (TunedSchedule& op : ops) {
    op.device = source.device->info().name;
    op.compiler = std::string(CompilerVersion());
  }
  Tuner tuner(source, flags, ops, points);
  MODELC_RETURN_IF_ERROR(tuner.Open());
  for (const Family& family : kFamilies) {
    if (tuner.tunes(family)) MODELC_RETURN_IF_ERROR(tuner.Tune(family));
  }
  MODELC_RETURN_IF_ERROR(Keep(file, ops, tuner.found()));
  MODELC_RETURN_IF_ERROR(WriteReport(out, tuner.report(), tuner.plots()));
  if (flags["json"].as<bool>()) {
    std::cout << tuner.report().dump(1) << "\n";
  } else {
    std::cout << "wrote " << file.string() << ": run, build and all others use it on this device\n";
  }
  return 0;
}

}  // namespace

const Command kTuneCommand = {
    "tune", "search the schedules of a model's ops on this device",
    "usage: modelc tune MODEL.mlir [--op PATTERN] [--contexts 512,4096] [--rows 1,32] [--tuning FILE] [--out NAME]\n\n"
    "Tries schedules (#lm.dsa, #lm.mla, #lm.moe: docs/lm-dialect.md) of scoring, selection, attention and routing, each against\n"
    "the default in the same minute, and keeps one that wins twice and loses nowhere. The record is keyed by device, op,\n"
    "sizes and compiler; every command that opens a model takes it up. --tuning none leaves it out.\n\n"
    "  modelc tune models/v3.2.mlir\n"
    "  modelc tune models/v3.2.mlir --op 'dsa.*' --contexts 8192 --rows 1 --tuning mine.json\n",
    Declare, Run};

}  // namespace modelc
