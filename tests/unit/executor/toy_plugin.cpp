// A plugin for tests with six float32 kernels, written for plainness. Device 0 has host memory; device 1 has memory of its
// own. It holds the host to its promises: buffers and kernels are counted, and equal replay keys must mean equal commands.
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "plugins/sdk/plugin.h"
#include "tests/unit/executor/toy_plugin.h"

struct modelc_device {
  bool host_memory;
};
struct modelc_stream {
  std::map<uint64_t, std::string> replays;
};
struct modelc_buffer {
  char* data;
  uint64_t bytes;
  bool wrapped;
};

namespace {

using modelc::sdk::Error;

ToyCounts counts;
constexpr uint64_t kMemory = 32 << 20;

template <typename T>
T* Data(const modelc_tensor& t) {
  return reinterpret_cast<T*>(t.buffer->data + t.offset);
}

// e4m3 without the specials; enough for the weights of the tests.
float FromF8(uint8_t b) {
  const int exponent = b >> 3 & 15;
  const float magnitude = exponent == 0 ? (b & 7) / 512.f : (8 + (b & 7)) / 1024.f * (1 << exponent);
  return b & 128 ? -magnitude : magnitude;
}

// Element i of an int8 or int4 matrix of rows of at most 128: one group each.
float GroupedWeight(const modelc_tensor& w, int64_t i) {
  const int64_t k = w.shape[w.rank - 1], column = i % k;
  const char* group = Data<char>(w) + i / k * (w.dtype == MODELC_INT8 ? 132 : 72);
  float scale;
  std::memcpy(&scale, group, sizeof scale);
  if (w.dtype == MODELC_INT8) return scale * static_cast<int8_t>(group[4 + column]);
  const int pair = static_cast<uint8_t>(group[8 + column / 2]);
  return scale * static_cast<uint8_t>(group[4 + column / 32]) * ((column % 2 ? pair >> 4 : pair & 15) - 8);
}

float Weight(const modelc_tensor& w, int64_t i) {
  if (w.dtype == MODELC_INT8 || w.dtype == MODELC_INT4) return GroupedWeight(w, i);
  if (w.dtype == MODELC_BF16) {
    const uint32_t bits = uint32_t{Data<uint16_t>(w)[i]} << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  return w.dtype == MODELC_F8E4M3 ? FromF8(Data<uint8_t>(w)[i]) * *reinterpret_cast<float*>(w.scale->data + w.scale_offset)
                                  : Data<float>(w)[i];
}

// ids [T], table [V, H] → out [T, H]
void Embed(const modelc_tensor* t) {
  const int64_t width = t[1].shape[1];
  for (int64_t row = 0; row < t[0].shape[0]; ++row) {
    for (int64_t i = 0; i < width; ++i) Data<float>(t[2])[row * width + i] = Weight(t[1], Data<int32_t>(t[0])[row] * width + i);
  }
}

// x [T, K], W [E, N, K] or [N, K] → out [T, N] = sum over e of (e + 1) * x·W[e]ᵀ, so that the order of experts matters
void Linear(const modelc_tensor* t) {
  const int64_t experts = t[1].rank == 3 ? t[1].shape[0] : 1, n = t[1].shape[t[1].rank - 2], k = t[1].shape[t[1].rank - 1];
  for (int64_t row = 0; row < t[0].shape[0]; ++row) {
    for (int64_t i = 0; i < n; ++i) {
      float sum = 0;
      for (int64_t e = 0; e < experts; ++e) {
        for (int64_t j = 0; j < k; ++j) sum += (e + 1) * Data<float>(t[0])[row * k + j] * Weight(t[1], (e * n + i) * k + j);
      }
      Data<float>(t[2])[row * n + i] = sum;
    }
  }
}

// x [T, H], c [H] constant → out [T, H] = x * c
void Scale(const modelc_tensor* t) {
  const int64_t width = t[0].shape[1];
  for (int64_t i = 0; i < t[0].shape[0] * width; ++i) Data<float>(t[2])[i] = Data<float>(t[0])[i] * Data<float>(t[1])[i % width];
}

// x [T, H], pos [T], seq [T], pages [S, P], cache [pages, 256] →; keeps x[t, 0]
void Append(const modelc_tensor* t) {
  for (int64_t row = 0; row < t[0].shape[0]; ++row) {
    const int32_t pos = Data<int32_t>(t[1])[row], seq = Data<int32_t>(t[2])[row];
    if (seq < 0) continue;
    const int32_t page = Data<int32_t>(t[3])[seq * t[3].shape[1] + pos / 64];
    Data<float>(t[4])[page * 64 + pos % 64] = Data<float>(t[0])[row * t[0].shape[1]];
  }
}

// x [T, H], pos, seq, pages, cache → out [T, H] = x + the sum of what the row's sequence kept so far
void AddKept(const modelc_tensor* t) {
  const int64_t width = t[0].shape[1];
  for (int64_t row = 0; row < t[0].shape[0]; ++row) {
    const int32_t seq = Data<int32_t>(t[2])[row];
    float sum = 0;
    for (int32_t p = 0; seq >= 0 && p <= Data<int32_t>(t[1])[row]; ++p) {
      sum += Data<float>(t[4])[Data<int32_t>(t[3])[seq * t[3].shape[1] + p / 64] * 64 + p % 64];
    }
    for (int64_t i = 0; i < width; ++i) Data<float>(t[5])[row * width + i] = Data<float>(t[0])[row * width + i] + sum;
  }
}

// x [T, H], wanted [N] → out [N, H]
void TakeRows(const modelc_tensor* t) {
  const int64_t width = t[0].shape[1];
  for (int64_t n = 0; n < t[1].shape[0]; ++n) {
    std::memcpy(Data<float>(t[2]) + n * width, Data<float>(t[0]) + Data<int32_t>(t[1])[n] * width, width * sizeof(float));
  }
}

struct Row {
  const char* name;
  void (*run)(const modelc_tensor*);
};
constexpr Row kKernels[] = {{"embed", Embed},   {"linear", Linear},      {"scale", Scale},
                            {"append", Append}, {"add_kept", AddKept}, {"take_rows", TakeRows}};

modelc_error* Make(uint64_t bytes, char* data, bool wrapped, modelc_buffer** out) {
  *out = new modelc_buffer{data, bytes, wrapped};
  ++counts.live;
  return nullptr;
}

}  // namespace

struct modelc_kernel {
  void (*run)(const modelc_tensor*);
};

extern "C" MODELC_EXPORT const ToyCounts* toy_counts() { return &counts; }

extern "C" MODELC_EXPORT modelc_error* modelc_plugin_query(const modelc_host_api* host, modelc_plugin_api* out) {
  modelc_plugin_api api{};
  api.name = "toy";
  api.version = "1";
  api.device_count = [](uint32_t* n) -> modelc_error* { return *n = 2, nullptr; };
  api.device_open = [](uint32_t ordinal, const modelc_device_options*, modelc_device** d) -> modelc_error* {
    return *d = new modelc_device{ordinal == 0}, nullptr;
  };
  api.device_close = [](modelc_device* d) { delete d; };
  api.device_info = [](modelc_device* d, modelc_device_info* info) -> modelc_error* {
    info->name = "toy";
    info->memory_bytes = kMemory;
    info->host_memory = d->host_memory;
    return nullptr;
  };
  api.device_describe = [](modelc_device*, const char** json) -> modelc_error* {
    return *json = R"({"schema": 1, "device": {"kind": "toy", "codegen": "none"}, "kernels": []})", nullptr;
  };
  api.buffer_alloc = [](modelc_device*, uint64_t bytes, modelc_buffer** b) -> modelc_error* {
    if (bytes > kMemory) return Error(MODELC_RESOURCE_EXHAUSTED, "the toy has 32 MiB");
    return Make(bytes, static_cast<char*>(std::calloc(1, bytes)), false, b);
  };
  api.buffer_wrap = [](modelc_device* d, const void* data, uint64_t bytes, modelc_buffer** b) -> modelc_error* {
    if (!d->host_memory) return Error(MODELC_UNIMPLEMENTED, "no host memory");
    ++counts.wrapped;
    return Make(bytes, static_cast<char*>(const_cast<void*>(data)), true, b);
  };
  api.buffer_free = [](modelc_buffer* b) {
    if (!b->wrapped) std::free(b->data);
    delete b;
    --counts.live;
  };
  api.buffer_upload = [](modelc_stream*, modelc_buffer* b, uint64_t at, const void* from, uint64_t n) -> modelc_error* {
    if (at + n > b->bytes) return Error(MODELC_INVALID_ARGUMENT, "upload beyond the buffer");
    return std::memcpy(b->data + at, from, n), nullptr;
  };
  api.buffer_download = [](modelc_stream*, const modelc_buffer* b, uint64_t at, void* to, uint64_t n) -> modelc_error* {
    if (at + n > b->bytes) return Error(MODELC_INVALID_ARGUMENT, "download beyond the buffer");
    return std::memcpy(to, b->data + at, n), nullptr;
  };
  api.stream_create = [](modelc_device*, modelc_stream** s) -> modelc_error* { return *s = new modelc_stream, nullptr; };
  api.stream_free = [](modelc_stream* s) { delete s; };
  api.stream_sync = [](modelc_stream*) -> modelc_error* { return nullptr; };
  api.kernel_resolve = [](modelc_device*, const char* name, const char*, modelc_kernel** k) -> modelc_error* {
    for (const Row& row : kKernels) {
      if (std::strcmp(row.name, name) != 0) continue;
      ++counts.live;
      ++counts.kernels;
      return *k = new modelc_kernel{row.run}, nullptr;
    }
    return Error(MODELC_NOT_FOUND, std::string("no kernel '") + name + "'");
  };
  api.kernel_free = [](modelc_kernel* k) {
    delete k;
    --counts.live;
  };
  api.submit = [](modelc_stream* s, const modelc_command* commands, size_t n, uint64_t replay_key) -> modelc_error* {
    if (replay_key != 0) {
      std::string all;
      for (size_t i = 0; i < n; ++i) {
        all.append(reinterpret_cast<const char*>(&commands[i].kernel), sizeof(void*));
        all.append(reinterpret_cast<const char*>(commands[i].tensors), commands[i].n_tensors * sizeof(modelc_tensor));
      }
      const auto [it, added] = s->replays.emplace(replay_key, all);
      if (!added && it->second != all) return Error(MODELC_INVALID_ARGUMENT, "equal replay keys, other commands");
      counts.replayed += !added;
    }
    for (size_t i = 0; i < n; ++i) commands[i].kernel->run(commands[i].tensors);
    return nullptr;
  };
  return modelc::sdk::Answer(host, api, out);
}
