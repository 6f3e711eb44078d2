#include "backends/cpu/device/pool.h"

#include <sys/resource.h>

#include <chrono>
#include <numeric>

#include "gtest/gtest.h"

namespace modelc::cpu {
namespace {

class PoolTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Threads, PoolTest, ::testing::Values(1, 2, 3, 16));

TEST_P(PoolTest, NextHandsOutEachNumberOnceAndStartsAgainAtBarriers) {
  Pool pool(GetParam());
  for (int run = 0; run < 50; ++run) {
    constexpr int kPhases = 3, kTasks = 100;
    std::vector<std::atomic<int>> taken(kPhases * kTasks);
    pool.Run([&](Worker& worker) {
      for (int phase = 0; phase < kPhases; ++phase) {
        for (int64_t i; (i = worker.Next()) < kTasks;) ++taken[phase * kTasks + i];
        worker.Barrier();
      }
    });
    for (const auto& t : taken) ASSERT_EQ(t, 1);
  }
}

TEST_P(PoolTest, BarriersSeparatePhases) {
  Pool pool(GetParam());
  std::vector<int> value(GetParam(), 0);
  std::atomic<int> wrong{0};
  pool.Run([&](Worker& worker) {
    for (int phase = 1; phase <= 200; ++phase) {
      value[worker.index()] = phase;
      worker.Barrier();
      for (int v : value) wrong += v != phase;
      worker.Barrier();
    }
  });
  EXPECT_EQ(wrong, 0);
}

TEST_P(PoolTest, SharesCoverEverythingOnce) {
  Pool pool(GetParam());
  for (int64_t n : {0, 1, 5, 16, 1000})
    for (int64_t grain : {1, 7, 64}) {
      std::vector<std::atomic<int>> covered(n);
      pool.Run([&](Worker& worker) {
        const auto [begin, end] = worker.Share(n, grain);
        for (int64_t i = begin; i < end; ++i) ++covered[i];
      });
      for (const auto& c : covered) ASSERT_EQ(c, 1);
    }
}

TEST_P(PoolTest, SharedMemoryIsOneAndScratchIsOnesOwn) {
  Pool pool(GetParam());
  std::vector<std::byte*> shared(GetParam()), scratch(GetParam());
  for (size_t bytes : {100u, 100000u, 10u}) {
    pool.Run([&](Worker& worker) {
      shared[worker.index()] = worker.Shared(bytes);
      scratch[worker.index()] = worker.Scratch(bytes);
      std::fill_n(scratch[worker.index()], bytes, static_cast<std::byte>(worker.index()));
      worker.Barrier();
      EXPECT_EQ(scratch[worker.index()][bytes - 1], static_cast<std::byte>(worker.index()));
    });
    for (std::byte* p : shared) EXPECT_EQ(p, shared[0]);
    for (std::byte* p : scratch) EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u);
  }
}

TEST_P(PoolTest, TrafficOfAllWorkersAddsUpOnce) {
  Pool pool(GetParam());
  const auto count = [&] {
    return pool.Run([](Worker& w) { w.AddTraffic({.weight_bytes = 1, .cache_bytes = 10}); });
  };
  for (int i = 0; i < 2; ++i) {
    const Traffic t = count();
    EXPECT_EQ(t.weight_bytes, static_cast<uint64_t>(GetParam()));
    EXPECT_EQ(t.cache_bytes, 10u * GetParam());
  }
}

TEST(Pool, ThreadsSleepBetweenRuns) {
  Pool pool(8);
  pool.Run([](Worker& w) { w.Barrier(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // past the spin
  const auto cpu_time = [] {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec * 1e6 + usage.ru_utime.tv_usec + usage.ru_stime.tv_sec * 1e6 + usage.ru_stime.tv_usec;
  };
  const double before = cpu_time();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_LT(cpu_time() - before, 100e3) << "microseconds of CPU in 300 ms of rest; one spinning thread takes all of them";
}

TEST(Pool, RunsFromSeveralThreadsTakeTurns) {
  Pool pool(3);
  int value = 0;  // not atomic: worker 0 of one run at a time
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i)
    callers.emplace_back([&] {
      for (int run = 0; run < 100; ++run)
        pool.Run([&](Worker& worker) {
          if (worker.index() == 0) ++value;
        });
    });
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(value, 400);
}

}  // namespace
}  // namespace modelc::cpu
