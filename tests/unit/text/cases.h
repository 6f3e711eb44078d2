// The recorded cases the tests of core/text share.
#ifndef MODELC_TESTS_UNIT_TEXT_CASES_H_
#define MODELC_TESTS_UNIT_TEXT_CASES_H_

#include <fstream>
#include <string>
#include <vector>

#include "core/text/json.h"
#include "gtest/gtest.h"

namespace modelc {

inline std::vector<Json> ReadJsonLines(const std::string& path) {
  std::vector<Json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    absl::StatusOr<Json> json = ParseJson(line);
    EXPECT_TRUE(json.ok()) << path << ": " << json.status();
    if (json.ok()) lines.push_back(*std::move(json));
  }
  EXPECT_FALSE(lines.empty()) << path;
  return lines;
}

inline std::vector<Json> ChatCases(const std::string& kind) {
  std::vector<Json> cases;
  for (Json& c : ReadJsonLines("tests/fixtures/deepseek-v3.2/encoding/cases.jsonl")) {
    if (c["kind"] == kind) cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace modelc

#endif  // MODELC_TESTS_UNIT_TEXT_CASES_H_
