// Well-formed inputs of the text fuzz targets.
#ifndef MODELC_TESTS_FUZZ_TEXT_SEEDS_H_
#define MODELC_TESTS_FUZZ_TEXT_SEEDS_H_

#include <fstream>
#include <string>
#include <vector>

#include "core/text/json.h"

namespace modelc::fuzz {

// A small tokenizer.json with every field: the bytes, two merges, two splits, two added tokens.
inline std::string SmallTokenizerJson() {
  std::ifstream in("models/nano/checkpoint/tokenizer.json");
  Json json = Json::parse(in);
  Json vocab = Json::object();
  for (const auto& [token, id] : json["model"]["vocab"].items()) {
    if (vocab.size() < 259) vocab[token] = id;
  }
  for (const char* token : {"in", "er", "ining"}) vocab[token] = vocab.size();
  json["model"]["vocab"] = vocab;
  json["model"]["merges"] = {"i n", Json::array({"e", "r"})};
  json["added_tokens"].erase(json["added_tokens"].begin() + 5, json["added_tokens"].end());
  for (size_t i = 3; i < 5; ++i) json["added_tokens"][i]["id"] = vocab.size() + i;
  return json.dump();
}

// The lines of a fixture, one field of each.
inline std::vector<std::string> Fields(const char* path, const char* field) {
  std::vector<std::string> values;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const Json json = Json::parse(line);
    if (!json.contains(field)) continue;
    values.push_back(json[field].is_string() ? json[field].get<std::string>() : json[field].dump());
  }
  return values;
}

}  // namespace modelc::fuzz

#endif  // MODELC_TESTS_FUZZ_TEXT_SEEDS_H_
