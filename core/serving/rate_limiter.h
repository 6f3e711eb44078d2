// A token bucket per caller: a minute's worth of requests at once, refilled evenly. Thread-safe.
#ifndef MODELC_CORE_SERVING_RATE_LIMITER_H_
#define MODELC_CORE_SERVING_RATE_LIMITER_H_

#include <chrono>
#include <mutex>
#include <string>
#include <unordered_map>

namespace modelc {

class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;

  // 0: no limit.
  explicit RateLimiter(double requests_per_minute) : per_minute_(requests_per_minute) {}

  // Takes one request off `caller`'s bucket: zero, or else how long to wait before the next one is let through.
  std::chrono::seconds Take(const std::string& caller, Clock::time_point now = Clock::now());

 private:
  struct Bucket {
    double left;
    Clock::time_point at;
  };
  double LeftAt(const Bucket& bucket, Clock::time_point now) const;

  double per_minute_;
  std::mutex mutex_;
  std::unordered_map<std::string, Bucket> buckets_;  // full ones are forgotten
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_RATE_LIMITER_H_
