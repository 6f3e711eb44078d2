// The modelc binary: finds the subcommand, parses its flags, turns statuses into exit codes.
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/support/strings.h"
#include "tools/modelc/commands.h"

namespace modelc {
namespace {

constexpr int kBadUse = 2;
constexpr int kInterrupted = 130;
constexpr unsigned kHelpWidth = 120;  // columns

void PrintHelp(std::ostream& out) {
  out << "modelc compiles and serves DeepSeek-V3.2-class models.\n\n"
         "usage: modelc COMMAND [flags]        modelc COMMAND --help explains one\n\n";
  for (const Command* command : Commands()) {
    out << "  " << command->name << std::string(12 - std::string_view(command->name).size(), ' ') << command->summary
        << "\n";
  }
  out << "\nStart here:  modelc run models/v3.2.mlir        serves the embedded nano checkpoint\n";
}

const Command* FindCommand(std::string_view name) {
  for (const Command* command : Commands()) {
    if (name == command->name) return command;
  }
  return nullptr;
}

int Fail(std::string_view where, std::string_view message, int code) {
  std::cerr << "modelc " << where << ": " << absl::StrReplaceAll(Absl(message), {{"\n", "; "}}) << "\n";
  return code;
}

int Fail(std::string_view where, const absl::Status& status) {
  return Fail(where, Std(status.message()), status.code() == absl::StatusCode::kCancelled ? kInterrupted : kBadUse);
}

int RunCommand(const Command& command, int argc, char** argv) {
  po::options_description own("flags", kHelpWidth);
  po::positional_options_description positional;
  command.declare(own, positional);
  po::options_description common("common flags", kHelpWidth);
  common.add_options()
      ("help,h", "show this text")
      ("backend", po::value<std::string>()->default_value(""), "plugin to run on; without it: the best that finds a device, else cpu")
      ("plugin", po::value<std::vector<std::string>>()->composing(), "a plugin's path; may be repeated")
      ("threads", po::value<unsigned>()->default_value(0), "worker threads; 0: as many as there are cores")
      ("json", po::bool_switch(), "print figures as one JSON object on stdout");
  po::options_description all(kHelpWidth);
  all.add(own).add(common);
  po::variables_map flags;
  try {
    po::store(po::command_line_parser(argc, argv)
                  .options(all)
                  .positional(positional)
                  .style(po::command_line_style::default_style & ~po::command_line_style::allow_guessing)
                  .run(),
              flags);
    if (flags.count("help")) {
      std::cout << command.help << "\n" << all;
      return 0;
    }
    po::notify(flags);
  } catch (const po::error& e) {
    return Fail(command.name, absl::StrCat(e.what(), "; see 'modelc ", command.name, " --help'"), kBadUse);
  }
  absl::StatusOr<int> code = command.run(flags);
  return code.ok() ? *code : Fail(command.name, code.status());
}

}  // namespace
}  // namespace modelc

int main(int argc, char** argv) {
  using namespace modelc;
  if (argc < 2) {
    PrintHelp(std::cerr);
    return kBadUse;
  }
  std::string_view name = argv[1];
  if (name == "--help" || name == "-h" || name == "help") {
    PrintHelp(std::cout);
    return 0;
  }
  if (name == "--version") {
    std::cout << "modelc " MODELC_VERSION "\n";
    return 0;
  }
  const Command* command = FindCommand(name);
  if (command == nullptr) return Fail(name, "no such command; 'modelc --help' lists them", kBadUse);
  try {
    return RunCommand(*command, argc - 1, argv + 1);
  } catch (const std::exception& e) {  // the last resort: out of memory, a library's surprise
    return Fail(name, e.what(), kBadUse);
  }
}
