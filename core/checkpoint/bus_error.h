// What happens when a mapped file is cut short, or its disk fails, while it is used: the kernel raises SIGBUS at the
// first touch of a lost page, in whatever kernel of whatever plugin reads the weight. Nothing sensible can be computed
// from then on, so the process ends, but with one line that names the file and exit status 2 instead of a crash.
#ifndef MODELC_CORE_CHECKPOINT_BUS_ERROR_H_
#define MODELC_CORE_CHECKPOINT_BUS_ERROR_H_

#include <cstddef>
#include <string>

#include "absl/types/span.h"

namespace modelc {

// While it lives, a SIGBUS within `bytes` is reported as above. Bus errors elsewhere stay what they were before.
// Thread-safe. `path` must outlive it.
class BusErrorReport {
 public:
  BusErrorReport(absl::Span<const std::byte> bytes, const std::string& path);
  ~BusErrorReport();
  BusErrorReport(const BusErrorReport&) = delete;
  BusErrorReport& operator=(const BusErrorReport&) = delete;

  struct Range;

 private:
  Range* const range_;
};

}  // namespace modelc

#endif  // MODELC_CORE_CHECKPOINT_BUS_ERROR_H_
