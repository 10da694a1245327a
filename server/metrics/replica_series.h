// The series that replicas report into; internal to the folder.
#ifndef PETIT_SERVER_METRICS_REPLICA_SERIES_H_
#define PETIT_SERVER_METRICS_REPLICA_SERIES_H_

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "models/engine/replica.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

namespace petit::serving {

// Seconds, 1 ms to 60 s: what a request or its parts take.
const prometheus::Histogram::BucketBoundaries& RequestBuckets();

inline constexpr std::array<const char*, 7> kRejectionReasons = {"queue_length", "queue_bytes", "deadline", "too_large",
                                                                 "invalid",      "stopping",    "unknown"};

// One model's series, at zero until told otherwise. Owned by the registry that they were made in.
struct ReplicaSeries {
  ReplicaSeries(prometheus::Registry& registry, const std::string& model);

  prometheus::Histogram& queue_seconds;
  prometheus::Histogram& first_token_seconds;
  prometheus::Histogram& step_seconds;
  prometheus::Histogram& step_sequences;
  prometheus::Counter& held_sequences;
  prometheus::Counter& source_tokens;
  prometheus::Counter& target_tokens;
  prometheus::Gauge& queue_length;
  prometheus::Gauge& active_sequences;
  std::array<prometheus::Counter*, kRejectionReasons.size()> rejected;
};

// An observer for one replica. The gauges are the sum over a model's observers, so that a version on its way out
// and the one that takes over do not overwrite each other. Keeps the registry alive.
std::shared_ptr<engine::ReplicaObserver> MakeReplicaObserver(std::shared_ptr<prometheus::Registry> registry,
                                                             const ReplicaSeries& series);

}  // namespace petit::serving

#endif  // PETIT_SERVER_METRICS_REPLICA_SERIES_H_
