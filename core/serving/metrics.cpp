#include "core/serving/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace modelc {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::MetricFamily;
using prometheus::MetricType;

prometheus::Counter& AddCounter(prometheus::Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

prometheus::Histogram& AddSeconds(prometheus::Registry& registry, const char* name, const char* help) {
  return BuildHistogram().Name(name).Help(help).Register(registry).Add(
      {}, prometheus::Histogram::BucketBoundaries{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
                                                  30, 60});
}

struct EngineFigure {
  const char* name;
  const char* help;
  MetricType type;
  double (*read)(const EngineStats&);
};

constexpr EngineFigure kEngineFigures[] = {
    {"modelc_engine_running_requests", "Sequences in the batch", MetricType::Gauge,
     [](const EngineStats& s) { return double(s.running); }},
    {"modelc_engine_waiting_requests", "Sequences queued", MetricType::Gauge,
     [](const EngineStats& s) { return double(s.waiting); }},
    {"modelc_engine_pages_total", "Cache pages", MetricType::Gauge,
     [](const EngineStats& s) { return double(s.pages_total); }},
    {"modelc_engine_pages_used", "Cache pages of running sequences", MetricType::Gauge,
     [](const EngineStats& s) { return double(s.pages_used); }},
    {"modelc_engine_pages_cached", "Cache pages kept for prefixes to come", MetricType::Gauge,
     [](const EngineStats& s) { return double(s.pages_cached); }},
    {"modelc_engine_steps_total", "Steps run", MetricType::Counter,
     [](const EngineStats& s) { return double(s.steps); }},
    {"modelc_engine_preemptions_total", "Sequences put back for want of pages", MetricType::Counter,
     [](const EngineStats& s) { return double(s.preemptions); }},
    {"modelc_engine_drafted_tokens_total", "Tokens guessed by the draft layer and verified", MetricType::Counter,
     [](const EngineStats& s) { return double(s.drafted); }},
    {"modelc_engine_accepted_tokens_total", "Guessed tokens that were right", MetricType::Counter,
     [](const EngineStats& s) { return double(s.accepted); }},
    {"modelc_engine_weight_read_bytes_total", "Weight bytes read by kernels", MetricType::Counter,
     [](const EngineStats& s) { return double(s.weight_bytes); }},
    {"modelc_engine_cache_read_bytes_total", "Cache bytes read by kernels", MetricType::Counter,
     [](const EngineStats& s) { return double(s.cache_bytes); }},
};

}  // namespace

Metrics::Metrics(const Engine* engine)
    : engine_(*engine),
      registry_(std::make_unique<prometheus::Registry>()),
      replies_(BuildCounter().Name("modelc_requests_total").Help("Replies by route and HTTP status").Register(*registry_)),
      prompt_tokens_(AddCounter(*registry_, "modelc_prompt_tokens_total", "Prompt tokens of finished requests")),
      cached_tokens_(AddCounter(*registry_, "modelc_cached_tokens_total", "Prompt tokens found in the prefix cache")),
      completion_tokens_(AddCounter(*registry_, "modelc_completion_tokens_total", "Tokens generated")),
      first_token_(AddSeconds(*registry_, "modelc_time_to_first_token_seconds", "From request to first token")),
      next_token_(AddSeconds(*registry_, "modelc_time_per_output_token_seconds", "Between two tokens of an answer")),
      connections_(BuildGauge().Name("modelc_connections").Help("Open connections").Register(*registry_).Add({})) {}

Metrics::~Metrics() = default;

void Metrics::CountReply(std::string_view route, int http_status) {
  replies_.Add({{"route", std::string(route)}, {"status", std::to_string(http_status)}}).Increment();
}

void Metrics::CountTokens(const Usage& usage) {
  prompt_tokens_.Increment(static_cast<double>(usage.prompt_tokens));
  cached_tokens_.Increment(static_cast<double>(usage.cached_tokens));
  completion_tokens_.Increment(static_cast<double>(usage.completion_tokens));
}

void Metrics::ObserveFirstToken(double seconds) { first_token_.Observe(seconds); }
void Metrics::ObserveNextToken(double seconds) { next_token_.Observe(seconds); }
void Metrics::SetConnections(double open) { connections_.Set(open); }

std::string Metrics::Text() const {
  std::vector<MetricFamily> families = registry_->Collect();
  const EngineStats stats = engine_.Stats();
  for (const EngineFigure& figure : kEngineFigures) {
    prometheus::ClientMetric metric;
    (figure.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = figure.read(stats);
    families.push_back(MetricFamily{figure.name, figure.help, figure.type, {metric}});
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace modelc
