// modelc study: variants of sparse attention side by side, quality beside speed.
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/serving/defaults.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "core/text/chat.h"
#include "tools/modelc/commands.h"
#include "tools/modelc/json_lines.h"
#include "tools/modelc/measure/quality.h"
#include "tools/modelc/measure/report.h"
#include "tools/modelc/measure/runs.h"
#include "tools/modelc/measure/table.h"
#include "tools/modelc/model.h"
#include "tools/modelc/scoring/problem.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModelFile = "model file";  // the variant without options

void Declare(po::options_description& options, po::positional_options_description& positional) {
  DeclareModelFlags(options, positional);
  options.add_options()
      ("variants", po::value<std::string>()->default_value(""), "what --attention takes, with ; between; the model file's own comes first")
      ("problems", po::value<std::vector<std::string>>()->composing(), "problem files with answers in text (as for eval); may be repeated")
      ("limit", po::value<int64_t>()->default_value(0), "the first N problems of each task; 0: all")
      ("decode-at", po::value<int64_t>()->default_value(1024), "tokens a sequence has where decoding is timed")
      ("repeat", po::value<int>()->default_value(3), "timed runs; the median is reported")
      ("out", po::value<std::string>()->default_value(""), "write NAME.json and NAME.svg");
}

struct Variant {
  std::string name;
  Quality quality;
  double tokens_per_second = 0;
  int64_t weight_bytes = 0, cache_bytes = 0;  // read for one decoded token
  int64_t token_bytes = 0;                    // of cache that a token takes
};

absl::StatusOr<std::vector<KnownAnswer>> Answers(const po::variables_map& flags, const fs::path& weights) {
  if (!flags.count("problems")) {
    return absl::InvalidArgumentError("name problem files: --problems models/nano/eval_lookup1024_direct.jsonl");
  }
  if (flags["limit"].as<int64_t>() < 0) return absl::InvalidArgumentError("--limit must be 0 (all) or above");
  MODELC_ASSIGN_OR_RETURN(const auto tokenizer, OpenTokenizer(weights));
  MODELC_ASSIGN_OR_RETURN(const ServingDefaults defaults, LoadServingDefaults(weights, {}));
  std::vector<KnownAnswer> out;
  for (const std::string& file : flags["problems"].as<std::vector<std::string>>()) {
    MODELC_ASSIGN_OR_RETURN(const auto problems, ReadProblems(file, flags["limit"].as<int64_t>()));
    for (const Problem& problem : problems) {
      if (problem.thinking || !problem.expected.is_string()) {
        return absl::InvalidArgumentError(absl::StrCat(file, ": problem ", problem.id, " has no answer in text that follows its "
                                                       "prompt at once; give files without thinking and tool calls"));
      }
      MODELC_ASSIGN_OR_RETURN(const std::string prompt, EncodeChat(problem.messages, {.thinking = false}));
      KnownAnswer answer;
      MODELC_ASSIGN_OR_RETURN(answer.ids, tokenizer->Encode(prompt));
      answer.prompt = static_cast<int64_t>(answer.ids.size());
      MODELC_ASSIGN_OR_RETURN(const std::vector<int32_t> rest, tokenizer->Encode(problem.expected.get<std::string>()));
      answer.ids.insert(answer.ids.end(), rest.begin(), rest.end());
      if (!defaults.stop_ids.empty()) answer.ids.push_back(defaults.stop_ids.front());
      if (answer.ids.size() > static_cast<size_t>(answer.prompt)) out.push_back(std::move(answer));
    }
  }
  if (out.empty()) return absl::InvalidArgumentError("the problem files hold no problem");
  return out;
}

std::vector<std::string> VariantNames(const po::variables_map& flags) {
  std::vector<std::string> names{kModelFile};
  for (absl::string_view part : absl::StrSplit(Text(flags, "variants"), ';')) {
    const std::string name(absl::StripAsciiWhitespace(part));
    if (!name.empty() && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names;
}

absl::StatusOr<Variant> Measure(po::variables_map flags, const std::string& name, const std::vector<KnownAnswer>& answers) {
  const int64_t depth = flags["decode-at"].as<int64_t>();
  flags.at("attention").value() = name == kModelFile ? std::string() : name;
  MODELC_ASSIGN_OR_RETURN(OpenedModel model, OpenModel(flags));
  TapAttention(model.program);
  Variant variant;
  variant.name = name;
  variant.token_bytes = Executor::PageBytes(model.program) / kPageTokens;
  int64_t pages = Runs::DecodePages(depth, 1);
  for (const KnownAnswer& answer : answers) pages = std::max(pages, SequencePages(answer.ids.size()));
  MODELC_ASSIGN_OR_RETURN(const auto executor,
                          Executor::Create(std::move(model.program), *model.checkpoint, std::move(model.device), pages, nullptr));
  for (const KnownAnswer& answer : answers) MODELC_RETURN_IF_ERROR(AddAnswer(*executor, answer, variant.quality));
  Runs runs(*executor);
  MODELC_ASSIGN_OR_RETURN(const TimedRun decode, runs.Decode(depth, 1, flags["repeat"].as<int>()));
  variant.tokens_per_second = kDecodeSteps / decode.timing.median();
  variant.weight_bytes = static_cast<int64_t>(decode.read.weight_bytes / kDecodeSteps);
  variant.cache_bytes = static_cast<int64_t>(decode.read.cache_bytes / kDecodeSteps);
  return variant;
}

Json ToJson(const Variant& v) {
  return {{"variant", v.name},
          {"recall", v.quality.recall() ? Json(*v.quality.recall()) : Json()},
          {"perplexity", v.quality.perplexity()},
          {"accuracy", v.quality.accuracy()},
          {"answers", v.quality.answers},
          {"tokens_per_second", v.tokens_per_second},
          {"cache_bytes_per_token_read", v.cache_bytes},
          {"weight_bytes_per_token_read", v.weight_bytes},
          {"cache_bytes_per_token_held", v.token_bytes}};
}

std::string TableText(const std::vector<Variant>& variants) {
  Table table({"variant", "mass kept", "perplexity", "accuracy", "tok/s", "cache read", "weights read", "cache held"}, 1);
  for (const Variant& v : variants) {
    const std::optional<double> recall = v.quality.recall();
    table.Row({v.name, recall ? absl::StrFormat("%.2f %%", 100 * *recall) : "", absl::StrFormat("%.4f", v.quality.perplexity()),
               absl::StrFormat("%.1f %%", 100 * v.quality.accuracy()), absl::StrFormat("%.1f", v.tokens_per_second),
               Bytes(static_cast<double>(v.cache_bytes)), Bytes(static_cast<double>(v.weight_bytes)),
               Bytes(static_cast<double>(v.token_bytes))});
  }
  return table.Text();
}

std::vector<Plot> Plots(const std::vector<Variant>& variants) {
  Plot mass{"Dense attention's mass kept", "cache read for a token, kB", "%", {}};
  Plot accuracy{"Answers right", "cache read for a token, kB", "%", {}};
  for (const Variant& v : variants) {
    const double kilobytes = static_cast<double>(v.cache_bytes) / 1e3;
    if (v.quality.recall()) mass.points.push_back({v.name, kilobytes, 100 * *v.quality.recall()});
    accuracy.points.push_back({v.name, kilobytes, 100 * v.quality.accuracy()});
  }
  return {mass, accuracy};
}

absl::StatusOr<int> Run(const po::variables_map& flags) {
  const fs::path out = Text(flags, "out");
  MODELC_RETURN_IF_ERROR(CheckReportName(out));
  const int64_t depth = flags["decode-at"].as<int64_t>();
  if (depth < 0 || flags["repeat"].as<int>() < 1) {
    return absl::InvalidArgumentError("--decode-at must not be negative and --repeat be at least 1");
  }
  if (!Text(flags, "attention").empty()) return absl::InvalidArgumentError("--attention names one variant; use --variants here");
  MODELC_ASSIGN_OR_RETURN(const std::vector<KnownAnswer> answers, Answers(flags, WeightsDir(flags)));
  std::vector<Variant> variants;
  Json list = Json::array();
  for (const std::string& name : VariantNames(flags)) {
    absl::StatusOr<Variant> variant = Measure(flags, name, answers);
    if (!variant.ok()) {
      return absl::Status(variant.status().code(), absl::StrCat("variant '", name, "': ", variant.status().message()));
    }
    variants.push_back(*std::move(variant));
    list.push_back(ToJson(variants.back()));
  }
  const Json report = {{"model", Text(flags, "model")}, {"numerics", Text(flags, "numerics")}, {"decode_at", depth},
                       {"answers", answers.size()},     {"variants", std::move(list)}};
  MODELC_RETURN_IF_ERROR(WriteReport(out, report, Plots(variants)));
  std::cout << (flags["json"].as<bool>() ? report.dump(1) + "\n" : TableText(variants));
  return 0;
}

}  // namespace

const Command kStudyCommand = {
    "study", "variants of sparse attention: quality beside speed",
    "usage: modelc study MODEL.mlir --problems FILE.jsonl --variants 'dense; top=32; window=16 block=16; reuse=2' [--out NAME]\n\n"
    "Runs known answers, teacher-forced, with each variant: the share of the dense attention's mass on what is selected,\n"
    "perplexity of the answers, how many are exact, tokens a second, and bytes read for a token. Variants are options of the\n"
    "pass lm-vary-attention (docs/passes.md), and work for every command as --attention.",
    Declare, Run};

}  // namespace modelc
