// process_cpu_seconds_total and its like, as every Prometheus client library gives them.
#ifndef PETIT_SERVER_METRICS_PROCESS_COLLECTOR_H_
#define PETIT_SERVER_METRICS_PROCESS_COLLECTOR_H_

#include <string>
#include <vector>

#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"

namespace petit::serving {

// Reads Linux' /proc/self at each scrape. What cannot be read is left out.
class ProcessCollector : public prometheus::Collectable {
 public:
  // `proc` stands for /proc, so that tests can bring one of their own.
  explicit ProcessCollector(std::string proc = "/proc");

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  std::string proc_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_METRICS_PROCESS_COLLECTOR_H_
