#include "backends/cpu/device/pool.h"

#include <sys/resource.h>

#include <chrono>
#include <numeric>

#include "gtest/gtest.h"

namespace modelc::cpu {
namespace {

void RunOn(Pool& pool, const std::function<void(Worker&)>& body) { ASSERT_TRUE(pool.Run(body).ok()); }

class PoolTest : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Threads, PoolTest, ::testing::Values(1, 2, 3, 16));

TEST_P(PoolTest, NextHandsOutEachNumberOnceAndStartsAgainAtBarriers) {
  Pool pool(GetParam());
  for (int run = 0; run < 50; ++run) {
    constexpr int kPhases = 3, kTasks = 100;
    std::vector<std::atomic<int>> taken(kPhases * kTasks);
    RunOn(pool, [&](Worker& worker) {
      for (int phase = 0; phase < kPhases; ++phase) {
        for (int64_t i; (i = worker.Next()) < kTasks;) ++taken[phase * kTasks + i];
        worker.Barrier();
      }
    });
    for (const auto& t : taken) ASSERT_EQ(t, 1);
  }
}

// More workers than processors sleep at once: every barrier and every run is a wake-up that could be lost. One that is
// hangs, which is what the test's time limit is for.
TEST(PoolWakeUps, NobodyIsLeftAsleep) {
  Pool pool(2 * AvailableCpus() + 1);
  std::atomic<int64_t> met{0};
  constexpr int kRuns = 300, kBarriers = 10;
  for (int run = 0; run < kRuns; ++run)
    RunOn(pool, [&](Worker& worker) {
      for (int i = 0; i < kBarriers; ++i) {
        ++met;
        worker.Barrier();
      }
    });
  EXPECT_EQ(met, int64_t{kRuns} * kBarriers * pool.size());
}

TEST_P(PoolTest, BarriersSeparatePhases) {
  Pool pool(GetParam());
  std::vector<int> value(GetParam(), 0);
  std::atomic<int> wrong{0};
  RunOn(pool, [&](Worker& worker) {
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
      RunOn(pool, [&](Worker& worker) {
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
    RunOn(pool, [&](Worker& worker) {
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
    return pool.Run([](Worker& w) { w.AddTraffic({.weight_bytes = 1, .cache_bytes = 10}); }).value();
  };
  for (int i = 0; i < 2; ++i) {
    const Traffic t = count();
    EXPECT_EQ(t.weight_bytes, static_cast<uint64_t>(GetParam()));
    EXPECT_EQ(t.cache_bytes, 10u * GetParam());
  }
}

// One worker fails in the first, a middle or the last phase, alone or with others; the rest is at a barrier or done.
TEST_P(PoolTest, WithoutMemoryTheWholeTeamLeavesAndTheNextRunWorks) {
  constexpr size_t kTooMuch = size_t{1} << 60;
  constexpr int kPhases = 4;
  Pool pool(GetParam());
  for (int phase = 0; phase < kPhases; ++phase)
    for (int failing : {0, GetParam() - 1, -1}) {  // -1: all
      const auto run = [&](size_t bytes, bool shared) {
        std::atomic<int> done = 0;
        const absl::StatusOr<Traffic> traffic = pool.Run([&](Worker& w) {
          for (int p = 0; p < kPhases; ++p) {
            if (p > 0) w.Barrier();
            if (p != phase || (failing >= 0 && w.index() != failing)) continue;
            std::fill_n(shared ? w.Shared(bytes) : w.Scratch(bytes), 1, std::byte{1});
          }
          ++done;
        });
        return std::pair(traffic.status().code(), done.load());
      };
      for (bool shared : {false, true}) {
        const auto [code, done] = run(kTooMuch, shared);
        EXPECT_EQ(code, absl::StatusCode::kResourceExhausted);
        EXPECT_LT(done, GetParam());
        EXPECT_EQ(run(100, shared), std::pair(absl::StatusCode::kOk, GetParam()));
      }
    }
}

TEST_P(PoolTest, WorkDoneAloneMayFailToo) {
  Pool pool(GetParam());
  const auto run = [&](size_t bytes) {
    return pool.Run([&](Worker& w) {
      w.Barrier();
      if (w.index() == 0) *pool.Alone().Scratch(bytes) = std::byte{1};
    }).status().code();
  };
  EXPECT_EQ(run(size_t{1} << 60), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(run(100), absl::StatusCode::kOk);
}

TEST(Pool, ThreadsSleepBetweenRuns) {
  Pool pool(8);
  RunOn(pool, [](Worker& w) { w.Barrier(); });
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
        RunOn(pool, [&](Worker& worker) {
          if (worker.index() == 0) ++value;
        });
    });
  for (std::thread& t : callers) t.join();
  EXPECT_EQ(value, 400);
}

}  // namespace
}  // namespace modelc::cpu
