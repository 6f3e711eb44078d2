#include "backends/cpu/device/pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <new>
#include <string>
#include <utility>

namespace modelc::cpu {
namespace {

// What a wake-up costs, some 50 µs on virtual machines, and what the members of a team differ by in one kernel of a decode
// step: a sleep that is begun and ended within it makes the step longer.
constexpr auto kSpin = std::chrono::microseconds(200);

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

cpu_set_t Affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) CPU_SET(0, &set);
  return set;
}

// CPUs' worth of time that a container's cgroup allows, at most `most`.
int Quota(int most) {
  const auto first_of = [](const char* path) {
    std::ifstream file(path);
    std::string word;
    file >> word;
    return word;
  };
  std::string quota, period;
  std::ifstream v2("/sys/fs/cgroup/cpu.max");  // "max 100000" where there is none
  if (!(v2 >> quota >> period)) {
    quota = first_of("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");  // -1 where there is none
    period = first_of("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  }
  const double cpus = std::atof(quota.c_str()) / std::max(1.0, std::atof(period.c_str()));
  return cpus > 0 ? std::clamp(static_cast<int>(std::ceil(cpus)), 1, most) : most;
}

}  // namespace

int AvailableCpus() {
  const cpu_set_t set = Affinity();
  return Quota(CPU_COUNT(&set));
}

class Pool::Member final : public Worker {
 public:
  Member(Pool* pool, int index, int count) : pool_(pool) {
    index_ = index;
    count_ = count;
  }
  int64_t Next() override { return pool_->next_.fetch_add(1, std::memory_order_relaxed); }
  void Barrier() override {
    if (!pool_->Meet()) throw Left();
  }
  std::byte* Scratch(size_t bytes) override { return scratch_.AtLeast(bytes); }
  std::byte* Shared(size_t bytes) override {
    std::lock_guard lock(pool_->shared_mutex_);
    return pool_->shared_.AtLeast(bytes);
  }
  Traffic TakeTraffic() { return std::exchange(traffic_, {}); }

 private:
  Pool* pool_;
  Block scratch_;
};

class Pool::Single final : public Worker {
 public:
  int64_t Next() override { return next_++; }
  void Barrier() override { next_ = 0; }
  std::byte* Scratch(size_t bytes) override { return scratch_.AtLeast(bytes); }
  std::byte* Shared(size_t bytes) override { return shared_.AtLeast(bytes); }
  Traffic TakeTraffic() { return std::exchange(traffic_, {}); }

 private:
  int64_t next_ = 0;
  Block scratch_, shared_;
};

Worker& Pool::Alone() { return *single_; }

std::byte* Pool::Block::AtLeast(size_t bytes) {
  if (bytes > bytes_) {
    memory_.reset();
    bytes_ = 0;
    const size_t rounded = (bytes + 4095) / 4096 * 4096;
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(64, rounded)));
    if (!memory_) throw std::bad_alloc();
    bytes_ = rounded;
  }
  return memory_.get();
}

Pool::Pool(int threads) {
  spins_ = threads <= AvailableCpus();
  std::vector<int> pins(threads, -1);
  if (const cpu_set_t set = Affinity(); threads == CPU_COUNT(&set)) {
    for (int cpu = 0, i = 0; cpu < CPU_SETSIZE && i < threads; ++cpu)
      if (CPU_ISSET(cpu, &set)) pins[i++] = cpu;
  }
  for (int i = 0; i < threads; ++i) members_.push_back(std::make_unique<Member>(this, i, threads));
  single_ = std::make_unique<Single>();
  try {
    for (int i = 1; i < threads; ++i) threads_.emplace_back([this, i, cpu = pins[i]] { ThreadMain(i, cpu); });
  } catch (...) {  // no more threads to be had
    Stop();
    throw;
  }
}

Pool::~Pool() { Stop(); }

void Pool::Stop() {
  stopping_ = true;
  Bump(runs_);
  for (std::thread& t : threads_) t.join();
}

void Pool::Await(const std::atomic<uint32_t>& word, uint32_t old) const {
  if (spins_) {
    const auto end = std::chrono::steady_clock::now() + kSpin;
    do {
      for (int i = 0; i < 16; ++i) {
        if (word.load(std::memory_order_acquire) != old) return;
        Pause();
      }
    } while (std::chrono::steady_clock::now() < end);
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

void Pool::Bump(std::atomic<uint32_t>& word) const {
  // Sequentially consistent: notify_all looks whether anyone sleeps, and if it could look before others see the new
  // value, one that goes to sleep meanwhile would never be woken.
  word.fetch_add(1, std::memory_order_seq_cst);
  if (members_.size() > 1) word.notify_all();
}

bool Pool::Meet() {
  const uint32_t epoch = epoch_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members_.size()) {
    arrived_.store(0, std::memory_order_relaxed);
    next_.store(0, std::memory_order_relaxed);
    leave_ = failed_.load(std::memory_order_relaxed);
    Bump(epoch_);
  } else {
    Await(epoch_, epoch);
  }
  return !leave_;
}

// Whoever fails still arrives at one barrier, so that nobody waits for it in vain; there the whole team leaves.
void Pool::Perform(const std::function<void(Worker&)>& body, Worker& worker) {
  try {
    body(worker);
  } catch (const Left&) {
    return;
  } catch (const std::bad_alloc&) {
    failed_.store(true, std::memory_order_relaxed);
  }
  Meet();
}

void Pool::ThreadMain(int index, int cpu) {
  pthread_setname_np(pthread_self(), "modelc-cpu");
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set);  // a hint: works as well where it is refused
  }
  for (uint32_t run = 0;; ++run) {
    Await(runs_, run);
    if (stopping_) return;
    Perform(*body_, *members_[index]);
  }
}

absl::StatusOr<Traffic> Pool::Run(const std::function<void(Worker&)>& body) {
  std::lock_guard lock(run_mutex_);
  body_ = &body;
  failed_.store(false, std::memory_order_relaxed);
  Bump(runs_);
  Perform(body, *members_[0]);
  Traffic total = single_->TakeTraffic();
  for (auto& member : members_) {
    const Traffic t = member->TakeTraffic();
    total.weight_bytes += t.weight_bytes;
    total.cache_bytes += t.cache_bytes;
  }
  if (leave_) return absl::ResourceExhaustedError("no memory for a kernel's scratch; lower --max-rows or free some");
  return total;
}

}  // namespace modelc::cpu
