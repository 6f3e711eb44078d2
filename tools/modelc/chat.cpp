// modelc chat: a terminal chat against a running server, or in this process.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/support/file.h"
#include "core/support/status.h"
#include "core/support/strings.h"
#include "core/text/json.h"
#include "tools/modelc/assistant.h"
#include "tools/modelc/commands.h"
#include "tools/modelc/remote_chat.h"
#include "tools/modelc/transcript.h"

namespace modelc {
namespace {

using Show = std::function<bool(const Json&)>;
using Ask = std::function<absl::Status(const Json& body, const Show& show)>;

constexpr char kHelp[] =
    "/thinking on|off   whether the model reasons first\n"
    "/system TEXT       a system message; without text: none\n"
    "/clear             begin again\n"
    "/quit              leave (as the end of input does); Ctrl-C stops an answer\n";

std::atomic<bool> interrupted = false;

// Ctrl-C ends what is under way: an answer, or the wait for a line (hence no SA_RESTART).
void CatchInterrupts() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = true; };
  sigaction(SIGINT, &action, nullptr);
}

class Conversation {
 public:
  Conversation(Ask ask, Json tools)
      : ask_(std::move(ask)), tools_(std::move(tools)), terminal_(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)) {}

  absl::StatusOr<int> Run() {
    if (terminal_) std::cout << "Ask something; /help lists commands.\n";
    std::string line;
    while (ReadLine("> ", line)) {
      if (line.empty()) continue;
      if (line == "/quit") return 0;
      if (line.front() == '/') {
        Obey(line);
      } else {
        messages_.push_back({{"role", "user"}, {"content", line}});
        if (absl::Status status = Answer(); !status.ok() && !terminal_) return status;
      }
    }
    if (interrupted) return absl::CancelledError("interrupted");
    return 0;
  }

 private:
  bool ReadLine(const std::string& prompt, std::string& line) {
    if (terminal_) std::cout << prompt << std::flush;
    return static_cast<bool>(std::getline(std::cin, line));
  }

  void Obey(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string command = line.substr(0, space);
    const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
    if (command == "/thinking" && (rest == "on" || rest == "off")) {
      thinking_ = rest == "on" ? "enabled" : "disabled";
    } else if (command == "/system") {
      system_ = rest;
    } else if (command == "/clear") {
      messages_ = Json::array();
    } else {
      std::cout << kHelp;
    }
  }

  // Answers, and goes on as long as the model calls tools.
  absl::Status Answer() {
    const size_t before = messages_.size() - 1;
    while (true) {
      Transcript transcript(std::cout, terminal_);
      const absl::Status status = ask_(Body(), [&](const Json& chunk) {
        transcript.Show(chunk);
        return !interrupted.exchange(false);
      });
      transcript.End();
      const Json message = transcript.message();
      if (!status.ok() && !absl::IsCancelled(status)) {
        if (terminal_) std::cerr << "modelc chat: " << status.message() << "\n";
        messages_.erase(messages_.begin() + before, messages_.end());  // as if it had not been asked
        return status;
      }
      messages_.push_back(message);
      if (!message.contains("tool_calls") || !status.ok() || !AskForResults(message["tool_calls"])) return absl::OkStatus();
    }
  }

  bool AskForResults(const Json& calls) {
    for (const Json& call : calls) {
      std::string result;
      if (!ReadLine(absl::StrCat("result of ", call["function"]["name"].get<std::string>(), ": "), result)) return false;
      messages_.push_back({{"role", "tool"}, {"tool_call_id", call["id"]}, {"content", result}});
    }
    return true;
  }

  Json Body() const {
    Json messages = Json::array();
    if (!system_.empty()) messages.push_back({{"role", "system"}, {"content", system_}});
    for (const Json& message : messages_) messages.push_back(message);
    Json body = {{"messages", std::move(messages)}};
    if (!tools_.is_null()) body["tools"] = tools_;
    if (!thinking_.empty()) body["thinking"] = {{"type", thinking_}};
    return body;
  }

  const Ask ask_;
  const Json tools_;
  const bool terminal_;
  std::string system_, thinking_;  // thinking: empty until it is set
  Json messages_ = Json::array();
};

void Declare(po::options_description& options, po::positional_options_description& positional) {
  po::positional_options_description none;  // the model is a flag here
  DeclareModelFlags(options, none);
  positional.add("url", 1);
  options.add_options()
      ("url", po::value<std::string>(), "a running server, http://HOST:PORT; without it the model runs in this process")
      ("tools", po::value<std::string>(), "JSON file with an array of tools; results of calls are asked for");
}

absl::StatusOr<Json> ReadTools(const po::variables_map& flags) {
  if (!flags.count("tools")) return Json();
  const std::string& path = flags["tools"].as<std::string>();
  MODELC_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  absl::StatusOr<Json> tools = ParseJson(text);
  if (!tools.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", tools.status().message()));
  return tools;
}

absl::StatusOr<int> Run(const po::variables_map& given) {
  MODELC_ASSIGN_OR_RETURN(Json tools, ReadTools(given));
  if (given.count("url")) {
    const char* key = std::getenv("MODELC_API_KEY");
    MODELC_ASSIGN_OR_RETURN(const RemoteChat remote, RemoteChat::Open(given["url"].as<std::string>(), key ? key : ""));
    CatchInterrupts();
    return Conversation([&](const Json& body, const Show& show) { return remote.Stream(body, show); }, std::move(tools)).Run();
  }
  po::variables_map flags = given;
  if (!flags.count("model")) {
    flags.insert({"model", po::variable_value((ModelsDir() / "v3.2.mlir").string(), true)});
  }
  MODELC_ASSIGN_OR_RETURN(const std::unique_ptr<Assistant> assistant, Assistant::Open(flags));
  CatchInterrupts();
  return Conversation([&](const Json& body, const Show& show) { return assistant->chat().Stream(body, show); },
                      std::move(tools)).Run();
}

}  // namespace

const Command kChatCommand = {
    "chat", "chat in the terminal, against a server or in this process",
    "usage: modelc chat [URL] [--tools FILE]\n\n"
    "Several turns, one line each; /help lists the commands. Plain lines where input or output is no terminal. A server\n"
    "that asks for an API key gets the one in MODELC_API_KEY.\n\n"
    "  modelc chat                            the nano checkpoint, in this process\n"
    "  modelc chat http://127.0.0.1:8000      what 'modelc run' serves there\n",
    Declare, Run};

}  // namespace modelc
