// One subcommand of modelc: a file `NAME.cpp` defines one Command; main.cpp lists them.
#ifndef MODELC_TOOLS_MODELC_COMMAND_H_
#define MODELC_TOOLS_MODELC_COMMAND_H_

#include <boost/program_options.hpp>
#include <string>

#include "absl/status/statusor.h"

namespace modelc {

namespace po = boost::program_options;

struct Command {
  const char* name;
  const char* summary;  // its line in `modelc --help`
  const char* help;     // usage and examples, above the options in `modelc NAME --help`
  // Adds the command's own options; the common ones (--help, --backend, --plugin, --threads, --json) are there.
  void (*declare)(po::options_description& options, po::positional_options_description& positional);
  // Exit status 0 or 1; a status becomes one line on stderr and exit status 2 (130 when Cancelled).
  absl::StatusOr<int> (*run)(const po::variables_map& flags);
};

// A flag that has a text, given or by default.
inline std::string Text(const po::variables_map& flags, const char* name) { return flags[name].as<std::string>(); }

}  // namespace modelc

#endif  // MODELC_TOOLS_MODELC_COMMAND_H_
