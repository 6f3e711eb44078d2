// Safetensors files for tests: well-formed ones from tensors, and raw ones from a header text.
#ifndef MODELC_TESTS_UNIT_CHECKPOINT_SAFETENSORS_FILE_H_
#define MODELC_TESTS_UNIT_CHECKPOINT_SAFETENSORS_FILE_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/unit/temp_dir.h"

namespace modelc::testing {

// The length, the header, then the data; `length` overrides what the first eight bytes claim.
inline std::string RawSafetensors(const std::string& header, const std::string& data, int64_t length = -1) {
  uint64_t claimed = length < 0 ? header.size() : static_cast<uint64_t>(length);
  std::string out;
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(claimed >> 8 * i));
  return out + header + data;
}

struct TestTensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};

template <typename T>
TestTensor MakeTensor(std::string name, std::string dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  return {std::move(name), std::move(dtype), std::move(shape),
          std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T))};
}

inline std::string Safetensors(const std::vector<TestTensor>& tensors) {
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const TestTensor& t : tensors) {
    header[t.name] = {{"dtype", t.dtype}, {"shape", t.shape}, {"data_offsets", {data.size(), data.size() + t.bytes.size()}}};
    data += t.bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // keeps the data aligned
  return RawSafetensors(text, data);
}

}  // namespace modelc::testing

#endif  // MODELC_TESTS_UNIT_CHECKPOINT_SAFETENSORS_FILE_H_
