// modelc bench: tokens per second of prefill and decoding, beside what the machine allows.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <string>
#include <unistd.h>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "nlohmann/json.hpp"
#include "tools/modelc/commands.h"
#include "tools/modelc/measure/cost.h"
#include "tools/modelc/measure/limits.h"
#include "tools/modelc/measure/runs.h"
#include "tools/modelc/measure/table.h"
#include "tools/modelc/model.h"

namespace modelc {
namespace {

void Declare(po::options_description& options, po::positional_options_description& positional) {
  DeclareModelFlags(options, positional);
  options.add_options()
      ("prefill", po::value<std::string>()->default_value("128,512"), "prompt lengths, with commas between")
      ("prefill-at", po::value<std::string>()->default_value("0"), "tokens a sequence has before such a prompt")
      ("decode-at", po::value<std::string>()->default_value("0,1024"), "tokens a sequence has before it decodes")
      ("batch", po::value<std::string>()->default_value("1,4"), "sequences that decode together")
      ("repeat", po::value<int>()->default_value(3), "timed runs of each; the median is reported");
}

absl::StatusOr<std::vector<int64_t>> Numbers(const po::variables_map& flags, const char* flag, int64_t low) {
  std::vector<int64_t> out;
  for (absl::string_view part : absl::StrSplit(flags[flag].as<std::string>(), ',', absl::SkipEmpty())) {
    int64_t value;
    if (!absl::SimpleAtoi(part, &value) || value < low || value > int64_t{1} << 24) {
      return absl::InvalidArgumentError(absl::StrCat("--", flag, ": '", part, "' is no number from ", low, " to 2^24"));
    }
    out.push_back(value);
  }
  return out;
}

struct Plan {
  std::vector<int64_t> prefill, prefill_depths, depths, batches;
  int repeat;

  int64_t Tokens() const {  // longest sequence
    int64_t tokens = 1;
    for (int64_t d : prefill_depths) {
      for (int64_t n : prefill) tokens = std::max(tokens, d + n);
    }
    if (!batches.empty()) {
      for (int64_t d : depths) tokens = std::max(tokens, d + kDecodeSteps);
    }
    return tokens;
  }
  int64_t Pages() const {
    int64_t pages = 1;
    for (int64_t d : prefill_depths) {
      for (int64_t n : prefill) pages = std::max(pages, Runs::PrefillPages(d, n));
    }
    for (int64_t d : depths) {
      for (int64_t b : batches) pages = std::max(pages, Runs::DecodePages(d, b));
    }
    return pages;
  }
};

absl::StatusOr<Plan> MakePlan(const po::variables_map& flags) {
  Plan plan;
  MODELC_ASSIGN_OR_RETURN(plan.prefill, Numbers(flags, "prefill", 1));
  MODELC_ASSIGN_OR_RETURN(plan.prefill_depths, Numbers(flags, "prefill-at", 0));
  MODELC_ASSIGN_OR_RETURN(plan.depths, Numbers(flags, "decode-at", 0));
  MODELC_ASSIGN_OR_RETURN(plan.batches, Numbers(flags, "batch", 1));
  plan.repeat = flags["repeat"].as<int>();
  if (plan.repeat < 1 || plan.repeat > 1000) return absl::InvalidArgumentError("--repeat must be from 1 to 1000");
  return plan;
}

uint64_t PeakRss() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

struct PrefillResult {
  int64_t depth, tokens;
  TimedRun run;
  Cost cost;  // of the whole prompt
};
struct DecodeResult {
  int64_t depth, batch;
  TimedRun run;
};

struct BenchReport {
  std::string model, backend, device, numerics;
  unsigned threads = 0;
  double compile_seconds = 0, load_seconds = 0;
  uint64_t weight_bytes = 0, peak_rss_bytes = 0;
  MachineLimits limits;
  std::vector<PrefillResult> prefill;
  std::vector<DecodeResult> decode;

  // Of the machine's arithmetic, and of its reads.
  double Fraction(const PrefillResult& r) const { return r.cost.ArithmeticSeconds(limits) / r.run.timing.median(); }
  double ReadRate(const DecodeResult& r) const {
    return static_cast<double>(r.run.read.weight_bytes + r.run.read.cache_bytes) / r.run.timing.median();
  }
  double Fraction(const DecodeResult& r) const { return ReadRate(r) / limits.read_bytes_per_second; }
};

// Of a prompt's chunks, `depth` tokens before it.
absl::StatusOr<Cost> PromptCost(const Program& program, int64_t depth, int64_t tokens) {
  const Entry* step = program.FindEntry("step");
  if (step == nullptr) return absl::InvalidArgumentError("the program has no entry 'step'");
  const int64_t chunk = program.limits[static_cast<int>(Size::kT)];
  const int64_t routed = program.limits[static_cast<int>(Size::kM)] / std::max<int64_t>(1, chunk);
  Cost total;
  for (int64_t first = 0; first < tokens; first += chunk) {
    const int64_t rows = std::min(chunk, tokens - first);
    // Rows see from depth + first + 1 to depth + first + rows tokens: on average the middle.
    const int64_t context = depth + first + (rows + 1) / 2;
    const bool last = first + rows == tokens;
    MODELC_ASSIGN_OR_RETURN(const Cost cost, CostOfStep(program, *step, {rows, last, 1, 0, context, rows * routed}));
    total += cost;
  }
  return total;
}

absl::Status Measure(Executor& executor, const Plan& plan, BenchReport& report) {
  const bool terminal = isatty(STDERR_FILENO);
  const auto say = [&](const std::string& what) {
    if (terminal) std::cerr << "\r\x1b[K" << what << std::flush;
  };
  Runs runs(executor);
  for (int64_t depth : plan.prefill_depths) {
    for (int64_t tokens : plan.prefill) {
      say(absl::StrCat("prefill ", tokens, " at ", depth));
      MODELC_ASSIGN_OR_RETURN(TimedRun run, runs.Prefill(depth, tokens, plan.repeat));
      MODELC_ASSIGN_OR_RETURN(const Cost cost, PromptCost(executor.program(), depth, tokens));
      report.prefill.push_back({depth, tokens, std::move(run), cost});
    }
  }
  for (int64_t depth : plan.depths) {
    for (int64_t batch : plan.batches) {
      say(absl::StrCat("decode at ", depth, ", batch ", batch));
      MODELC_ASSIGN_OR_RETURN(TimedRun run, runs.Decode(depth, batch, plan.repeat));
      report.decode.push_back({depth, batch, std::move(run)});
    }
  }
  report.peak_rss_bytes = PeakRss();
  say("machine limits");
  report.limits = MeasureLimits(report.threads);
  say("");
  return absl::OkStatus();
}

void PrintJson(const BenchReport& r) {
  // A rate's median comes from the median time; its least from the longest.
  const auto rates = [](double tokens, const Timing& t) -> nlohmann::json {
    return {{"tok_s", tokens / t.median()}, {"min", tokens / t.max()}, {"max", tokens / t.min()}};
  };
  nlohmann::json prefill = nlohmann::json::array(), decode = nlohmann::json::array();
  for (const PrefillResult& p : r.prefill) {
    nlohmann::json item = rates(static_cast<double>(p.tokens), p.run.timing);
    item.update({{"depth", p.depth},
                 {"tokens", p.tokens},
                 {"ttft_seconds", p.run.timing.median()},
                 {"gflop_s", p.cost.operations() / p.run.timing.median() / 1e9},
                 {"fraction", r.Fraction(p)}});
    prefill.push_back(std::move(item));
  }
  for (const DecodeResult& d : r.decode) {
    nlohmann::json item = rates(static_cast<double>(d.batch * kDecodeSteps), d.run.timing);
    item.update({{"depth", d.depth},
                 {"batch", d.batch},
                 {"weight_bytes_per_step", d.run.read.weight_bytes / kDecodeSteps},
                 {"cache_bytes_per_step", d.run.read.cache_bytes / kDecodeSteps},
                 {"read_gb_s", r.ReadRate(d) / 1e9},
                 {"fraction", r.Fraction(d)}});
    decode.push_back(std::move(item));
  }
  const nlohmann::json out = {{"model", r.model},
                              {"backend", r.backend},
                              {"device", r.device},
                              {"numerics", r.numerics},
                              {"threads", r.threads},
                              {"compile_seconds", r.compile_seconds},
                              {"load_seconds", r.load_seconds},
                              {"weight_bytes", r.weight_bytes},
                              {"peak_rss_bytes", r.peak_rss_bytes},
                              {"limits",
                               {{"read_gb_s", r.limits.read_bytes_per_second / 1e9},
                                {"gflop_s", r.limits.flops_per_second / 1e9},
                                {"int_gop_s", r.limits.int_ops_per_second / 1e9}}},
                              {"prefill", std::move(prefill)},
                              {"decode", std::move(decode)}};
  std::cout << out.dump(1) << "\n";
}

void PrintText(const BenchReport& r) {
  std::cout << absl::StrFormat("%s on %s (%s), %d threads, %s numerics\n", r.model, r.backend, r.device, r.threads, r.numerics)
            << absl::StrFormat("compiled in %s, loaded in %s; weights %s, peak memory %s\n", Seconds(r.compile_seconds),
                               Seconds(r.load_seconds), Bytes(static_cast<double>(r.weight_bytes)),
                               Bytes(static_cast<double>(r.peak_rss_bytes)))
            << absl::StrFormat("this machine reads %.1f GB/s and does %.1f GFLOP/s (float32), %.1f GOP/s (integers)\n\n",
                               r.limits.read_bytes_per_second / 1e9, r.limits.flops_per_second / 1e9,
                               r.limits.int_ops_per_second / 1e9);
  const auto rate = [](double tokens, double seconds) { return absl::StrFormat("%.1f", tokens / seconds); };
  if (!r.prefill.empty()) {
    Table table({"prefill", "at", "tok/s", "min", "max", "first token", "GFLOP/s", "of limit"}, 0);
    for (const PrefillResult& p : r.prefill) {
      const Timing& t = p.run.timing;
      const double n = static_cast<double>(p.tokens);
      table.Row({absl::StrCat(p.tokens), absl::StrCat(p.depth), rate(n, t.median()), rate(n, t.max()), rate(n, t.min()), Seconds(t.median()),
                 absl::StrFormat("%.1f", p.cost.operations() / t.median() / 1e9), absl::StrFormat("%.0f%%", 100 * r.Fraction(p))});
    }
    std::cout << table.Text() << "\n";
  }
  if (!r.decode.empty()) {
    Table table({"decode at", "batch", "tok/s", "min", "max", "weights a step", "cache a step", "GB/s", "of limit"}, 0);
    for (const DecodeResult& d : r.decode) {
      const Timing& t = d.run.timing;
      const double n = static_cast<double>(d.batch * kDecodeSteps);
      table.Row({absl::StrCat(d.depth), absl::StrCat(d.batch), rate(n, t.median()), rate(n, t.max()), rate(n, t.min()),
                 Bytes(static_cast<double>(d.run.read.weight_bytes / kDecodeSteps)),
                 Bytes(static_cast<double>(d.run.read.cache_bytes / kDecodeSteps)),
                 absl::StrFormat("%.2f", r.ReadRate(d) / 1e9), absl::StrFormat("%.0f%%", 100 * r.Fraction(d))});
    }
    std::cout << table.Text();
  }
}

// Room for what the plan asks, unless flags say otherwise: memory is then what such a use takes.
po::variables_map WithLimits(po::variables_map flags, const Plan& plan) {
  const auto at_least = [&](const char* flag, int64_t value) {
    if (!flags[flag].defaulted()) return;
    boost::any& limit = flags.at(flag).value();
    limit = std::max(flags[flag].as<int64_t>(), value);
  };
  at_least("max-context", plan.Tokens());
  if (!plan.batches.empty()) {
    const int64_t batch = *std::max_element(plan.batches.begin(), plan.batches.end());
    at_least("max-sequences", batch);
    at_least("max-rows", batch);
  }
  return flags;
}

absl::StatusOr<int> Run(const po::variables_map& flags) {
  MODELC_ASSIGN_OR_RETURN(const Plan plan, MakePlan(flags));
  const auto start = std::chrono::steady_clock::now();
  MODELC_ASSIGN_OR_RETURN(OpenedModel model, OpenModel(WithLimits(flags, plan)));
  BenchReport report;
  report.model = model.program.model;
  report.backend = model.program.backend;
  report.numerics = model.program.numerics;
  report.device = model.device->info().name;
  report.threads = model.device->info().threads;
  report.compile_seconds = model.compile_seconds;
  MODELC_ASSIGN_OR_RETURN(const auto executor, Executor::Create(std::move(model.program), *model.checkpoint,
                                                                std::move(model.device), plan.Pages(), nullptr));
  report.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.weight_bytes = executor->weight_bytes();
  MODELC_RETURN_IF_ERROR(Measure(*executor, plan, report));
  flags["json"].as<bool>() ? PrintJson(report) : PrintText(report);
  return 0;
}

}  // namespace

const Command kBenchCommand = {
    "bench", "measure prefill and decode speed",
    "usage: modelc bench MODEL.mlir [--weights DIR] [--prefill N,…] [--prefill-at N,…] [--decode-at N,…]\n"
    "                    [--batch N,…] [--repeat N]\n\n"
    "Runs random tokens and reports tokens a second, the time to a first token, loading time, peak memory, and the\n"
    "fraction of what this machine allows: of its arithmetic for prefill, of its memory reads for decoding.",
    Declare, Run};

}  // namespace modelc
