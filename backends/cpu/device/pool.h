// The team of threads that runs submits. Worker 0 is the thread that calls Run; the others are persistent and sleep
// between runs. One fork and join per Run; in between, workers meet at barriers that spin briefly and then park, so a
// team larger than the free cores still makes progress and an idle one takes no time.
#ifndef MODELC_BACKENDS_CPU_DEVICE_POOL_H_
#define MODELC_BACKENDS_CPU_DEVICE_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "backends/cpu/kernels/kernel.h"

namespace modelc::cpu {

// CPUs this process may run on, fewer where a container's quota of CPU time is less.
int AvailableCpus();

class Pool {
 public:
  // threads >= 1. Pins its threads when it takes every CPU the process has. Throws std::system_error when the system has
  // no more threads.
  explicit Pool(int threads);
  ~Pool();
  Pool(const Pool&) = delete;

  int size() const { return static_cast<int>(members_.size()); }
  // Calls `body` on every worker and returns when all have; one Run at a time, others wait. Gives what was counted.
  // ResourceExhausted when a worker found no memory: then all have left at their next barrier.
  absl::StatusOr<Traffic> Run(const std::function<void(Worker&)>& body);
  // A team of one for what worker 0 does alone inside a Run; what it counts is the Run's. Its Barrier restarts Next.
  Worker& Alone();

 private:
  class Member;
  class Single;

  // Thrown by Barrier to leave `body` because another worker has failed. Bodies know nothing of it.
  struct Left {};

  // Memory that grows and keeps its address until it grows again.
  class Block {
   public:
    std::byte* AtLeast(size_t bytes);  // throws std::bad_alloc

   private:
    struct Free {
      void operator()(std::byte* p) const { std::free(p); }
    };
    std::unique_ptr<std::byte, Free> memory_;
    size_t bytes_ = 0;
  };

  // Sleeps until `word` is no longer `old`, after a bounded spin.
  void Await(const std::atomic<uint32_t>& word, uint32_t old) const;
  // Makes `word` another and wakes who awaits it.
  void Bump(std::atomic<uint32_t>& word) const;
  // Waits for the whole team. False when one of it has failed by now: the team has met for the last time in this run.
  bool Meet();
  void Perform(const std::function<void(Worker&)>& body, Worker& worker);
  void ThreadMain(int index, int cpu);
  void Stop();

  std::vector<std::unique_ptr<Member>> members_;
  std::unique_ptr<Single> single_;
  std::vector<std::thread> threads_;
  bool spins_;  // there is a processor for each
  std::mutex run_mutex_;
  const std::function<void(Worker&)>* body_ = nullptr;

  // Each word on its own cache line: all workers write arrived_ and next_, all read epoch_.
  alignas(64) std::atomic<uint32_t> runs_{0};     // bumped to start a run, and to stop the threads
  alignas(64) std::atomic<uint32_t> epoch_{0};    // bumped by the last to arrive at a barrier
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<int64_t> next_{0};
  std::atomic<bool> stopping_{false};

  std::atomic<bool> failed_{false};  // a worker of this run has no memory
  bool leave_ = false;               // failed_ as the last to arrive at a barrier saw it: all of the team see the same

  std::mutex shared_mutex_;
  Block shared_;
};

}  // namespace modelc::cpu

#endif  // MODELC_BACKENDS_CPU_DEVICE_POOL_H_
