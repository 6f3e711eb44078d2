// The plugin as a host sees it: through the C ABI alone.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "plugins/abi/plugin.h"

struct modelc_error {
  modelc_code code;
  std::string message;
};

namespace {

using ::testing::HasSubstr;

modelc_error* MakeError(modelc_code code, const char* message) { return new modelc_error{code, message}; }
void FreeError(modelc_error* e) { delete e; }
void Log(int, const char*) {}
constexpr modelc_host_api kHost = {sizeof(modelc_host_api), MODELC_ABI_MAJOR, MODELC_ABI_MINOR, MakeError, FreeError, Log};

// The code and message of an error, which it frees; code 0 for none.
struct Outcome {
  int code = 0;
  std::string message;
};
Outcome Take(modelc_error* e) {
  Outcome out;
  if (e) out = {e->code, e->message};
  delete e;
  return out;
}

class PluginTest : public ::testing::Test {
 protected:
  static modelc_plugin_query_fn Query() {
    static void* const library = dlopen(MODELC_CPU_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    return library ? reinterpret_cast<modelc_plugin_query_fn>(dlsym(library, "modelc_plugin_query")) : nullptr;
  }

  void SetUp() override {
    ASSERT_NE(Query(), nullptr) << dlerror();
    api_.struct_size = sizeof(api_);
    ASSERT_EQ(Query()(&kHost, &api_), nullptr);
    const modelc_device_options options = {sizeof(options), 2};
    ASSERT_EQ(api_.device_open(0, &options, &device_), nullptr);
    ASSERT_EQ(api_.stream_create(device_, &stream_), nullptr);
  }
  void TearDown() override {
    for (modelc_buffer* b : buffers_) api_.buffer_free(b);
    for (modelc_kernel* k : kernels_) api_.kernel_free(k);
    if (stream_) api_.stream_free(stream_);
    if (device_) api_.device_close(device_);
  }

  modelc_buffer* Floats(const std::vector<float>& values) {
    modelc_buffer* b = nullptr;
    EXPECT_EQ(api_.buffer_alloc(device_, values.size() * 4, &b), nullptr);
    EXPECT_EQ(api_.buffer_upload(stream_, b, 0, values.data(), values.size() * 4), nullptr);
    buffers_.push_back(b);
    return b;
  }
  static modelc_tensor Row(modelc_buffer* b, int64_t n) {
    return {.buffer = b, .offset = 0, .scale = nullptr, .scale_offset = 0, .dtype = MODELC_F32, .rank = 1, .shape = {n}};
  }
  modelc_kernel* Kernel(const char* name, const char* attributes = "{}") {
    modelc_kernel* k = nullptr;
    const Outcome o = Take(api_.kernel_resolve(device_, name, attributes, &k));
    EXPECT_EQ(o.code, 0) << o.message;
    kernels_.push_back(k);
    return k;
  }

  modelc_plugin_api api_{};
  modelc_device* device_ = nullptr;
  modelc_stream* stream_ = nullptr;
  std::vector<modelc_buffer*> buffers_;
  std::vector<modelc_kernel*> kernels_;
};

TEST_F(PluginTest, RefusesAnotherMajorVersion) {
  modelc_host_api host = kHost;
  host.abi_major = MODELC_ABI_MAJOR + 1;
  modelc_plugin_api api{};
  api.struct_size = sizeof(api);
  const Outcome o = Take(Query()(&host, &api));
  EXPECT_EQ(o.code, MODELC_FAILED_PRECONDITION);
  EXPECT_THAT(o.message, HasSubstr("ABI"));
}

TEST_F(PluginTest, FillsNoMoreThanAnOlderHostHasRoomFor) {
  modelc_plugin_api api{};
  std::memset(&api, 0xab, sizeof(api));
  api.struct_size = offsetof(modelc_plugin_api, stream_counters);
  ASSERT_EQ(Query()(&kHost, &api), nullptr);
  EXPECT_EQ(api.struct_size, offsetof(modelc_plugin_api, stream_counters));
  const auto untouched = reinterpret_cast<const unsigned char*>(&api.stream_counters);
  EXPECT_EQ(*untouched, 0xab);
  EXPECT_FALSE(MODELC_KNOWS(modelc_plugin_api, &api, stream_counters));
}

TEST_F(PluginTest, DescribesItself) {
  modelc_device_info info{};
  info.struct_size = sizeof(info);
  ASSERT_EQ(api_.device_info(device_, &info), nullptr);
  EXPECT_EQ(info.threads, 2u);
  EXPECT_EQ(info.host_memory, 1u);
  EXPECT_GT(info.memory_bytes, 0u);
  const char* json = nullptr;
  ASSERT_EQ(api_.device_describe(device_, &json), nullptr);
  const auto manifest = nlohmann::json::parse(json, nullptr, false);
  ASSERT_FALSE(manifest.is_discarded());
  EXPECT_EQ(manifest["schema"], 1);
  EXPECT_EQ(manifest["device"]["kind"], "cpu");
  std::set<std::string> ops, names;
  for (const auto& kernel : manifest["kernels"]) {
    ops.insert(kernel["op"].get<std::string>());
    EXPECT_TRUE(names.insert(kernel["name"].get<std::string>()).second) << kernel["name"] << " is listed twice";
  }
  for (const char* op : {"embed", "rms_norm", "add_rms_norm", "layer_norm", "rope", "hadamard", "fake_quantize",
                         "mla.append", "mla.attend_latent", "dsa.append", "dsa.logits", "dsa.select",
                         "dsa.logits_select", "moe.route", "moe.dispatch", "moe.combine", "add", "copy", "concat",
                         "take_rows"})
    EXPECT_TRUE(ops.contains(op)) << op;
}

TEST_F(PluginTest, SubmitRunsCommandsInOrder) {
  const std::vector<float> ones(5000, 1.0f);
  modelc_buffer *a = Floats(ones), *b = Floats(ones), *sum = Floats(std::vector<float>(5000));
  modelc_kernel* add = Kernel("add");
  const modelc_tensor first[] = {Row(a, 5000), Row(b, 5000), Row(sum, 5000)};
  const modelc_tensor again[] = {Row(sum, 5000), Row(sum, 5000), Row(sum, 5000)};
  const modelc_command commands[] = {{add, first, 3}, {add, again, 3}, {add, again, 3}};
  ASSERT_EQ(api_.submit(stream_, commands, 3, 0), nullptr);
  ASSERT_EQ(api_.stream_sync(stream_), nullptr);
  std::vector<float> got(5000);
  ASSERT_EQ(api_.buffer_download(stream_, sum, 0, got.data(), got.size() * 4), nullptr);
  EXPECT_EQ(got, std::vector<float>(5000, 8.0f));
}

TEST_F(PluginTest, AnErrorInALaterCommandKeepsTheFirstFromRunning) {
  modelc_buffer *a = Floats({1, 2, 3}), *sum = Floats({7, 7, 7});
  modelc_kernel* add = Kernel("add");
  const modelc_tensor good[] = {Row(a, 3), Row(a, 3), Row(sum, 3)};
  const modelc_tensor bad[] = {Row(a, 3), Row(a, 2), Row(sum, 3)};
  const modelc_command commands[] = {{add, good, 3}, {add, bad, 3}};
  const Outcome o = Take(api_.submit(stream_, commands, 2, 0));
  EXPECT_EQ(o.code, MODELC_INVALID_ARGUMENT);
  EXPECT_THAT(o.message, HasSubstr("command 1 (add): tensor 'b'"));
  std::vector<float> got(3);
  ASSERT_EQ(api_.buffer_download(stream_, sum, 0, got.data(), 12), nullptr);
  EXPECT_EQ(got, std::vector<float>({7, 7, 7}));
}

TEST_F(PluginTest, RefusesTensorsBeyondTheirBuffer) {
  modelc_buffer* a = Floats({1, 2, 3});
  modelc_tensor past = Row(a, 3);
  past.offset = 4;
  const modelc_tensor tensors[] = {past, past, past};
  const modelc_command command = {Kernel("add"), tensors, 3};
  const Outcome o = Take(api_.submit(stream_, &command, 1, 0));
  EXPECT_EQ(o.code, MODELC_INVALID_ARGUMENT);
  EXPECT_THAT(o.message, HasSubstr("of a buffer of 12"));
  float x;
  EXPECT_EQ(Take(api_.buffer_download(stream_, a, 12, &x, 4)).code, MODELC_INVALID_ARGUMENT);
  EXPECT_EQ(Take(api_.buffer_upload(stream_, a, UINT64_MAX, &x, 4)).code, MODELC_INVALID_ARGUMENT);
}

TEST_F(PluginTest, RefusesUnknownKernelsAndBadAttributes) {
  modelc_kernel* k = nullptr;
  EXPECT_EQ(Take(api_.kernel_resolve(device_, "no_such", "{}", &k)).code, MODELC_NOT_FOUND);
  struct Case { const char *kernel, *attributes, *message; };
  for (const Case& c : {Case{"rms_norm", "{", "not JSON"}, Case{"rms_norm", "[]", "not a JSON object"},
                        Case{"rms_norm", R"({"first": 0})", "'eps' is missing"},
                        Case{"rms_norm", R"({"eps": "x", "first": 0})", "finite number"},
                        Case{"rms_norm", R"({"eps": 1e-6, "first": -1})", "at least 0"},
                        Case{"rms_norm", R"({"eps": 1e-6, "first": 0, "axis": 1})", "'axis' is unknown"},
                        Case{"rope", R"({"first": 0, "dim": 63, "pairs": "half", "keep": true})", "odd"},
                        Case{"rope", R"({"first": 0, "dim": 64, "pairs": "thirds", "keep": true})", "interleaved, half"},
                        Case{"dsa.logits", R"({"scale": 1, "format": "int8"})", "f8, bf16, f32"},
                        Case{"dsa.select", R"({"k": 0})", "at least 1"}, Case{"dsa.select", R"({"k": 1.5})", "integer"},
                        Case{"moe.route", R"({"groups": 2, "topk_group": 3, "scale": 1, "normalize": true})", "more than"},
                        Case{"add", R"({"x": 1})", "unknown"}}) {
    const Outcome o = Take(api_.kernel_resolve(device_, c.kernel, c.attributes, &k));
    EXPECT_EQ(o.code, MODELC_INVALID_ARGUMENT) << c.attributes;
    EXPECT_THAT(o.message, HasSubstr(c.message)) << c.attributes;
  }
}

// mov rax, [rdi]; mov dword [rax + 4 rsi], 2.0f as long as rsi < rdx: fills the items it is given.
constexpr unsigned char kFillWithTwos[] = {0x48, 0x8b, 0x07, 0x48, 0x39, 0xd6, 0x7d, 0x0c, 0xc7, 0x04, 0xb0,
                                           0x00, 0x00, 0x00, 0x40, 0x48, 0xff, 0xc6, 0xeb, 0xef, 0xc3};

TEST_F(PluginTest, RunsGeneratedCodeOverItsGrid) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "machine code of x86-64";
#endif
  const char* description = R"({"name": "twos", "entry": 0, "scratch": 0, "grid": [["D", 1]], "tensors": [["f32", "D"]]})";
  modelc_kernel* twos = nullptr;
  const Outcome o = Take(api_.kernel_load(device_, kFillWithTwos, sizeof kFillWithTwos, description, &twos));
  ASSERT_NE(twos, nullptr) << o.message;
  constexpr int64_t kMany = 100000;  // shared by the team
  for (int64_t n : {int64_t{0}, int64_t{1}, int64_t{7}, kMany}) {
    modelc_buffer* x = Floats(std::vector<float>(n + 1));
    const modelc_tensor row = Row(x, n);
    const modelc_command command = {twos, &row, 1};
    ASSERT_EQ(api_.submit(stream_, &command, 1, 0), nullptr);
    std::vector<float> got(n + 1), want(n + 1, 2.0f);
    want[n] = 0;
    ASSERT_EQ(api_.buffer_download(stream_, x, 0, got.data(), got.size() * 4), nullptr);
    EXPECT_EQ(got, want);
  }
  modelc_tensor wrong = Row(Floats({1, 2}), 2);
  wrong.dtype = MODELC_I32;
  const modelc_command command = {twos, &wrong, 1};
  EXPECT_THAT(Take(api_.submit(stream_, &command, 1, 0)).message, HasSubstr("command 0 (generated twos): tensor 0 has dtype 3"));
  api_.kernel_free(twos);
}

TEST_F(PluginTest, RefusesGeneratedCodeItCannotCheck) {
  modelc_kernel* k = nullptr;
  EXPECT_THAT(Take(api_.kernel_load(device_, "", 0, "{}", &k)).message, HasSubstr("0 bytes"));
  struct Case { const char *description, *message; };
  for (const Case& c : {Case{"{", "no JSON object"}, Case{R"({"scratch": 0})", "'entry' is not a byte of the image, which has 21"},
                        Case{R"({"entry": 21, "scratch": 0})", "'entry'"}, Case{R"({"entry": 0, "scratch": -1})", "'scratch'"},
                        Case{R"({"entry": 0, "target": 64, "scratch": 0})", "'target'"},
                        Case{R"({"entry": 0, "scratch": 0})", "'tensors'"},
                        Case{R"({"entry": 0, "scratch": 0, "tensors": [["f64", 1]]})", "want a dtype"},
                        Case{R"({"entry": 0, "scratch": 0, "tensors": [["f32", -1]]})", "a size is -1"},
                        Case{R"({"entry": 0, "scratch": 0, "tensors": []})", "'grid'"},
                        Case{R"({"entry": 0, "scratch": 0, "tensors": [["f32", "T"]], "grid": [["C", 1]]})", "a tensor's name"},
                        Case{R"({"entry": 0, "scratch": 0, "tensors": [], "grid": [[4, 0]]})", "grid dimension"}}) {
    const Outcome o = Take(api_.kernel_load(device_, kFillWithTwos, sizeof kFillWithTwos, c.description, &k));
    EXPECT_EQ(o.code, MODELC_INVALID_ARGUMENT) << c.description;
    EXPECT_THAT(o.message, HasSubstr(c.message)) << c.description;
  }
  const Outcome other = Take(api_.kernel_load(device_, kFillWithTwos, sizeof kFillWithTwos,
                                              R"({"entry": 0, "target": "x86-64-v3 +avx9", "scratch": 0})", &k));
  EXPECT_EQ(other.code, MODELC_FAILED_PRECONDITION);
  EXPECT_THAT(other.message, HasSubstr("code was generated for x86-64-v3 +avx9, and this processor is"));
  EXPECT_EQ(k, nullptr);
}

TEST_F(PluginTest, BuffersAreZeroedAlignedAndWrapHostMemory) {
  for (uint64_t bytes : {uint64_t{0}, uint64_t{1}, uint64_t{5} << 20}) {
    modelc_buffer* b = nullptr;
    ASSERT_EQ(api_.buffer_alloc(device_, bytes, &b), nullptr);
    std::vector<unsigned char> got(bytes, 0xff);
    ASSERT_EQ(api_.buffer_download(stream_, b, 0, got.data(), bytes), nullptr);
    EXPECT_EQ(got, std::vector<unsigned char>(bytes, 0));
    api_.buffer_free(b);
  }
  const std::vector<float> host = {1, 2, 3};
  modelc_buffer *wrapped = nullptr, *sum = Floats({0, 0, 0});
  ASSERT_EQ(api_.buffer_wrap(device_, host.data(), 12, &wrapped), nullptr);
  buffers_.push_back(wrapped);
  const modelc_tensor tensors[] = {Row(wrapped, 3), Row(wrapped, 3), Row(sum, 3)};
  const modelc_command command = {Kernel("add"), tensors, 3};
  ASSERT_EQ(api_.submit(stream_, &command, 1, 0), nullptr);
  std::vector<float> got(3);
  ASSERT_EQ(api_.buffer_download(stream_, sum, 0, got.data(), 12), nullptr);
  EXPECT_EQ(got, std::vector<float>({2, 4, 6}));
}

TEST_F(PluginTest, RefusesImpossibleAllocationsDevicesAndThreads) {
  modelc_buffer* b = nullptr;
  EXPECT_EQ(Take(api_.buffer_alloc(device_, UINT64_MAX - 5, &b)).code, MODELC_RESOURCE_EXHAUSTED);
  EXPECT_EQ(Take(api_.buffer_alloc(device_, uint64_t{1} << 60, &b)).code, MODELC_RESOURCE_EXHAUSTED);
  modelc_device* d = nullptr;
  EXPECT_EQ(Take(api_.device_open(7, nullptr, &d)).code, MODELC_NOT_FOUND);
  const modelc_device_options many = {sizeof(many), 1u << 30};
  EXPECT_EQ(Take(api_.device_open(0, &many, &d)).code, MODELC_INVALID_ARGUMENT);
}

TEST_F(PluginTest, RefusesAnUnknownInstructionSet) {
  modelc_device* d = nullptr;
  setenv("MODELC_CPU_ISA", "mmx", 1);
  const Outcome o = Take(api_.device_open(0, nullptr, &d));
  unsetenv("MODELC_CPU_ISA");
  EXPECT_EQ(o.code, MODELC_INVALID_ARGUMENT);
  EXPECT_THAT(o.message, HasSubstr("'mmx'; wanted portable"));
}

TEST_F(PluginTest, CountersAddUpAndStartAgain) {
  modelc_buffer *table = Floats(std::vector<float>(10 * 8)), *out = Floats(std::vector<float>(3 * 8));
  modelc_buffer* ids = Floats({0, 0, 0});
  modelc_tensor t[] = {Row(ids, 3), Row(table, 10), Row(out, 3)};
  t[0].dtype = MODELC_I32;
  t[1].rank = t[2].rank = 2;
  t[1].shape[1] = t[2].shape[1] = 8;
  const modelc_command command = {Kernel("embed"), t, 3};
  ASSERT_EQ(api_.submit(stream_, &command, 1, 0), nullptr);
  ASSERT_EQ(api_.submit(stream_, &command, 1, 0), nullptr);
  uint64_t weights = 0, cache = 0;
  ASSERT_EQ(api_.stream_counters(stream_, &weights, &cache), nullptr);
  EXPECT_EQ(weights, 2u * 3 * 8 * 4);
  EXPECT_EQ(cache, 0u);
  ASSERT_EQ(api_.stream_counters(stream_, &weights, &cache), nullptr);
  EXPECT_EQ(weights, 0u);
}

}  // namespace
