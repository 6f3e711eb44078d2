// modelc eval: answers problem files greedily, many at once, and scores them.
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "core/serving/defaults.h"
#include "core/support/file.h"
#include "core/support/status.h"
#include "core/text/chat.h"
#include "tools/modelc/commands.h"
#include "tools/modelc/json_lines.h"
#include "tools/modelc/measure/table.h"
#include "tools/modelc/model.h"
#include "tools/modelc/scoring/problem.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxTokens = 512;    // of an answer whose problem says nothing
constexpr int64_t kOutstanding = 256;  // requests in the engine at once

void Declare(po::options_description& options, po::positional_options_description& positional) {
  po::positional_options_description none;  // the model is a flag here
  DeclareModelFlags(options, none);
  positional.add("file", -1);
  options.add_options()("file", po::value<std::vector<std::string>>(), "problem files, one JSON object a line")(
      "thinking", po::value<std::string>(), "on or off, instead of what each problem says")(
      "limit", po::value<int64_t>()->default_value(0), "the first N of each task; 0: all")(
      "out", po::value<std::string>()->default_value(""), "write each answer to this file, one JSON object a line");
}

struct Score {
  int64_t total = 0, passed = 0;
  double accuracy() const { return total == 0 ? 0 : static_cast<double>(passed) / static_cast<double>(total); }
  void Count(bool pass) {
    ++total;
    passed += pass ? 1 : 0;
  }
  Json ToJson() const { return {{"total", total}, {"passed", passed}, {"accuracy", accuracy()}}; }
};

// Answers all problems; what is shared with the engine's thread is under the mutex.
class Exam {
 public:
  Exam(Engine& engine, const Tokenizer& tokenizer, const std::vector<Problem>& problems, std::vector<int32_t> stop_ids)
      : engine_(engine),
        tokenizer_(tokenizer),
        problems_(problems),
        stop_ids_(std::move(stop_ids)),
        answers_(problems.size()) {}

  absl::Status Run() {
    const absl::Time start = absl::Now();
    for (size_t i = 0; i < problems_.size(); ++i) {
      WaitForOutstanding(kOutstanding - 1);
      if (absl::Status status = Submit(i); !status.ok()) {
        WaitForOutstanding(0);
        return absl::Status(status.code(), absl::StrCat("problem ", problems_[i].id, ": ", status.message()));
      }
    }
    WaitForOutstanding(0);
    seconds_ = absl::ToDoubleSeconds(absl::Now() - start);
    absl::MutexLock lock(&mutex_);
    return failure_;
  }

  const std::map<std::string, Score>& by_task() const { return by_task_; }
  const Score& all() const { return all_; }
  double seconds() const { return seconds_; }
  // One JSON line a problem, in the file's order.
  std::string Lines() const {
    std::string out;
    for (size_t i = 0; i < problems_.size(); ++i) {
      const Problem& p = problems_[i];
      const Graded& a = answers_[i];
      Json calls = Json::array();
      for (const auto& call : a.answer.calls) calls.push_back({{"name", call.name}, {"arguments", call.arguments}});
      absl::StrAppend(&out,
                      DumpLine({{"id", p.id},
                                {"task", p.task},
                                {"passed", a.passed},
                                {"expected", p.expected},
                                {"content", a.answer.content},
                                {"reasoning", a.answer.reasoning},
                                {"tool_calls", calls},
                                {"finish_reason", a.complete ? "stop" : "length"},
                                {"completion_tokens", a.tokens}}),
                      "\n");
    }
    return out;
  }

 private:
  struct Graded {
    Answer answer;
    bool passed = false, complete = false;
    int64_t tokens = 0;
  };

  absl::Status Submit(size_t i) {
    const Problem& p = problems_[i];
    const Json messages = p.tools.is_null() ? p.messages : WithTools(p.messages, p.tools);
    MODELC_ASSIGN_OR_RETURN(const std::string prompt, EncodeChat(messages, {.thinking = p.thinking}));
    GenerateRequest request;
    MODELC_ASSIGN_OR_RETURN(request.prompt, tokenizer_.Encode(prompt));
    request.sampling.temperature = 0;
    request.stop_ids = stop_ids_;
    const int64_t room = engine_.max_context() - static_cast<int64_t>(request.prompt.size());
    request.max_tokens = std::max<int64_t>(1, std::min(room, p.max_tokens > 0 ? p.max_tokens : kMaxTokens));
    request.on_token = [this, i, ids = std::vector<int32_t>()](const TokenEvent& event) mutable {
      if (event.id) ids.push_back(*event.id);
      if (event.finish) Grade(i, ids, event);
      return true;
    };
    {
      absl::MutexLock lock(&mutex_);
      ++outstanding_;
    }
    const absl::Status status = engine_.Submit(std::move(request)).status();
    if (!status.ok()) {
      absl::MutexLock lock(&mutex_);
      --outstanding_;
    }
    return status;
  }

  // On the engine's thread.
  void Grade(size_t i, const std::vector<int32_t>& ids, const TokenEvent& end) {
    const Problem& p = problems_[i];
    absl::StatusOr<std::string> text = tokenizer_.Decode(ids);
    absl::MutexLock lock(&mutex_);
    --outstanding_;
    const absl::Status& status = end.status.ok() ? text.status() : end.status;
    if (!status.ok()) {
      failure_ = absl::Status(status.code(), absl::StrCat("problem ", p.id, ": ", status.message()));
      return;
    }
    Graded& a = answers_[i];
    a.answer = ParseAnswer(*text, p.thinking);
    a.passed = Passes(p.rule, a.answer);
    a.complete = end.finish == FinishReason::kStop;
    a.tokens = static_cast<int64_t>(ids.size());
    by_task_[p.task].Count(a.passed);
    all_.Count(a.passed);
  }

  // Until at most `most` requests are in the engine, drawing the bar meanwhile.
  void WaitForOutstanding(int64_t most) {
    auto reached = [&] { return outstanding_ <= most; };
    absl::MutexLock lock(&mutex_);
    while (!mutex_.AwaitWithTimeout(absl::Condition(&reached), absl::Milliseconds(100))) Draw();
    if (most == 0) Draw();
  }

  void Draw() {
    if (!terminal_) return;
    constexpr int kWidth = 32;
    const bool done = all_.total == static_cast<int64_t>(problems_.size());
    const int filled = static_cast<int>(kWidth * all_.total / static_cast<int64_t>(problems_.size()));
    absl::FPrintF(stderr, "\reval [%s%s] %d of %d, %.1f %% right%s", std::string(filled, '#'),
                  std::string(kWidth - filled, '.'), all_.total, problems_.size(), 100 * all_.accuracy(),
                  done ? "\r\x1b[K" : "");
    std::fflush(stderr);
  }

  Engine& engine_;
  const Tokenizer& tokenizer_;
  const std::vector<Problem>& problems_;
  const std::vector<int32_t> stop_ids_;
  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  absl::Mutex mutex_;
  std::vector<Graded> answers_;
  int64_t outstanding_ = 0;
  absl::Status failure_;
  Score all_;
  std::map<std::string, Score> by_task_;
  double seconds_ = 0;
};

absl::StatusOr<std::vector<Problem>> Problems(const po::variables_map& flags) {
  if (!flags.count("file")) {
    return absl::InvalidArgumentError("name a problem file, for example models/nano/eval_add3_think.jsonl");
  }
  const int64_t limit = flags["limit"].as<int64_t>();
  if (limit < 0) return absl::InvalidArgumentError("--limit must be 0 (all) or above");
  std::vector<Problem> problems;
  for (const std::string& file : flags["file"].as<std::vector<std::string>>()) {
    MODELC_ASSIGN_OR_RETURN(std::vector<Problem> more, ReadProblems(file, limit));
    problems.insert(problems.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }
  if (flags.count("thinking")) {
    const std::string& thinking = flags["thinking"].as<std::string>();
    if (thinking != "on" && thinking != "off") return absl::InvalidArgumentError("--thinking must be on or off");
    for (Problem& p : problems) p.thinking = thinking == "on";
  }
  return problems;
}

Json Report(const Exam& exam, const EngineStats& stats) {
  Json by_task = Json::object();
  for (const auto& [task, score] : exam.by_task()) by_task[task] = score.ToJson();
  Json report = exam.all().ToJson();
  report["by_task"] = by_task;
  report["seconds"] = exam.seconds();
  report["tokens_per_second"] = static_cast<double>(stats.completion_tokens) / exam.seconds();
  report["prompt_tokens"] = stats.prompt_tokens;
  report["cached_tokens"] = stats.cached_tokens;
  report["completion_tokens"] = stats.completion_tokens;
  report["drafted"] = stats.drafted;
  report["accepted"] = stats.accepted;
  return report;
}

std::string ReportText(const Exam& exam, const EngineStats& stats) {
  Table table({"task", "passed", "of", "accuracy"}, 1);
  const auto row = [&](const std::string& name, const Score& s) {
    table.Row({name, absl::StrCat(s.passed), absl::StrCat(s.total), absl::StrFormat("%.1f %%", 100 * s.accuracy())});
  };
  for (const auto& [task, score] : exam.by_task()) row(task, score);
  table.Rule();
  row("all", exam.all());
  return absl::StrFormat("%s%d tokens generated in %.1f s, %.0f tokens/s\n", table.Text(), stats.completion_tokens,
                         exam.seconds(), static_cast<double>(stats.completion_tokens) / exam.seconds());
}

absl::StatusOr<int> Run(const po::variables_map& given) {
  MODELC_ASSIGN_OR_RETURN(const std::vector<Problem> problems, Problems(given));
  const fs::path out = given["out"].as<std::string>();
  if (!out.empty() && !fs::is_directory(fs::absolute(out).parent_path())) return CannotWrite(out);  // before the work
  po::variables_map flags = given;
  if (!flags.count("model")) {
    flags.insert({"model", po::variable_value((ModelsDir() / "v3.2.mlir").string(), true)});
  }
  MODELC_ASSIGN_OR_RETURN(OpenedModel model, OpenModel(flags));
  MODELC_ASSIGN_OR_RETURN(const auto tokenizer, OpenTokenizer(model.weights_dir));
  const auto presets =
      flags.count("config") ? flags["config"].as<std::vector<std::string>>() : std::vector<std::string>();
  MODELC_ASSIGN_OR_RETURN(const ServingDefaults defaults, LoadServingDefaults(model.weights_dir, presets));
  MODELC_ASSIGN_OR_RETURN(const auto engine, StartEngine(model, flags));

  Exam exam(*engine, *tokenizer, problems, defaults.stop_ids);
  MODELC_RETURN_IF_ERROR(exam.Run());
  const EngineStats stats = engine->Stats();
  if (!out.empty()) MODELC_RETURN_IF_ERROR(WriteFile(out, exam.Lines()));
  std::cout << (flags["json"].as<bool>() ? DumpLine(Report(exam, stats)) + "\n" : ReportText(exam, stats));
  return 0;
}

}  // namespace

const Command kEvalCommand = {
    "eval", "score the answers to a file of problems",
    "usage: modelc eval FILE.jsonl… [--config FILE] [--thinking on|off] [--limit N] [--out FILE] [--json]\n\n"
    "Answers every problem greedily, many at once, and scores each by its rule (last_number, equals, json_equal,\n"
    "tool_call) on what follows any thinking. An answer has 512 tokens at most unless its problem says otherwise.\n\n"
    "  modelc eval models/nano/eval_add3_think.jsonl\n"
    "  modelc eval models/nano/eval_*.jsonl --limit 20 --out answers.jsonl --json\n",
    Declare, Run};

}  // namespace modelc
