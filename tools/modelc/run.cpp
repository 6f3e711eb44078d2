// modelc run: answers one prompt, or serves the API.
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "core/serving/fields.h"
#include "core/serving/server.h"
#include "core/support/file.h"
#include "core/support/status.h"
#include "core/text/json.h"
#include "core/text/utf8.h"
#include "tools/modelc/assistant.h"
#include "tools/modelc/commands.h"
#include "tools/modelc/transcript.h"

namespace modelc {
namespace {

void Declare(po::options_description& options, po::positional_options_description& positional) {
  DeclareModelFlags(options, positional);
  options.add_options()
      ("prompt", po::value<std::string>(), "answer this once, on stdout, and exit")
      ("messages", po::value<std::string>(),
       "answer this conversation once: a JSON file with an array of messages, or with a whole request body")
      ("thinking", po::value<std::string>(), "on or off; without it: as the model's presets say")
      ("listen", po::value<std::string>()->default_value("127.0.0.1:8000"), "ADDR:PORT to serve on; port 0: any free one")
      ("tls-cert", po::value<std::string>()->default_value(""), "PEM certificate chain; serves https")
      ("tls-key", po::value<std::string>()->default_value(""), "its private key, PEM")
      ("api-keys", po::value<std::string>()->default_value(""), "file of keys, one a line; without it everybody may ask")
      ("rate-limit", po::value<double>()->default_value(0), "requests a minute for each key (or address); 0: no limit");
}

absl::StatusOr<Json> ReadRequest(const std::string& path) {
  MODELC_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok()) return absl::InvalidArgumentError(absl::StrCat(path, ": ", json.status().message()));
  if (json->is_array()) return Json{{"messages", *std::move(json)}};
  if (json->is_object()) return json;
  return absl::InvalidArgumentError(absl::StrCat(path, ": must be an array of messages or a request object"));
}

// What is asked once, or null where the API is to be served.
absl::StatusOr<Json> OneRequest(const po::variables_map& flags) {
  const bool prompt = flags.count("prompt"), messages = flags.count("messages");
  if (prompt && messages) return absl::InvalidArgumentError("give --prompt or --messages, not both");
  Json body;
  if (prompt && utf8::FindInvalid(flags["prompt"].as<std::string>()) != std::string::npos) {
    return absl::InvalidArgumentError("--prompt is not UTF-8");
  }
  if (prompt) body = {{"messages", Json::array({{{"role", "user"}, {"content", flags["prompt"].as<std::string>()}}})}};
  if (messages) {
    MODELC_ASSIGN_OR_RETURN(body, ReadRequest(flags["messages"].as<std::string>()));
  }
  if (flags.count("thinking")) {
    const std::string& thinking = flags["thinking"].as<std::string>();
    if (thinking != "on" && thinking != "off") return absl::InvalidArgumentError("--thinking must be on or off");
    if (body.is_null()) return absl::InvalidArgumentError("--thinking goes with --prompt or --messages; requests to the API say it themselves");
    body["thinking"] = {{"type", thinking == "on" ? "enabled" : "disabled"}};
  }
  return body;
}

absl::StatusOr<int> AnswerOnce(Assistant& assistant, const Json& body, bool json) {
  if (json) {
    MODELC_ASSIGN_OR_RETURN(const Json response, assistant.chat().Respond(body));
    std::cout << Dump(response) << "\n";
    return 0;
  }
  Transcript transcript(std::cout, isatty(STDOUT_FILENO) != 0);
  const absl::Status status = assistant.chat().Stream(body, [&](const Json& chunk) {
    transcript.Show(chunk);
    return true;
  });
  transcript.End();
  MODELC_RETURN_IF_ERROR(status);
  return 0;
}

absl::StatusOr<int> ServeApi(Assistant& assistant, const po::variables_map& flags, ApiKeys keys) {
  Api api(&assistant.chat(), std::move(keys), flags["rate-limit"].as<double>());
  const ServerOptions options{flags["listen"].as<std::string>(), flags["tls-cert"].as<std::string>(),
                              flags["tls-key"].as<std::string>()};
  MODELC_ASSIGN_OR_RETURN(const int signal, Serve(api, options, [&](const std::string& url) {
    std::cout << "serving " << assistant.name() << " at " << url << std::endl;
  }));
  if (signal == SIGINT) return absl::CancelledError("interrupted");
  return 0;
}

absl::StatusOr<int> Run(const po::variables_map& flags) {
  // Everything that can be wrong with the flags, before the model takes time to load.
  MODELC_ASSIGN_OR_RETURN(const Json body, OneRequest(flags));
  const double rate = flags["rate-limit"].as<double>();
  if (!(rate >= 0 && rate < 1e9)) return absl::InvalidArgumentError("--rate-limit must be 0 or above");
  ApiKeys keys;
  if (const auto& file = flags["api-keys"].as<std::string>(); !file.empty()) {
    MODELC_ASSIGN_OR_RETURN(keys, ApiKeys::Load(file));
  }
  MODELC_ASSIGN_OR_RETURN(const std::unique_ptr<Assistant> assistant, Assistant::Open(flags));
  return body.is_null() ? ServeApi(*assistant, flags, std::move(keys))
                        : AnswerOnce(*assistant, body, flags["json"].as<bool>());
}

}  // namespace

const Command kRunCommand = {
    "run", "serve a model (OpenAI API, playground page), or answer one prompt",
    "usage: modelc run MODEL.mlir [--weights DIR] [--config FILE]… [--prompt TEXT | --messages FILE] [--listen ADDR:PORT]\n\n"
    "Without a prompt: serves, and prints the address when ready. With one: answers on stdout and exits; reasoning is\n"
    "dimmed on a terminal, and --json prints the API's response object. Without --weights: the nano checkpoint.\n\n"
    "  modelc run models/v3.2.mlir\n"
    "  modelc run models/v3.2.mlir --prompt 'What is 347 + 586?'\n"
    "  modelc run models/v3.2.mlir --weights DeepSeek-V3.2 --listen 0.0.0.0:8000 --api-keys keys.txt\n",
    Declare, Run};

}  // namespace modelc
