// Prometheus metrics of the server. Knows prometheus-cpp, not gRPC.
//
// Names, labels and units: petit_requests_total{method,model,code}, petit_request_seconds{method,model},
// petit_queue_seconds{model}, petit_first_token_seconds{model}, petit_step_seconds{model},
// petit_step_sequences{model}, petit_held_sequences_total{model}, petit_source_tokens_total{model},
// petit_target_tokens_total{model}, petit_queue_length{model}, petit_active_sequences{model},
// petit_rejected_total{model,reason}, petit_model_ready{model}, petit_model_bytes{model},
// petit_model_info{model,version,precision,device,executor}, petit_denied_total{reason},
// petit_build_info{version,compiler} and process_*; those of jobs are in job_series.h. A scrape over HTTP has
// prometheus-cpp's own exposer_* besides.
#ifndef PETIT_SERVER_METRICS_METRICS_H_
#define PETIT_SERVER_METRICS_METRICS_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "models/engine/replica.h"
#include "server/metrics/job_series.h"
#include "server/registry/registry.h"

namespace petit::serving {

class Metrics {
 public:
  // Series of the configured models exist from the start, at zero. Anything else is labelled "unknown".
  explicit Metrics(const std::vector<std::string>& model_names);
  ~Metrics();

  // One finished call, failures too. `method` is "Translate", "StreamTranslate", ...; `code` the status' name
  // ("OK", "NOT_FOUND"). A stream counts once, as a call; its texts are in the token and queue series.
  void CountRequest(std::string_view method, std::string_view model, std::string_view code, absl::Duration took);

  // One call that was refused for who makes it: for want of a token or a role (Authorizer's reasons), or beyond what
  // the client may take ("requests_per_second", "max_texts_in_flight") or its connection ("max_connection_calls"). Or
  // one connection, beyond "max_open_calls".
  void CountDenied(std::string_view reason);

  // What one replica of the model reports into. May outlive the Metrics. Take one for each replica: the gauges
  // (queue length, active sequences) are the sum over those that live, and counters and histograms are the model's.
  std::shared_ptr<engine::ReplicaObserver> observer(std::string_view model);

  // Updates petit_model_ready, _bytes and _info (one series for each loaded version). Fits Registry's StatusListener;
  // a model that is not configured is ignored.
  void OnModelStatus(const ModelStatus& status);

  // The series of jobs; `states` are those of petit_jobs. Once. May outlive the Metrics.
  std::unique_ptr<JobSeries> MakeJobSeries(const std::vector<std::string>& states, int max_jobs);

  // Serves /metrics on HOST:PORT (port 0: the kernel's choice) and returns the address bound. Several slow or
  // half-sent requests do not block a scrape. Once. UNAVAILABLE: the port is in use. INVALID_ARGUMENT: not HOST:PORT,
  // or not a host of this machine.
  absl::StatusOr<std::string> Listen(const std::string& address);

  // The exposition in text format, as /metrics serves it.
  std::string Text() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_METRICS_METRICS_H_
