// modelc verify: holds what a model computes against a golden folder, another backend, or the weights as published.
#include <algorithm>
#include <iostream>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "nlohmann/json.hpp"
#include "tools/modelc/commands.h"
#include "tools/modelc/measure/compare.h"
#include "tools/modelc/measure/table.h"
#include "tools/modelc/measure/trace.h"
#include "tools/modelc/model.h"

namespace modelc {
namespace {

constexpr double kNearTie = 1e-4;  // a margin up to this may fall either way by rounding
constexpr int64_t kAgainstTokens = 200;

void Declare(po::options_description& options, po::positional_options_description& positional) {
  DeclareModelFlags(options, positional);
  options.add_options()
      ("golden", po::value<std::string>()->default_value(""), "golden folder: config, weights, ids and what they must give")
      ("against", po::value<std::string>()->default_value(""), "a backend that must give the same on the given weights")
      ("tokens", po::value<int64_t>()->default_value(kAgainstTokens), "random tokens to run where there is no golden");
}

// What each numerics promises against its golden file.
struct Promise {
  const char* file;
  Tolerance tolerance;
  Imposed (*imposed)(const Trace&);
  const char* text;
};

absl::StatusOr<Promise> PromiseOf(const std::string& numerics) {
  const auto all = [](const Trace& trace) { return Imposed{.from = trace, .hidden = true}; };
  const auto near_ties = [](const Trace& trace) { return Imposed{.from = trace, .margin = static_cast<float>(kNearTie)}; };
  if (numerics == "reference") {
    return Promise{"golden.safetensors", {.logits_max = 2e-4, .logits_rms = {}, .values_max = 2e-4, .choice_margin = kNearTie},
                   near_ties, "every value within 2e-4 of the largest; equal choices but for near ties, which are the golden's"};
  }
  if (numerics == "deepseek") {
    return Promise{"golden_deepseek.safetensors", {.logits_max = {}, .logits_rms = 2e-2, .values_max = {}, .choice_margin = {}},
                   all, "logits within 2e-2 relative RMS, with the golden's choices; drafts from its hidden states"};
  }
  if (numerics == "fast") {
    return Promise{"golden.safetensors", {.logits_max = {}, .logits_rms = 1e-1, .values_max = {}, .choice_margin = {}}, all,
                   "logits within 1e-1 relative RMS of reference numerics, with the golden's choices; drafts from its hidden states"};
  }
  return absl::InvalidArgumentError(absl::StrCat("--numerics ", numerics, " is none of reference, deepseek, fast"));
}

// --numerics means `reference` here unless it is given: the strictest promise.
po::variables_map WithDefaults(const po::variables_map& flags) {
  po::variables_map out = flags;
  // Integer formats round activations, which `fast` alone does.
  const std::optional<DType> format = ParseDType(Text(flags, "weights-format"));
  if (flags["numerics"].defaulted() && !(format && IsGrouped(*format))) {
    out.at("numerics").value() = std::string("reference");
  }
  if (!Text(flags, "golden").empty()) out.at("weights").value() = Text(flags, "golden");
  return out;
}

absl::StatusOr<Trace> RunModel(OpenedModel& model, absl::Span<const int32_t> ids, const Imposed* imposed) {
  MODELC_ASSIGN_OR_RETURN(const auto executor, Executor::Create(model.program, *model.checkpoint, std::move(model.device),
                                                                SequencePages(ids.size()), nullptr));
  return RunTrace(*executor, ids, imposed);
}

// The launch whose result a comparison is about.
const Launch* FindLaunch(const Program& program, const Comparison& value) {
  for (const Entry& entry : program.entries) {
    for (const Repeat& repeat : entry.body) {
      if (value.layer != kNoLayer && (value.layer < repeat.first || value.layer >= repeat.first + repeat.count)) continue;
      for (const Launch& launch : repeat.launches) {
        for (const TapPoint& tap : launch.taps) {
          if (tap.name == value.name) return &launch;
        }
      }
    }
  }
  return nullptr;
}

std::string Where(const Program& program, const Comparison& value) {
  std::string out = value.name;
  if (value.layer != kNoLayer) absl::StrAppend(&out, " of layer ", value.layer);
  if (const Launch* launch = FindLaunch(program, value)) {
    absl::StrAppend(&out, ", computed by ", launch->op, " (kernel ", launch->kernel, ") at ", launch->location);
  }
  return out;
}

std::string Number(double value) { return absl::StrFormat("%.2e", value); }

struct Report {
  const Program& program;
  const std::string against;
  const std::string promise;
  const size_t tokens;
  const std::vector<Comparison> values;

  const Comparison* FirstFailure() const {
    const auto it = std::find_if(values.begin(), values.end(), [](const Comparison& v) { return !v.ok; });
    return it == values.end() ? nullptr : &*it;
  }

  nlohmann::json Json() const {
    nlohmann::json list = nlohmann::json::array();
    for (const Comparison& v : values) {
      nlohmann::json item = {{"name", v.name}, {"rows", v.rows}, {"ok", v.ok}};
      if (v.layer != kNoLayer) item["layer"] = v.layer;
      if (!v.note.empty()) item["note"] = v.note;
      if (v.choice) {
        item["differing"] = v.differing;
        item["near_ties"] = v.near_ties;
      } else {
        item["max_error"] = v.max_error;
        item["rms_error"] = v.rms_error;
      }
      list.push_back(std::move(item));
    }
    const Comparison* failure = FirstFailure();
    return {{"model", program.model}, {"backend", program.backend},   {"numerics", program.numerics}, {"against", against},
            {"promise", promise},     {"tokens", tokens},             {"passed", failure == nullptr}, {"values", std::move(list)},
            {"first_failure", failure ? nlohmann::json(Where(program, *failure)) : nlohmann::json()}};
  }

  void Print() const {
    std::cout << program.model << " on " << program.backend << ", " << program.numerics << " numerics, " << tokens
              << " tokens, against " << against << "\npromise: " << promise << "\n\n";
    Table table({"value", "", "layer", "rows", "max error", "rms error", "differing", "near ties"}, 2);
    for (const Comparison& v : values) {
      const bool compared = v.rows > 0;
      table.Row({v.name, v.ok ? (compared ? "ok" : "-") : "FAILS", v.layer == kNoLayer ? "" : absl::StrCat(v.layer),
                 absl::StrCat(v.rows), compared && !v.choice ? Number(v.max_error) : "",
                 compared && !v.choice ? Number(v.rms_error) : "", compared && v.choice ? absl::StrCat(v.differing) : "",
                 compared && v.choice ? absl::StrCat(v.near_ties) : v.note});
    }
    std::cout << table.Text() << "\n";
    if (const Comparison* failure = FirstFailure()) {
      std::cout << "failed; first outside: " << Where(program, *failure) << (failure->note.empty() ? "" : ": ")
                << failure->note << "\n";
    } else {
      std::cout << "passed\n";
    }
  }
};

int Finish(const Report& report, bool json) {
  if (json) {
    std::cout << report.Json().dump(1) << "\n";
  } else {
    report.Print();
  }
  return report.FirstFailure() == nullptr ? 0 : 1;
}

absl::StatusOr<int> VerifyGolden(const po::variables_map& flags) {
  MODELC_ASSIGN_OR_RETURN(const Promise promise, PromiseOf(Text(flags, "numerics")));
  MODELC_ASSIGN_OR_RETURN(const Golden golden, LoadGolden(Text(flags, "golden"), promise.file));
  MODELC_ASSIGN_OR_RETURN(OpenedModel model, OpenModel(flags));
  const Program program = model.program;
  const Imposed imposed = promise.imposed(golden.trace);
  MODELC_ASSIGN_OR_RETURN(const Trace trace, RunModel(model, golden.ids, &imposed));
  return Finish({program, Text(flags, "golden"), promise.text, golden.ids.size(),
                 Compare(golden.trace, trace, promise.tolerance)},
                flags["json"].as<bool>());
}

absl::StatusOr<std::vector<int32_t>> RandomIds(const Program& program, const po::variables_map& flags) {
  const int64_t tokens = flags["tokens"].as<int64_t>(), limit = program.limits[static_cast<int>(Size::kC)];
  if (tokens < 1 || tokens > limit) {
    return absl::InvalidArgumentError(absl::StrCat("--tokens is ", tokens, "; it must be from 1 to ", limit));
  }
  MODELC_ASSIGN_OR_RETURN(const int64_t vocab, program.Parameter("vocab_size"));
  std::mt19937 random(1);
  std::vector<int32_t> ids(tokens);
  for (int32_t& id : ids) id = std::uniform_int_distribution<int32_t>(0, vocab - 1)(random);
  return ids;
}

// What a format of the weights costs in accuracy: the same model, backend and numerics with the checkpoint's weights.
// Choices are imposed, as one near tie that flips would hide how far the values are.
absl::StatusOr<int> VerifyFormat(const po::variables_map& flags) {
  const std::string format = Text(flags, "weights-format");
  po::variables_map published_flags = flags;
  published_flags.at("weights-format").value() = std::string("f8");
  MODELC_ASSIGN_OR_RETURN(OpenedModel published, OpenModel(published_flags));
  MODELC_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, RandomIds(published.program, flags));
  MODELC_ASSIGN_OR_RETURN(const Trace expected, RunModel(published, ids, nullptr));
  MODELC_ASSIGN_OR_RETURN(OpenedModel model, OpenModel(flags));
  const Program program = model.program;
  const Imposed imposed{.from = expected, .hidden = true};
  MODELC_ASSIGN_OR_RETURN(const Trace trace, RunModel(model, ids, &imposed));
  const double rms = format == "bf16" ? 1e-2 : format == "int8" ? 1e-1 : 5e-1;
  const Tolerance tolerance{.logits_max = {}, .logits_rms = rms, .values_max = {}, .choice_margin = {}};
  return Finish({program, "weights as published",
                 absl::StrFormat("logits of %s weights within %g relative RMS, with the choices of published ones; drafts "
                                 "from their hidden states",
                                 format, rms),
                 ids.size(), Compare(expected, trace, tolerance)},
                flags["json"].as<bool>());
}

absl::StatusOr<int> VerifyAgainst(const po::variables_map& flags) {
  MODELC_ASSIGN_OR_RETURN(OpenedModel model, OpenModel(flags));
  po::variables_map other_flags = flags;
  other_flags.at("backend").value() = Text(flags, "against");
  MODELC_ASSIGN_OR_RETURN(OpenedModel other, OpenModel(other_flags));
  const Program program = model.program;
  if (program.backend == other.program.backend) {
    return absl::InvalidArgumentError(
        absl::StrCat("--against ", program.backend, " is the backend under test; name another one with --backend"));
  }
  MODELC_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, RandomIds(program, flags));
  MODELC_ASSIGN_OR_RETURN(const int64_t k, program.Parameter("index_topk"));
  MODELC_ASSIGN_OR_RETURN(Trace expected, RunModel(other, ids, nullptr));
  std::map<ValueKey, TracedRows> margins;
  for (const auto& [key, value] : expected.values) {
    if (key.first == "index_scores") margins[{"topk_margin", key.second}] = SelectionMargins(value, k);
  }
  expected.values.merge(margins);
  // Both run the same numerics: as close as reference is to a golden, but for formats that round. Sums in another order then
  // round to other neighbours now and then: each may be 2e-2 from what the published code gives, so 4e-2 from the other.
  const bool exact = program.numerics == "reference";
  const Tolerance tolerance{.logits_max = exact ? std::optional(2e-4) : std::nullopt,
                            .logits_rms = exact ? std::nullopt : std::optional(4e-2),
                            .values_max = exact ? std::optional(2e-4) : std::nullopt,
                            .choice_margin = exact ? std::optional(kNearTie) : std::nullopt};
  const Imposed imposed{.from = expected, .hidden = !exact};
  MODELC_ASSIGN_OR_RETURN(const Trace trace, RunModel(model, ids, &imposed));
  return Finish({program, absl::StrCat("backend ", other.program.backend),
                 exact ? "every value within 2e-4 of the largest, with the other's choices"
                       : "logits within 4e-2 relative RMS, with the other's choices; drafts from its hidden states",
                 ids.size(), Compare(expected, trace, tolerance)},
                flags["json"].as<bool>());
}

absl::StatusOr<int> Run(const po::variables_map& given) {
  const po::variables_map flags = WithDefaults(given);
  const bool golden = !Text(flags, "golden").empty(), against = !Text(flags, "against").empty();
  const bool format = Text(flags, "weights-format") != "f8";
  if (golden && against) return absl::InvalidArgumentError("--golden and --against exclude each other");
  if (!golden && !against && !format) {
    return absl::InvalidArgumentError(
        "name what to hold the model against: --golden DIR or --against BACKEND, or a --weights-format to hold against f8");
  }
  if (golden && !given["weights"].defaulted()) return absl::InvalidArgumentError("--golden brings its own weights; drop --weights");
  return golden ? VerifyGolden(flags) : against ? VerifyAgainst(flags) : VerifyFormat(flags);
}

}  // namespace

const Command kVerifyCommand = {
    "verify", "compare what a model computes with golden values, two backends, or two formats of weights",
    "usage: modelc verify MODEL.mlir --golden DIR [--numerics reference|deepseek|fast]\n"
    "       modelc verify MODEL.mlir [--weights DIR] --against BACKEND [--tokens N]\n"
    "       modelc verify MODEL.mlir [--weights DIR] --weights-format bf16|int8|int4 [--tokens N]\n\n"
    "Runs the golden's tokens (or random ones) and compares logits, hidden states, selected positions and experts.\n"
    "With a format of the weights alone, what it changes against the published ones.\n"
    "Exit status 1, and the first value outside its tolerance, when the promise of the numerics is not kept.\n"
    "--max-rows 1 feeds the tokens one by one, as decoding does.",
    Declare, Run};

}  // namespace modelc
