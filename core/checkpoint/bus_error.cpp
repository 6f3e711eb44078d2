#include "core/checkpoint/bus_error.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <mutex>

namespace modelc {

// A node of a list that the signal handler walks without locks: nodes are added at the front, used again, never freed.
struct BusErrorReport::Range {
  std::atomic<uintptr_t> begin = 0, end = 0;  // equal: free
  std::atomic<const char*> path = nullptr;
  Range* next = nullptr;
};

namespace {

constexpr int kBadInput = 2;  // the exit status

std::mutex mutex;  // of adding and removing; guards previous and installed
std::atomic<BusErrorReport::Range*> ranges = nullptr;
struct sigaction previous;
bool installed = false;

void Write(const char* text) {
  if (write(STDERR_FILENO, text, std::strlen(text)) < 0) return;  // nobody left to tell
}

// Async-signal-safe. The range of the address is in use by the thread that got the signal, so its path is alive.
void OnBusError(int, siginfo_t* info, void*) {
  const auto at = reinterpret_cast<uintptr_t>(info->si_addr);
  for (const BusErrorReport::Range* range = ranges.load(); range != nullptr; range = range->next) {
    if (at < range->begin.load() || at >= range->end.load()) continue;
    Write("modelc: '");
    Write(range->path.load());
    Write("' cannot be read any more: it was cut short while in use, or its disk failed; restore it and start again\n");
    _exit(kBadInput);
  }
  sigaction(SIGBUS, &previous, nullptr);  // the handler that was there before takes over: returning repeats the access
  if (info->si_code <= 0) raise(SIGBUS);  // sent by a process: there is no access
}

void Install() {
  struct sigaction action = {};
  action.sa_sigaction = OnBusError;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

}  // namespace

BusErrorReport::BusErrorReport(absl::Span<const std::byte> bytes, const std::string& path)
    : range_([&] {
        const std::lock_guard lock(mutex);
        if (!installed) Install();
        installed = true;
        Range* range = ranges.load();
        while (range != nullptr && range->begin.load() != range->end.load()) range = range->next;
        if (range == nullptr) {
          range = new Range;
          range->next = ranges.load();
          ranges.store(range);
        }
        range->path = path.c_str();
        range->begin = reinterpret_cast<uintptr_t>(bytes.data());
        range->end = range->begin + bytes.size();
        return range;
      }()) {}

BusErrorReport::~BusErrorReport() {
  const std::lock_guard lock(mutex);
  range_->end.store(range_->begin.load());
}

}  // namespace modelc
