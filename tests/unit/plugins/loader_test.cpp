#include <stdlib.h>
#include <unistd.h>

#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "plugins/loader/plugin.h"
#include "tests/unit/temp_dir.h"

namespace modelc {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

fs::path Fake(const std::string& name) {
  return fs::path(MODELC_TEST_PLUGINS) / name / ("libmodelc_fake_" + name + ".so");
}

std::string LoadError(const fs::path& path) {
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(path);
  return plugin.ok() ? "loaded" : std::string(plugin.status().message());
}

std::string Contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

class LoaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* path = getenv("MODELC_PLUGIN_PATH");
    if (path != nullptr) saved_path_ = path;
  }
  // After every case, whatever it loaded, a good plugin still works.
  void TearDown() override {
    absl::StatusOr<const Plugin*> plugin = Plugin::Load(Fake("good"));
    ASSERT_TRUE(plugin.ok()) << plugin.status();
    absl::StatusOr<std::unique_ptr<Device>> device = Device::Open(*plugin, 0, 0);
    ASSERT_TRUE(device.ok()) << device.status();
    EXPECT_TRUE((*device)->Sync().ok());
    setenv("MODELC_PLUGIN_PATH", saved_path_.c_str(), 1);
  }

  fs::path Write(const std::string& name, const std::string& contents) { return temp_.Write(name, contents); }
  // A folder of its own for each, as FindPlugins lists whole folders.
  void SearchIn(std::initializer_list<const char*> fakes) {
    std::string path;
    for (const char* fake : fakes) path += Fake(fake).parent_path().string() + ":";
    setenv("MODELC_PLUGIN_PATH", path.c_str(), 1);
  }

  TempDir temp_;
  const fs::path folder_ = temp_.path();
  std::string saved_path_;
};

TEST_F(LoaderTest, LoadsAPluginOnce) {
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(Fake("good"));
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  EXPECT_EQ((*plugin)->name(), "fake");
  EXPECT_EQ((*plugin)->version(), "1.2.3");
  EXPECT_EQ(*(*plugin)->DeviceCount(), 1u);
  EXPECT_EQ(*Plugin::Load(Fake("good").parent_path() / "." / Fake("good").filename()), *plugin);
}

TEST_F(LoaderTest, AnOlderPluginLacksTheNewestFunction) {
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(Fake("older"));
  ASSERT_TRUE(plugin.ok()) << plugin.status();
  EXPECT_EQ((*plugin)->api().stream_counters, nullptr);
  absl::StatusOr<std::unique_ptr<Device>> device = Device::Open(*plugin, 0, 0);
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ((*device)->ReadCounters()->weight_bytes, 0u);
  EXPECT_EQ((*plugin)->api().kernel_load, nullptr);
  EXPECT_EQ((*device)->Load("code", "{}").status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(LoaderTest, ANewerPluginIsUsedAsFarAsTheHostKnowsIt) {
  for (const char* name : {"newer", "overstates"}) {
    absl::StatusOr<const Plugin*> plugin = Plugin::Load(Fake(name));
    ASSERT_TRUE(plugin.ok()) << plugin.status();
    EXPECT_EQ((*plugin)->api().struct_size, sizeof(modelc_plugin_api));
    absl::StatusOr<std::unique_ptr<Device>> device = Device::Open(*plugin, 0, 0);
    ASSERT_TRUE(device.ok()) << device.status();
    EXPECT_EQ((*device)->ReadCounters()->weight_bytes, 7u);
  }
}

TEST_F(LoaderTest, RefusesAnotherMajorVersion) {
  EXPECT_THAT(LoadError(Fake("wrong_major")), AllOf(HasSubstr("wrong_major.so'"), HasSubstr("was built for ABI 2.")));
}

TEST_F(LoaderTest, RefusesWhatIsNoPlugin) {
  EXPECT_THAT(LoadError(folder_ / "missing.so"), HasSubstr("no such file"));
  EXPECT_THAT(LoadError(folder_), HasSubstr("not a file"));
  EXPECT_THAT(LoadError(Write("libmodelc_text.so", "hello\n")), HasSubstr("not a shared library"));
  EXPECT_THAT(LoadError(Write("libmodelc_empty.so", "")), HasSubstr("not a shared library"));
  EXPECT_THAT(LoadError("/proc/self/exe"), ::testing::Not("loaded"));
  EXPECT_THAT(LoadError(Fake("no_symbol")), HasSubstr("does not export 'modelc_plugin_query'"));
}

// The dynamic linker would map the missing part and die of SIGBUS.
TEST_F(LoaderTest, RefusesATruncatedLibrary) {
  const std::string whole = Contents(Fake("good"));
  for (size_t bytes : {3, 64, 100, 700, 2000}) {
    EXPECT_THAT(LoadError(Write("libmodelc_cut.so", whole.substr(0, bytes))),
                ::testing::AnyOf(HasSubstr("truncated"), HasSubstr("not a shared library")))
        << bytes;
  }
}

TEST_F(LoaderTest, RefusesPluginsThatLackSomething) {
  EXPECT_THAT(LoadError(Fake("tiny")), HasSubstr("states no ABI version"));
  EXPECT_THAT(LoadError(Fake("no_name")), HasSubstr("states no name"));
  EXPECT_THAT(LoadError(Fake("no_sync")), HasSubstr("lacks functions every plugin needs: stream_sync"));
  EXPECT_THAT(LoadError(Fake("query_fails")), HasSubstr("the driver is too old"));
}

TEST_F(LoaderTest, ReportsADeviceThatCannotBeOpened) {
  const auto open = [](const char* name, uint32_t ordinal) {
    absl::StatusOr<const Plugin*> plugin = Plugin::Load(Fake(name));
    return plugin.ok() ? Device::Open(*plugin, ordinal, 0).status() : plugin.status();
  };
  const absl::Status failed = open("open_fails", 0);
  EXPECT_EQ(failed.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(failed.message()), AllOf(HasSubstr("backend 'fake', device 0"), HasSubstr("no message")));
  EXPECT_THAT(std::string(open("open_gives_nothing", 0).message()), HasSubstr("returned no handle"));
  EXPECT_EQ(open("good", 1).code(), absl::StatusCode::kUnavailable);
}

TEST_F(LoaderTest, BuffersMoveAndErrorsComeBack) {
  absl::StatusOr<const Plugin*> plugin = Plugin::Load(Fake("good"));
  ASSERT_TRUE(plugin.ok());
  std::unique_ptr<Device> device = *Device::Open(*plugin, 0, 0);
  EXPECT_EQ(device->Alloc(uint64_t{1} << 40).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(device->Resolve("linear", "{}").status().code(), absl::StatusCode::kNotFound);
  DeviceBuffer a = *device->Alloc(8), b = *device->Alloc(8);
  ASSERT_TRUE(device->Upload(a, 2, "abc", 3).ok());
  EXPECT_FALSE(device->Upload(a, 6, "abc", 3).ok());
  ASSERT_TRUE(device->Copy(a, 2, b, 5, 3).ok());
  DeviceBuffer moved = std::move(b);
  EXPECT_EQ(b.get(), nullptr);
  a = std::move(moved);
  char text[3];
  ASSERT_TRUE(device->Download(a, 5, text, 3).ok());
  EXPECT_EQ(std::string(text, 3), "abc");
}

TEST_F(LoaderTest, FindsPluginsOnThePathAndSaysWhyOthersFailed) {
  SearchIn({"good", "wrong_major", "good"});
  Write("libmodelc_text.so", "hello\n");
  Write("other.so", "not looked at\n");
  setenv("MODELC_PLUGIN_PATH",
         (std::string(getenv("MODELC_PLUGIN_PATH")) + folder_.string() + ":/no/such/folder").c_str(), 1);
  std::vector<std::string> named;
  for (const FoundPlugin& found : FindPlugins({{Fake("newer")}})) {
    named.push_back(found.plugin.ok() ? std::string((*found.plugin)->name()) : found.path.filename().string());
  }
  named.resize(4);  // the build's own plugins may follow
  EXPECT_THAT(named, ::testing::ElementsAre("newer", "fake", "libmodelc_fake_wrong_major.so", "libmodelc_text.so"));
}

TEST_F(LoaderTest, SelectsByName) {
  SearchIn({"good", "older", "no_devices", "count_fails"});
  EXPECT_EQ((*SelectPlugin({}, "older"))->name(), "older");
  EXPECT_THAT(std::string(SelectPlugin({}, "cuda").status().message()),
              AllOf(HasSubstr("no backend 'cuda'"), HasSubstr("older ("), HasSubstr("the driver does not answer")));
  EXPECT_THAT(std::string(SelectPlugin({}, "empty").status().message()), HasSubstr("has no device here"));
}

TEST_F(LoaderTest, SelectsTheFirstWithADeviceWithoutAName) {
  SearchIn({"no_devices", "count_fails", "wrong_major", "older", "good"});
  EXPECT_EQ((*SelectPlugin({}, ""))->name(), "older");
  EXPECT_EQ((*SelectPlugin({{Fake("newer")}}, ""))->name(), "newer");
}

TEST_F(LoaderTest, APluginAskedForByPathMustLoad) {
  SearchIn({"good"});
  EXPECT_THAT(std::string(SelectPlugin({{Fake("wrong_major")}}, "").status().message()),
              HasSubstr("was built for ABI"));
}

}  // namespace
}  // namespace modelc
