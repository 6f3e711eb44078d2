// Cuts streamed text before the first stop string. Text that may be the beginning of one is held back until it is
// decided, so where the tokens' borders fall makes no difference.
#ifndef MODELC_CORE_SERVING_STOP_FILTER_H_
#define MODELC_CORE_SERVING_STOP_FILTER_H_

#include <string>
#include <string_view>
#include <vector>

namespace modelc {

class StopFilter {
 public:
  // No string may be empty.
  explicit StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Text that is safe to show. After a hit everything is dropped. The string that is complete first wins; of those
  // complete at once, the longest.
  std::string Push(std::string_view text);
  // What was held back, at the end of the text.
  std::string Finish();
  bool hit() const { return hit_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool hit_ = false;
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_STOP_FILTER_H_
