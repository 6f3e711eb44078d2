// What /metrics shows, in Prometheus' text format: requests, tokens, latencies, and the engine's queue and cache pages.
// Thread-safe.
#ifndef MODELC_CORE_SERVING_METRICS_H_
#define MODELC_CORE_SERVING_METRICS_H_

#include <memory>
#include <string>
#include <string_view>

#include "core/runtime/engine.h"

namespace prometheus {
template <typename T>
class Family;
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace modelc {

class Metrics {
 public:
  // Reads the engine's own figures when asked for the text; the engine must outlive it.
  explicit Metrics(const Engine* engine);
  ~Metrics();

  void CountReply(std::string_view route, int http_status);
  void CountTokens(const Usage& usage);
  void ObserveFirstToken(double seconds);  // since the request came
  void ObserveNextToken(double seconds);   // since the token before it
  void SetConnections(double open);
  std::string Text() const;

 private:
  const Engine& engine_;
  std::unique_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Counter>& replies_;
  prometheus::Counter& prompt_tokens_;
  prometheus::Counter& cached_tokens_;
  prometheus::Counter& completion_tokens_;
  prometheus::Histogram& first_token_;
  prometheus::Histogram& next_token_;
  prometheus::Gauge& connections_;
};

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_METRICS_H_
