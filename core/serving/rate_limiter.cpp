#include "core/serving/rate_limiter.h"

#include <algorithm>
#include <cmath>

namespace modelc {

double RateLimiter::LeftAt(const Bucket& bucket, Clock::time_point now) const {
  const double minutes = std::chrono::duration<double, std::ratio<60>>(now - bucket.at).count();
  return std::min(std::max(per_minute_, 1.0), bucket.left + minutes * per_minute_);
}

std::chrono::seconds RateLimiter::Take(const std::string& caller, Clock::time_point now) {
  if (per_minute_ <= 0) return std::chrono::seconds(0);
  constexpr size_t kManyCallers = 10000;
  constexpr double kRounding = 1e-9;  // so that waiting as long as was asked suffices
  const double full = std::max(per_minute_, 1.0);
  const std::lock_guard lock(mutex_);
  if (buckets_.size() > kManyCallers) {
    std::erase_if(buckets_, [&](const auto& entry) { return LeftAt(entry.second, now) >= full; });
  }
  Bucket& bucket = buckets_.try_emplace(caller, Bucket{full, now}).first->second;
  const double left = LeftAt(bucket, now);
  if (left < 1 - kRounding) {
    return std::chrono::seconds(static_cast<int64_t>(std::ceil((1 - left - kRounding) * 60 / per_minute_)));
  }
  bucket = {left - 1, now};
  return std::chrono::seconds(0);
}

}  // namespace modelc
