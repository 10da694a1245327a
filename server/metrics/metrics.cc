#include "server/metrics/metrics.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"
#include "server/metrics/exposer.h"
#include "server/metrics/process_collector.h"
#include "server/metrics/replica_series.h"

namespace petit::serving {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

constexpr char kUnknown[] = "unknown";
// Methods are named by the code; this only bounds what a mistake there could cost.
constexpr std::size_t kMaxMethods = 64;
constexpr std::array<const char*, 17> kCodes = {
    "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED"};

// Why calls are refused for who makes them; they stand at zero from the start.
constexpr std::array<const char*, 8> kDenials = {"no_credentials", "bad_token",           "no_role",
                                                 "no_method",      "requests_per_second", "max_texts_in_flight",
                                                 "max_open_calls", "max_connection_calls"};

struct ModelSeries {
  ReplicaSeries replica;
  Gauge& ready;
  Gauge& bytes;
  std::map<prometheus::Labels, Gauge*> info = {};  // of the versions loaded
};

}  // namespace

struct Metrics::Impl {
  explicit Impl(const std::vector<std::string>& model_names);

  ModelSeries MakeModelSeries(const std::string& model);
  // The label for a model, a method: itself or "unknown".
  std::string ModelLabel(std::string_view model) const;
  std::string MethodLabel(std::string_view method) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  Counter& Requests(const std::string& method, const std::string& model, std::string_view code)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  Histogram& RequestSeconds(const std::string& method, const std::string& model) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  // Shared with the observers, which may live longer.
  const std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  const std::shared_ptr<ProcessCollector> process = std::make_shared<ProcessCollector>();
  Family<Counter>& requests;
  Family<Histogram>& request_seconds;
  Family<Counter>& denied;
  Family<Gauge>& ready;
  Family<Gauge>& bytes;
  Family<Gauge>& info;

  mutable std::mutex mutex;
  std::map<std::string, ModelSeries, std::less<>> models;  // keys fixed after construction; `info` under the mutex
  std::set<std::string, std::less<>> methods ABSL_GUARDED_BY(mutex);
  std::map<std::tuple<std::string, std::string, std::string>, Counter*> request_counters ABSL_GUARDED_BY(mutex);
  std::map<std::pair<std::string, std::string>, Histogram*> request_histograms ABSL_GUARDED_BY(mutex);

  // Last: it serves what is above until it is destroyed.
  std::unique_ptr<HttpExposer> exposer ABSL_GUARDED_BY(mutex);
};

Metrics::Impl::Impl(const std::vector<std::string>& model_names)
    : requests(prometheus::BuildCounter()
                   .Name("petit_requests_total")
                   .Help("Calls that ended, by the name of their status.")
                   .Register(*registry)),
      request_seconds(prometheus::BuildHistogram()
                          .Name("petit_request_seconds")
                          .Help("Time from a call's arrival to its end, failures too.")
                          .Register(*registry)),
      denied(prometheus::BuildCounter()
                 .Name("petit_denied_total")
                 .Help("Calls refused for who made them: for want of a token or a role, or beyond a client's limits.")
                 .Register(*registry)),
      ready(prometheus::BuildGauge()
                .Name("petit_model_ready")
                .Help("1 while a version of the model is served.")
                .Register(*registry)),
      bytes(prometheus::BuildGauge()
                .Name("petit_model_bytes")
                .Help("Memory of the weights of the model's loaded versions.")
                .Register(*registry)),
      info(prometheus::BuildGauge().Name("petit_model_info").Help("1 for each loaded version.").Register(*registry)) {
  prometheus::BuildGauge()
      .Name("petit_build_info")
      .Help("1; the labels tell what this server was built from.")
      .Register(*registry)
      .Add({{"version", PETIT_VERSION}, {"compiler", __VERSION__}})
      .Set(1);
  for (const char* reason : kDenials) denied.Add({{"reason", reason}});
  const std::lock_guard<std::mutex> lock(mutex);
  for (const std::string& model : model_names) {
    models.emplace(model, MakeModelSeries(model));
    // Zeroes for what clients call, so that a first failure shows as an increase.
    for (const char* method : {"Translate", "StreamTranslate", "Score"}) {
      Requests(MethodLabel(method), model, "OK");
      RequestSeconds(method, model);
    }
  }
}

ModelSeries Metrics::Impl::MakeModelSeries(const std::string& model) {
  return {ReplicaSeries(*registry, model), ready.Add({{"model", model}}), bytes.Add({{"model", model}})};
}

std::string Metrics::Impl::ModelLabel(std::string_view model) const {
  return models.find(model) == models.end() ? kUnknown : std::string(model);
}

std::string Metrics::Impl::MethodLabel(std::string_view method) {
  if (methods.find(method) != methods.end()) return std::string(method);
  if (methods.size() >= kMaxMethods) return kUnknown;
  return *methods.emplace(method).first;
}

Counter& Metrics::Impl::Requests(const std::string& method, const std::string& model, std::string_view code) {
  const bool is_code = std::find(kCodes.begin(), kCodes.end(), code) != kCodes.end();
  const std::string label = is_code ? std::string(code) : "UNKNOWN";
  Counter*& counter = request_counters[{method, model, label}];
  if (counter == nullptr) counter = &requests.Add({{"method", method}, {"model", model}, {"code", label}});
  return *counter;
}

Histogram& Metrics::Impl::RequestSeconds(const std::string& method, const std::string& model) {
  Histogram*& histogram = request_histograms[{method, model}];
  if (histogram == nullptr) {
    histogram = &request_seconds.Add({{"method", method}, {"model", model}}, RequestBuckets());
  }
  return *histogram;
}

Metrics::Metrics(const std::vector<std::string>& model_names) : impl_(std::make_unique<Impl>(model_names)) {}

Metrics::~Metrics() = default;

void Metrics::CountRequest(std::string_view method, std::string_view model, std::string_view code,
                           absl::Duration took) {
  const std::string model_label = impl_->ModelLabel(model);
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  const std::string method_label = impl_->MethodLabel(method);
  impl_->Requests(method_label, model_label, code).Increment();
  impl_->RequestSeconds(method_label, model_label).Observe(absl::ToDoubleSeconds(took));
}

void Metrics::CountDenied(std::string_view reason) {
  // Add finds the series where it is there.
  impl_->denied.Add({{"reason", std::string(reason)}}).Increment();
}

std::shared_ptr<engine::ReplicaObserver> Metrics::observer(std::string_view model) {
  const auto found = impl_->models.find(model);
  return MakeReplicaObserver(impl_->registry, found != impl_->models.end() ? found->second.replica
                                                                           : ReplicaSeries(*impl_->registry, kUnknown));
}

void Metrics::OnModelStatus(const ModelStatus& status) {
  const auto found = impl_->models.find(status.name);
  if (found == impl_->models.end()) return;
  ModelSeries& series = found->second;
  std::int64_t bytes = 0;
  std::set<prometheus::Labels> loaded;
  for (const VersionStatus& version : status.versions) {
    if (version.state != VersionState::kReady && version.state != VersionState::kUnloading) continue;
    bytes += version.info.weight_bytes;
    loaded.insert({{"model", status.name},
                   {"version", absl::StrCat(version.version)},
                   {"precision", version.info.precision},
                   {"device", version.info.device},
                   {"executor", version.info.executor}});
  }

  const std::lock_guard<std::mutex> lock(impl_->mutex);
  series.ready.Set(status.served_version != 0 ? 1 : 0);
  series.bytes.Set(static_cast<double>(bytes));
  for (auto info = series.info.begin(); info != series.info.end();) {
    if (loaded.count(info->first) > 0) {
      ++info;
      continue;
    }
    impl_->info.Remove(info->second);
    info = series.info.erase(info);
  }
  for (const prometheus::Labels& labels : loaded) {
    Gauge*& gauge = series.info[labels];
    if (gauge == nullptr) gauge = &impl_->info.Add(labels);
    gauge->Set(1);
  }
}

std::unique_ptr<JobSeries> Metrics::MakeJobSeries(const std::vector<std::string>& states, int max_jobs) {
  return std::make_unique<JobSeries>(impl_->registry, states, max_jobs);
}

absl::StatusOr<std::string> Metrics::Listen(const std::string& address) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  if (impl_->exposer != nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("metrics are served on ", impl_->exposer->address(), " already"));
  }
  absl::StatusOr<std::unique_ptr<HttpExposer>> exposer = HttpExposer::Listen(address);
  if (!exposer.ok()) return exposer.status();
  impl_->exposer = *std::move(exposer);
  impl_->exposer->Register(impl_->registry);
  impl_->exposer->Register(impl_->process);
  return impl_->exposer->address();
}

std::string Metrics::Text() const {
  std::vector<prometheus::MetricFamily> families = impl_->registry->Collect();
  for (prometheus::MetricFamily& family : impl_->process->Collect()) families.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace petit::serving
