// modelc explain: what every op of a model costs on a device, and by which kernel it runs.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/runtime/executor/executor.h"
#include "core/support/status.h"
#include "nlohmann/json.hpp"
#include "tools/modelc/commands.h"
#include "tools/modelc/measure/cost.h"
#include "tools/modelc/measure/limits.h"
#include "tools/modelc/measure/runs.h"
#include "tools/modelc/measure/table.h"
#include "tools/modelc/model.h"

namespace modelc {
namespace {

constexpr int kMeasuredSteps = 15;

void Declare(po::options_description& options, po::positional_options_description& positional) {
  DeclareModelFlags(options, positional);
  options.add_options()
      ("context", po::value<int64_t>()->default_value(4096), "tokens each sequence has, the step's rows included")
      ("rows", po::value<int64_t>()->default_value(1), "tokens of a step")
      ("sequences", po::value<int64_t>()->default_value(1), "sequences the rows belong to")
      ("measure", po::bool_switch(), "run such a step, launch by launch, and show the time each op took; needs weights");
}

absl::StatusOr<Sizes> SizesAskedFor(const Program& program, const po::variables_map& flags) {
  const auto number = [&](const char* flag, int64_t low, Size size, int64_t most) -> absl::StatusOr<int64_t> {
    const int64_t value = flags[flag].as<int64_t>(), high = std::min(most, program.limits[static_cast<int>(size)]);
    if (value >= low && value <= high) return value;
    return absl::InvalidArgumentError(absl::StrCat("--", flag, " is ", value, "; it must be from ", low, " to ", high));
  };
  constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
  MODELC_ASSIGN_OR_RETURN(const int64_t rows, number("rows", 1, Size::kT, kAny));
  MODELC_ASSIGN_OR_RETURN(const int64_t sequences, number("sequences", 1, Size::kS, rows));
  MODELC_ASSIGN_OR_RETURN(const int64_t context, number("context", (rows + sequences - 1) / sequences, Size::kC, kAny));
  return StepSizes(program, rows, sequences, context);
}

struct Line {
  const Launch* launch;
  int64_t layers;  // how often it runs
  Cost cost;       // of all of them
  double seconds;  // predicted; 0 without limits
  double measured; // 0 without --measure
};

// The launches of one part of an entry that run, in order; equal ones of a layer stay apart.
struct Part {
  std::string name;  // "layers 3…60", or "once"
  std::vector<Line> lines;
};

absl::StatusOr<std::vector<Part>> Explain(const Program& program, const Entry& entry, const Sizes& sizes,
                                          const MachineLimits& limits, const LaunchSeconds& measured) {
  std::vector<Part> parts;
  for (const Repeat& repeat : entry.body) {
    const int64_t last = repeat.first + repeat.count - 1;
    const bool layered = std::any_of(repeat.launches.begin(), repeat.launches.end(), [&](const Launch& launch) {
      return std::any_of(launch.operands.begin(), launch.operands.end(), [&](const Operand& operand) {
        return operand.kind == Operand::Kind::kCache ||
               (operand.kind == Operand::Kind::kWeight &&
                program.weights[operand.index].name.find("{layer}") != std::string::npos);
      });
    });
    const std::string name = !layered       ? "once"
                             : last > repeat.first ? absl::StrCat("layers ", repeat.first, " to ", last)
                                                   : absl::StrCat("layer ", repeat.first);
    if (parts.empty() || parts.back().name != name) parts.push_back({name, {}});
    for (const Launch& launch : repeat.launches) {
      if (!RunsAt(launch, sizes[static_cast<int>(Size::kC)])) continue;
      MODELC_ASSIGN_OR_RETURN(const Cost cost, CostOf(program, launch, sizes));
      const double layers = static_cast<double>(repeat.count);
      const auto took = measured.find(&launch);
      parts.back().lines.push_back({&launch, repeat.count, cost * layers, PredictSeconds(launch.op, cost, limits) * layers,
                                    took == measured.end() ? 0 : took->second});
    }
  }
  return parts;
}

nlohmann::json ToJson(const Cost& cost, double predicted, double measured) {
  nlohmann::json out = {{"flops", cost.flops},
                        {"int_ops", cost.int_ops},
                        {"weight_bytes", cost.weight_bytes},
                        {"cache_bytes", cost.cache_bytes},
                        {"activation_bytes", cost.activation_bytes},
                        {"predicted_seconds", predicted}};
  if (measured > 0) out["measured_seconds"] = measured;
  return out;
}

// Of the launches' predicted times against the measured ones, the median; 0 where nothing was measured.
double MedianError(const std::vector<Part>& parts) {
  Timing errors;
  for (const Part& part : parts) {
    for (const Line& line : part.lines) {
      if (line.measured > 0 && line.seconds > 0) errors.seconds.push_back(std::abs(line.seconds / line.measured - 1));
    }
  }
  return errors.median();
}

struct Total {
  Cost cost;
  double seconds = 0, measured = 0;
};

Total Sum(const std::vector<Part>& parts) {
  Total total;
  for (const Part& part : parts) {
    for (const Line& line : part.lines) {
      total.cost += line.cost;
      total.seconds += line.seconds;
      total.measured += line.measured;
    }
  }
  return total;
}

// "rms_norm"; "fused: rope, hadamard" of a chain.
std::string OpName(const Launch& launch) {
  const nlohmann::json attributes = nlohmann::json::parse(launch.attributes, nullptr, false);
  if (!attributes.is_object() || !attributes.contains("steps")) return launch.op;
  std::string steps;
  for (const nlohmann::json& step : attributes["steps"]) absl::StrAppend(&steps, steps.empty() ? ": " : ", ", step.value("op", ""));
  return launch.op + steps;
}

// "rms_norm"; "generated, rows 8, pages 16".
std::string KernelText(const Launch& launch) {
  std::string text = launch.kernel;
  if (!launch.code.has_value()) return text;
  const nlohmann::json attributes = nlohmann::json::parse(launch.attributes, nullptr, false);
  for (const char* name : {"parts", "order", "gather", "rows", "pages", "select", "block", "keys", "heads"}) {
    if (!attributes.is_object() || !attributes.contains(name)) continue;
    const nlohmann::json& value = attributes[name];
    absl::StrAppend(&text, ", ", name, " ", value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

void AddText(Table& table, const std::vector<Part>& parts) {
  const auto time = [](double seconds) { return seconds == 0 ? "" : Seconds(seconds); };
  const auto row = [&](std::string where, std::string op, std::string kernel, const Cost& cost, double predicted,
                       double measured) {
    table.Row({std::move(where), std::move(op), std::move(kernel), Count(cost.operations()), Bytes(cost.weight_bytes),
               Bytes(cost.cache_bytes), Bytes(cost.activation_bytes), time(predicted), time(measured)});
  };
  for (const Part& part : parts) {
    std::string where = part.name;
    for (const Line& line : part.lines) {
      row(where, OpName(*line.launch), KernelText(*line.launch), line.cost, line.seconds, line.measured);
      where.clear();
    }
  }
  table.Rule();
  const Total total = Sum(parts);
  row("total", "", "", total.cost, total.seconds, total.measured);
}

struct Explained {
  const Program& program;
  std::string device;
  double compile_seconds;
  Sizes sizes;
  MachineLimits limits;
  std::vector<std::pair<std::string, std::vector<Part>>> entries;

  int64_t size(Size s) const { return sizes[static_cast<int>(s)]; }
};

void PrintText(const Explained& e) {
  const Program& program = e.program;
  std::cout << absl::StrFormat("%s on %s (%s), %s numerics: a step of %d rows of %d sequences at context %d\n", program.model,
                               program.backend, e.device, program.numerics, e.size(Size::kT),
                               e.size(Size::kS), e.size(Size::kC));
  if (e.limits.flops_per_second > 0) {
    std::cout << absl::StrFormat("limits measured: %.1f GB/s read, %.1f GFLOP/s (float32), %.1f GOP/s (integers)\n",
                                 e.limits.read_bytes_per_second / 1e9, e.limits.flops_per_second / 1e9,
                                 e.limits.int_ops_per_second / 1e9);
  }
  std::cout << "activations " << Bytes(static_cast<double>(program.arena_bytes)) << ", cache "
            << Bytes(static_cast<double>(Executor::PageBytes(program)) / kPageTokens) << " a token\n";
  for (const auto& [name, parts] : e.entries) {
    Table table({"where", "op", "kernel", "FLOP", "weights", "cache", "activations", "predicted", "measured"}, 3);
    AddText(table, parts);
    std::cout << "\nentry " << name << "\n" << table.Text();
    if (const double error = MedianError(parts); error > 0) {
      std::cout << absl::StrFormat("predicted within %.0f %% of measured (median over launches)\n", 100 * error);
    }
  }
}

void PrintJson(const Explained& e) {
  nlohmann::json entries = nlohmann::json::object();
  for (const auto& [name, parts] : e.entries) {
    nlohmann::json list = nlohmann::json::array();
    for (const Part& part : parts) {
      for (const Line& line : part.lines) {
        nlohmann::json item = ToJson(line.cost, line.seconds, line.measured);
        item.update({{"where", part.name},
                     {"layers", line.layers},
                     {"op", line.launch->op},
                     {"kernel", line.launch->kernel},
                     {"generated", line.launch->code.has_value()},
                     {"attributes", nlohmann::json::parse(line.launch->attributes, nullptr, false)},
                     {"location", line.launch->location}});
        list.push_back(std::move(item));
      }
    }
    const Total total = Sum(parts);
    entries[name] = {{"launches", std::move(list)}, {"total", ToJson(total.cost, total.seconds, total.measured)}};
    if (total.measured > 0) entries[name]["median_error"] = MedianError(parts);
  }
  const Program& program = e.program;
  const nlohmann::json limits = {{"read_gb_s", e.limits.read_bytes_per_second / 1e9},
                                 {"gflop_s", e.limits.flops_per_second / 1e9},
                                 {"int_gop_s", e.limits.int_ops_per_second / 1e9}};
  const nlohmann::json out = {{"model", program.model},
                              {"backend", program.backend},
                              {"device", e.device},
                              {"numerics", program.numerics},
                              {"rows", e.size(Size::kT)},
                              {"sequences", e.size(Size::kS)},
                              {"context", e.size(Size::kC)},
                              {"limits", limits},
                              {"arena_bytes", program.arena_bytes},
                              {"compile_seconds", e.compile_seconds},
                              {"entries", std::move(entries)}};
  std::cout << out.dump(1) << "\n";
}

absl::StatusOr<int> Run(const po::variables_map& flags) {
  const bool measure = flags["measure"].as<bool>();
  MODELC_ASSIGN_OR_RETURN(OpenedModel model, OpenModel(flags, measure ? Weights::kNeeded : Weights::kIfThere));
  const auto info = model.device->info();
  MODELC_ASSIGN_OR_RETURN(const Sizes sizes, SizesAskedFor(model.program, flags));
  std::unique_ptr<Executor> executor;
  if (measure) {
    MODELC_ASSIGN_OR_RETURN(executor, Executor::Create(std::move(model.program), *model.checkpoint, std::move(model.device),
                                                       Runs::LaunchPages(sizes), nullptr));
  }
  Explained explained{executor ? executor->program() : model.program, info.name, model.compile_seconds, sizes, {}, {}};
  // The limits of a device apart from the host are not ours to measure: no times then.
  if (info.host_memory) explained.limits = MeasureLimits(info.threads);
  for (const Entry& entry : explained.program.entries) {
    LaunchSeconds measured;
    if (executor) {
      Runs runs(*executor);
      MODELC_RETURN_IF_ERROR(runs.Fill(sizes));
      MODELC_ASSIGN_OR_RETURN(measured, runs.Launches(entry.name, sizes, kMeasuredSteps));
    }
    MODELC_ASSIGN_OR_RETURN(std::vector<Part> parts, Explain(explained.program, entry, sizes, explained.limits, measured));
    explained.entries.emplace_back(entry.name, std::move(parts));
  }
  flags["json"].as<bool>() ? PrintJson(explained) : PrintText(explained);
  return 0;
}

}  // namespace

const Command kExplainCommand = {
    "explain", "show kernels, FLOPs, bytes and predicted time per op",
    "usage: modelc explain MODEL.mlir [--weights DIR] [--context N] [--rows N] [--sequences N] [--measure]\n\n"
    "Needs no weights: a folder with a config.json will do. Bytes of routed experts are what that many rows reach on\n"
    "average.",
    Declare, Run};

}  // namespace modelc
