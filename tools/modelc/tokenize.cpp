// modelc tokenize [--weights DIR] [--decode]
#include <iostream>

#include "absl/strings/str_join.h"
#include "core/support/status.h"
#include "tools/modelc/commands.h"
#include "tools/modelc/json_lines.h"
#include "tools/modelc/model.h"

namespace modelc {
namespace {

void Declare(po::options_description& options, po::positional_options_description&) {
  options.add_options()("weights", po::value<std::string>()->default_value(""),
                        "checkpoint folder; without it: the nano checkpoint")("decode", po::bool_switch(),
                                                                              "ids to text instead");
}

absl::StatusOr<std::string> Encode(const Tokenizer& tokenizer, const Json& line) {
  if (!line.is_string()) return absl::InvalidArgumentError("wanted a JSON string");
  MODELC_ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.Encode(line.get_ref<const std::string&>()));
  return absl::StrCat("[", absl::StrJoin(ids, ","), "]");
}

absl::StatusOr<std::string> Decode(const Tokenizer& tokenizer, const Json& line) {
  constexpr char kWanted[] = "wanted a JSON array of ids; without --decode, strings are encoded";
  if (!line.is_array()) return absl::InvalidArgumentError(kWanted);
  std::vector<int32_t> ids;
  for (const Json& id : line) {
    if (!id.is_number_integer()) return absl::InvalidArgumentError(kWanted);
    const int64_t value = id.get<int64_t>();
    ids.push_back(value == static_cast<int32_t>(value) ? static_cast<int32_t>(value) : -1);  // Decode refuses -1
  }
  MODELC_ASSIGN_OR_RETURN(std::string text, tokenizer.Decode(ids));
  return DumpLine(text);
}

absl::StatusOr<int> Run(const po::variables_map& flags) {
  MODELC_ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer, OpenTokenizer(WeightsDir(flags)));
  const bool decode = flags["decode"].as<bool>();
  std::ios::sync_with_stdio(false);
  MODELC_RETURN_IF_ERROR(AnswerJsonLines(std::cin, std::cout, [&](const Json& line) {
    return decode ? Decode(*tokenizer, line) : Encode(*tokenizer, line);
  }));
  return 0;
}

}  // namespace

const Command kTokenizeCommand = {
    "tokenize", "text to token ids and back, line by line",
    "usage: modelc tokenize [--weights DIR] [--decode] < LINES\n\n"
    "Each line of stdin is a JSON string; its ids are written as a JSON array. With --decode the other way round.\n\n"
    "  echo '\"Hello <think>\"' | modelc tokenize\n"
    "  echo '[0, 5, 7]' | modelc tokenize --decode\n",
    Declare, Run};

}  // namespace modelc
