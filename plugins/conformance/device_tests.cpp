#include "plugins/conformance/device_tests.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/support/status.h"
#include "plugins/conformance/placed.h"
#include "plugins/loader/host.h"

namespace modelc::conformance {
namespace {

struct Context {
  const Plugin& plugin;
  Device& device;
  const Options& options;
  const std::vector<Sample>& samples;
};

#define EXPECT(condition, ...)                                               \
  do {                                                                       \
    if (!(condition)) return absl::InternalError(absl::StrCat(__VA_ARGS__)); \
  } while (false)

std::vector<std::byte> Pattern(size_t bytes, int seed) {
  std::vector<std::byte> pattern(bytes);
  for (size_t i = 0; i < bytes; ++i) pattern[i] = static_cast<std::byte>((i * 7 + seed) % 251);
  return pattern;
}

absl::StatusOr<std::vector<std::byte>> Contents(Device& device, const DeviceBuffer& buffer) {
  std::vector<std::byte> bytes(buffer.bytes());
  MODELC_RETURN_IF_ERROR(device.Download(buffer, 0, bytes.data(), bytes.size()));
  return bytes;
}

// modelc_plugin_query

absl::Status FillsOnlyTheRoomThereIs(Context& c) {
  void* library = dlopen(c.plugin.path().c_str(), RTLD_NOW | RTLD_NOLOAD);
  EXPECT(library != nullptr, "the library is not loaded under its own path");
  const auto query = reinterpret_cast<modelc_plugin_query_fn>(dlsym(library, "modelc_plugin_query"));
  dlclose(library);
  EXPECT(query != nullptr, "modelc_plugin_query is gone");
  union {
    modelc_plugin_api api;
    unsigned char bytes[sizeof(modelc_plugin_api)];
  } out;
  std::memset(out.bytes, 0xa5, sizeof out.bytes);
  const uint32_t room = offsetof(modelc_plugin_api, submit);  // a host older by one function
  out.api.struct_size = room;
  MODELC_RETURN_IF_ERROR(TakeError(query(&HostApi(), &out.api)));
  EXPECT(out.api.struct_size <= room, "given room for ", room, " bytes it reports ", out.api.struct_size);
  for (size_t i = room; i < sizeof out.bytes; ++i) EXPECT(out.bytes[i] == 0xa5, "wrote beyond the room the host gave");
  return absl::OkStatus();
}

// Devices

absl::Status RefusesADeviceThatIsNotThere(Context& c) {
  MODELC_ASSIGN_OR_RETURN(uint32_t count, c.plugin.DeviceCount());
  for (uint32_t ordinal : {count, UINT32_MAX}) {
    EXPECT(!Device::Open(&c.plugin, ordinal, 0).ok(), "opened device ", ordinal, " of ", count);
  }
  return absl::OkStatus();
}

absl::Status DescribesItself(Context& c) {
  EXPECT(c.device.info().name[0] != '\0' && std::strcmp(c.device.info().name, "unnamed") != 0,
         "device_info gives no name");
  EXPECT(c.device.info().memory_bytes > 0, "device_info gives no memory");
  return absl::OkStatus();
}

absl::Status OpensAndClosesAgainAndAgain(Context& c) {
  for (int i = 0; i < 20; ++i) {
    MODELC_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, Device::Open(&c.plugin, c.options.ordinal, 1 + i % 3));
    MODELC_ASSIGN_OR_RETURN(DeviceBuffer buffer, device->Alloc(1 << 16));
    MODELC_RETURN_IF_ERROR(device->Sync());
  }
  return absl::OkStatus();
}

// Buffers

absl::Status AllocatesZeros(Context& c) {
  for (uint64_t bytes : {1, 63, 64, 65, 1 << 20}) {
    for (int again = 0; again < 2; ++again) {  // memory that was used before as well
      MODELC_ASSIGN_OR_RETURN(DeviceBuffer buffer, c.device.Alloc(bytes));
      MODELC_ASSIGN_OR_RETURN(std::vector<std::byte> contents, Contents(c.device, buffer));
      EXPECT(std::count(contents.begin(), contents.end(), std::byte{0}) == static_cast<int64_t>(bytes),
             "a new buffer of ", bytes, " bytes is not zero");
      const std::vector<std::byte> dirt(bytes, std::byte{0xff});
      MODELC_RETURN_IF_ERROR(c.device.Upload(buffer, 0, dirt.data(), bytes));
      MODELC_RETURN_IF_ERROR(c.device.Sync());
    }
  }
  return absl::OkStatus();
}

absl::Status AllocatesNothing(Context& c) {
  MODELC_ASSIGN_OR_RETURN(DeviceBuffer buffer, c.device.Alloc(0));
  std::byte none{};
  MODELC_RETURN_IF_ERROR(c.device.Upload(buffer, 0, &none, 0));
  return c.device.Download(buffer, 0, &none, 0);
}

absl::Status RefusesMoreMemoryThanThereIs(Context& c) {
  for (uint64_t bytes : {uint64_t{1} << 60, UINT64_MAX, UINT64_MAX - 63}) {
    absl::StatusOr<DeviceBuffer> buffer = c.device.Alloc(bytes);
    EXPECT(!buffer.ok(), "allocated ", bytes, " bytes");
    EXPECT(buffer.status().code() == absl::StatusCode::kResourceExhausted, "wants RESOURCE_EXHAUSTED, gives ",
           buffer.status().ToString());
  }
  return c.device.Alloc(64).status();
}

absl::Status MovesBytesAtOffsets(Context& c) {
  const std::vector<std::byte> bytes = Pattern(1000, 1);
  MODELC_ASSIGN_OR_RETURN(DeviceBuffer a, c.device.Alloc(1200));
  MODELC_ASSIGN_OR_RETURN(DeviceBuffer b, c.device.Alloc(1500));
  MODELC_RETURN_IF_ERROR(c.device.Upload(a, 133, bytes.data(), bytes.size()));
  MODELC_RETURN_IF_ERROR(c.device.Copy(a, 140, b, 77, 900));
  std::vector<std::byte> part(890);
  MODELC_RETURN_IF_ERROR(c.device.Download(b, 87, part.data(), part.size()));
  EXPECT(std::equal(part.begin(), part.end(), bytes.begin() + 17), "upload, copy and download at offsets lose bytes");
  MODELC_ASSIGN_OR_RETURN(std::vector<std::byte> whole, Contents(c.device, b));
  EXPECT(std::count(whole.begin(), whole.begin() + 77, std::byte{0}) == 77 &&
             std::count(whole.begin() + 977, whole.end(), std::byte{0}) == 523,
         "copy wrote outside its range");
  return absl::OkStatus();
}

absl::Status RefusesRangesOutsideABuffer(Context& c) {
  MODELC_ASSIGN_OR_RETURN(DeviceBuffer a, c.device.Alloc(128));
  MODELC_ASSIGN_OR_RETURN(DeviceBuffer b, c.device.Alloc(128));
  std::vector<std::byte> bytes(256);
  const std::pair<uint64_t, uint64_t> ranges[] = {{1, 128}, {129, 0}, {0, 129}, {UINT64_MAX, 2}, {64, UINT64_MAX - 32}};
  for (const auto& [offset, n] : ranges) {
    const auto range = absl::StrCat(n, " bytes at ", offset, " of 128");
    EXPECT(!c.device.Upload(a, offset, bytes.data(), n).ok(), "uploaded ", range);
    EXPECT(!c.device.Download(a, offset, bytes.data(), n).ok(), "downloaded ", range);
    EXPECT(!c.device.Copy(a, offset, b, 0, n).ok(), "copied from ", range);
    EXPECT(!c.device.Copy(a, 0, b, offset, n).ok(), "copied to ", range);
  }
  return absl::OkStatus();
}

absl::Status WrapsHostMemory(Context& c) {
  const std::vector<std::byte> bytes = Pattern(777, 3);
  absl::StatusOr<DeviceBuffer> wrapped = c.device.Wrap(bytes.data(), bytes.size());
  if (!c.device.info().host_memory) {
    EXPECT(wrapped.status().code() == absl::StatusCode::kUnimplemented,
           "without host_memory buffer_wrap must be UNIMPLEMENTED, it gives ", wrapped.status().ToString());
    return absl::OkStatus();
  }
  MODELC_RETURN_IF_ERROR(wrapped.status());
  MODELC_ASSIGN_OR_RETURN(std::vector<std::byte> contents, Contents(c.device, *wrapped));
  EXPECT(contents == bytes, "a wrapped buffer reads other bytes");
  return absl::OkStatus();
}

// Streams

absl::Status KeepsTheStreamsOrder(Context& c) {
  MODELC_ASSIGN_OR_RETURN(DeviceBuffer a, c.device.Alloc(1 << 18));
  MODELC_ASSIGN_OR_RETURN(DeviceBuffer b, c.device.Alloc(1 << 18));
  std::vector<std::byte> bytes;
  for (int i = 0; i < 20; ++i) {
    bytes = Pattern(1 << 18, i);
    MODELC_RETURN_IF_ERROR(c.device.Upload(a, 0, bytes.data(), bytes.size()));
    MODELC_RETURN_IF_ERROR(c.device.Copy(a, 0, b, 0, bytes.size()));
    std::vector<std::byte> other = Pattern(1 << 18, i + 100);
    MODELC_RETURN_IF_ERROR(c.device.Upload(a, 0, other.data(), other.size()));
    std::fill(other.begin(), other.end(), std::byte{0});  // upload has read it
  }
  MODELC_ASSIGN_OR_RETURN(std::vector<std::byte> contents, Contents(c.device, b));
  EXPECT(contents == bytes, "a copy saw an upload that came after it");
  return absl::OkStatus();
}

absl::Status ServesTwoThreads(Context& c) {
  const auto work = [&](int seed) -> absl::Status {
    MODELC_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, Device::Open(&c.plugin, c.options.ordinal, 1));
    for (int i = 0; i < 50; ++i) {
      const std::vector<std::byte> bytes = Pattern(4096 + 64 * i, seed + i);
      MODELC_ASSIGN_OR_RETURN(DeviceBuffer buffer, device->Alloc(bytes.size()));
      MODELC_RETURN_IF_ERROR(device->Upload(buffer, 0, bytes.data(), bytes.size()));
      MODELC_ASSIGN_OR_RETURN(std::vector<std::byte> contents, Contents(*device, buffer));
      EXPECT(contents == bytes, "two threads on two devices disturb each other");
    }
    return absl::OkStatus();
  };
  absl::Status other;
  std::thread thread([&] { other = work(1000); });
  absl::Status status = work(0);
  thread.join();
  return status.ok() ? other : status;
}

// Kernels and submit

absl::Status RefusesAnUnknownKernel(Context& c) {
  absl::StatusOr<DeviceKernel> kernel = c.device.Resolve("no such kernel", "{}");
  EXPECT(kernel.status().code() == absl::StatusCode::kNotFound, "wants NOT_FOUND, gives ", kernel.status().ToString());
  return absl::OkStatus();
}

absl::Status RefusesBadAttributes(Context& c) {
  for (const Sample& sample : c.samples) {
    for (const char* text : {"{", "[]", "", "7"}) {
      EXPECT(!c.device.Resolve(sample.kernel, text).ok(), "kernel '", sample.kernel, "' takes '", text,
             "' for attributes");
    }
    for (const auto& [name, value] : sample.c->attributes.items()) {
      Attributes attributes = sample.c->attributes;
      attributes.erase(name);
      EXPECT(!c.device.Resolve(sample.kernel, attributes.dump()).ok(), "kernel '", sample.kernel,
             "' resolves without its attribute '", name, "'");
      attributes[name] = {{"not", "a value"}};
      EXPECT(!c.device.Resolve(sample.kernel, attributes.dump()).ok(), "kernel '", sample.kernel,
             "' resolves with an object for its attribute '", name, "'");
      if (!value.is_string()) continue;
      attributes[name] = "no such word";
      EXPECT(!c.device.Resolve(sample.kernel, attributes.dump()).ok(), "kernel '", sample.kernel, "' resolves with ",
             name, " = 'no such word'");
    }
  }
  return absl::OkStatus();
}

// A sample on the device, ready to be submitted.
struct Ready {
  DeviceKernel kernel;
  Tensors tensors;
  Placed placed;
};

absl::StatusOr<Ready> Prepare(Context& c, const Sample& sample) {
  Random random(sample.c->op + " " + sample.c->name);
  Tensors tensors = sample.c->make(random);
  MODELC_ASSIGN_OR_RETURN(DeviceKernel kernel, c.device.Resolve(sample.kernel, sample.c->attributes.dump()));
  MODELC_ASSIGN_OR_RETURN(Placed placed, Placed::Upload(c.device, tensors));
  return Ready{std::move(kernel), std::move(tensors), std::move(placed)};
}

// Every way of spoiling a command must be refused before the good command in front of it has run.
absl::Status RefusesBadTensors(Context& c) {
  struct Spoil {
    const char* what;
    void (*apply)(std::vector<modelc_tensor>&);
  };
  static constexpr Spoil kSpoils[] = {
      {"a tensor missing", [](std::vector<modelc_tensor>& t) { t.pop_back(); }},
      {"a tensor too many", [](std::vector<modelc_tensor>& t) { t.push_back(t.back()); }},
      {"the first tensor of a wrong dtype",
       [](std::vector<modelc_tensor>& t) { t[0].dtype = t[0].dtype == MODELC_U8 ? MODELC_I32 : MODELC_U8; }},
      {"an unknown dtype", [](std::vector<modelc_tensor>& t) { t[0].dtype = 99; }},
      {"a rank of 5", [](std::vector<modelc_tensor>& t) { t[0].rank = 5; }},
      {"a rank of 0", [](std::vector<modelc_tensor>& t) { t[0].rank = 0; }},
      {"a negative size", [](std::vector<modelc_tensor>& t) { t[0].shape[0] = -1; }},
      {"the first tensor left out", [](std::vector<modelc_tensor>& t) { t[0].buffer = nullptr; }},
      {"an output left out", [](std::vector<modelc_tensor>& t) { t.back().buffer = nullptr; }},
      {"a tensor that reaches beyond its buffer", [](std::vector<modelc_tensor>& t) { t.back().offset += 1 << 20; }},
      {"sizes that overflow",
       [](std::vector<modelc_tensor>& t) {
         for (modelc_tensor& v : t) v.shape[0] = INT64_MAX / 2;
       }},
  };
  for (const Sample& sample : c.samples) {
    for (const Spoil& spoil : kSpoils) {
      MODELC_ASSIGN_OR_RETURN(Ready good, Prepare(c, sample));
      MODELC_ASSIGN_OR_RETURN(Ready bad, Prepare(c, sample));
      spoil.apply(bad.placed.views());
      const modelc_command commands[] = {good.placed.Command(good.kernel), bad.placed.Command(bad.kernel)};
      EXPECT(!c.device.Submit(commands).ok(), "kernel '", sample.kernel, "' runs with ", spoil.what);
      Tensors after = good.tensors;
      MODELC_RETURN_IF_ERROR(good.placed.Download(c.device, after));
      for (size_t i = 0; i < after.size(); ++i) {
        EXPECT(after[i].bytes == good.tensors[i].bytes, "a command before a bad one (", spoil.what,
               ") has run: kernel '", sample.kernel, "'");
      }
    }
  }
  return absl::OkStatus();
}

absl::Status SubmitsNothing(Context& c) {
  MODELC_RETURN_IF_ERROR(c.device.Submit({}));
  return c.device.Sync();
}

// Thousands of submits, with and without a replay key, give the first one's answer, each anew.
absl::Status SubmitsThousandsOfTimes(Context& c) {
  if (c.samples.empty()) return absl::OkStatus();
  MODELC_ASSIGN_OR_RETURN(Ready ready, Prepare(c, c.samples.front()));
  const modelc_command command = ready.placed.Command(ready.kernel);
  Tensors first = ready.tensors, last = ready.tensors;
  MODELC_RETURN_IF_ERROR(c.device.Submit({&command, 1}));
  MODELC_RETURN_IF_ERROR(ready.placed.Download(c.device, first));
  for (int i = 0; i < 4000; ++i) MODELC_RETURN_IF_ERROR(c.device.Submit({&command, 1}, i % 2 ? 42 : 0));
  for (const uint64_t replay_key : {42, 0}) {
    MODELC_RETURN_IF_ERROR(ready.placed.Restore(c.device, ready.tensors));
    MODELC_RETURN_IF_ERROR(c.device.Submit({&command, 1}, replay_key));
    MODELC_RETURN_IF_ERROR(ready.placed.Download(c.device, last));
    for (size_t i = 0; i < first.size(); ++i)
      EXPECT(first[i].bytes == last[i].bytes, "a submit after 4000 others, with replay key ", replay_key, ", differs");
  }
  return absl::OkStatus();
}

struct DeviceTest {
  const char* name;
  absl::Status (*run)(Context&);
};

constexpr DeviceTest kTests[] = {
    {"query fills only the room the host has", FillsOnlyTheRoomThereIs},
    {"a device that is not there is refused", RefusesADeviceThatIsNotThere},
    {"device_info gives name and memory", DescribesItself},
    {"opened and closed twenty times", OpensAndClosesAgainAndAgain},
    {"buffers are zeroed", AllocatesZeros},
    {"a buffer of no bytes", AllocatesNothing},
    {"more memory than there is", RefusesMoreMemoryThanThereIs},
    {"upload, copy, download at offsets", MovesBytesAtOffsets},
    {"ranges outside a buffer are refused", RefusesRangesOutsideABuffer},
    {"wrapped host memory", WrapsHostMemory},
    {"a stream runs in order", KeepsTheStreamsOrder},
    {"two devices, two threads", ServesTwoThreads},
    {"an unknown kernel is refused", RefusesAnUnknownKernel},
    {"bad attributes are refused", RefusesBadAttributes},
    {"bad tensors are refused before anything runs", RefusesBadTensors},
    {"a submit of no commands", SubmitsNothing},
    {"thousands of submits", SubmitsThousandsOfTimes},
};

}  // namespace

std::vector<Result> RunDeviceTests(const Plugin& plugin, Device& device, const Options& options,
                                   const std::vector<Sample>& samples,
                                   const std::function<void(const Result&)>& progress) {
  Context context{plugin, device, options, samples};
  std::vector<Result> results;
  for (const DeviceTest& test : kTests) {
    Result result;
    result.op = "device";
    result.name = test.name;
    const absl::Status status = test.run(context);
    result.outcome = status.ok() ? Outcome::kPassed : Outcome::kFailed;
    result.detail = std::string(status.message());
    progress(result);
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace modelc::conformance
