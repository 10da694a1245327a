#include "server/metrics/job_series.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/registry.h"

namespace petit::serving {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;

constexpr std::array<const char*, 4> kTerms = {"cross_entropy", "kl", "hidden_state", "total"};

struct ArmGauges {
  std::array<Gauge*, kTerms.size()> losses = {};
  Gauge* learning_rate = nullptr;
};

struct WorkerGauges {
  Gauge* attempt = nullptr;
  Gauge* heartbeat = nullptr;  // null while there is no worker
};

struct JobEntry {
  Gauge* step = nullptr;
  Gauge* last_event = nullptr;
  Counter* tokens = nullptr;
  std::map<std::string, ArmGauges> arms;
};

Family<Gauge>& AddGauges(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

}  // namespace

struct JobSeries::Impl {
  Impl(std::shared_ptr<prometheus::Registry> shared, int most)
      : registry(std::move(shared)),
        max_jobs(static_cast<std::size_t>(std::max(0, most))),
        jobs(AddGauges(*registry, "petit_jobs", "Stored jobs by state.")),
        loss(AddGauges(*registry, "petit_job_loss",
                       "Terms of a running job's loss per target token, means since its last progress.")),
        learning_rate(AddGauges(*registry, "petit_job_learning_rate", "Present learning rate of a running job's arm.")),
        step(AddGauges(*registry, "petit_job_step", "Optimizer steps that a running job has done.")),
        last_event(
            AddGauges(*registry, "petit_job_last_event_seconds", "Unix time of the last event of a running job.")),
        attempt(AddGauges(*registry, "petit_job_attempt", "Number of a running job's latest worker, from 1.")),
        heartbeat(AddGauges(*registry, "petit_job_heartbeat_seconds",
                            "Unix time when a running job's worker was last heard of.")),
        tokens(prometheus::BuildCounter()
                   .Name("petit_job_tokens_total")
                   .Help("Source and target tokens that a running job's students have learned from.")
                   .Register(*registry)) {}

  ArmGauges& Arm(const std::string& job, const std::string& arm) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void Remove(const ArmGauges& arm) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  const std::shared_ptr<prometheus::Registry> registry;
  const std::size_t max_jobs;
  Family<Gauge>& jobs;
  Family<Gauge>& loss;
  Family<Gauge>& learning_rate;
  Family<Gauge>& step;
  Family<Gauge>& last_event;
  Family<Gauge>& attempt;
  Family<Gauge>& heartbeat;
  Family<Counter>& tokens;

  std::mutex mutex;
  std::map<std::string, Gauge*> states ABSL_GUARDED_BY(mutex);
  std::map<std::string, JobEntry> running ABSL_GUARDED_BY(mutex);
  std::map<std::string, WorkerGauges> workers ABSL_GUARDED_BY(mutex);
};

ArmGauges& JobSeries::Impl::Arm(const std::string& job, const std::string& arm) {
  ArmGauges& gauges = running.at(job).arms[arm];
  if (gauges.learning_rate != nullptr) return gauges;
  for (std::size_t i = 0; i < kTerms.size(); ++i) {
    gauges.losses[i] = &loss.Add({{"job", job}, {"arm", arm}, {"term", kTerms[i]}});
  }
  gauges.learning_rate = &learning_rate.Add({{"job", job}, {"arm", arm}});
  return gauges;
}

void JobSeries::Impl::Remove(const ArmGauges& arm) {
  for (Gauge* gauge : arm.losses) loss.Remove(gauge);
  learning_rate.Remove(arm.learning_rate);
}

JobSeries::JobSeries(std::shared_ptr<prometheus::Registry> registry, const std::vector<std::string>& states,
                     int max_jobs)
    : impl_(std::make_unique<Impl>(std::move(registry), max_jobs)) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  for (const std::string& state : states) impl_->states[state] = &impl_->jobs.Add({{"state", state}});
}

JobSeries::~JobSeries() = default;

void JobSeries::SetCounts(const std::vector<std::pair<std::string, int>>& counts) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  std::map<std::string, int> by_state(counts.begin(), counts.end());
  for (const auto& [state, gauge] : impl_->states) gauge->Set(by_state[state]);
}

bool JobSeries::Start(const std::string& job) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  if (impl_->running.count(job) > 0) return true;
  if (impl_->running.size() >= impl_->max_jobs) return false;
  const prometheus::Labels labels = {{"job", job}};
  impl_->running[job] = {.step = &impl_->step.Add(labels),
                         .last_event = &impl_->last_event.Add(labels),
                         .tokens = &impl_->tokens.Add(labels),
                         .arms = {}};
  return true;
}

void JobSeries::SetFigures(const std::string& job, const JobFigures& figures) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  const auto found = impl_->running.find(job);
  if (found == impl_->running.end()) return;
  found->second.step->Set(static_cast<double>(figures.step));
  const auto tokens = static_cast<double>(figures.tokens);
  Counter*& counter = found->second.tokens;
  if (tokens < counter->Value()) {  // a counter only grows: Prometheus takes a new one for a reset
    impl_->tokens.Remove(counter);
    counter = &impl_->tokens.Add({{"job", job}});
  }
  counter->Increment(std::max(0.0, tokens - counter->Value()));
  for (const ArmFigures& figure : figures.arms) {
    const ArmGauges& arm = impl_->Arm(job, figure.arm);
    const std::array<double, kTerms.size()> values = {figure.cross_entropy, figure.kl, figure.hidden_state_loss,
                                                      figure.loss};
    for (std::size_t i = 0; i < values.size(); ++i) arm.losses[i]->Set(values[i]);
    arm.learning_rate->Set(figure.learning_rate);
  }
}

void JobSeries::SetLastEvent(const std::string& job, absl::Time time) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  const auto found = impl_->running.find(job);
  if (found != impl_->running.end()) found->second.last_event->Set(absl::ToDoubleSeconds(time - absl::UnixEpoch()));
}

void JobSeries::SetWorkers(const std::vector<WorkerFigures>& workers) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  std::set<std::string> alive;
  for (const WorkerFigures& worker : workers) {
    if (impl_->workers.count(worker.job) == 0 && impl_->workers.size() >= impl_->max_jobs) continue;
    alive.insert(worker.job);
    WorkerGauges& gauges = impl_->workers[worker.job];
    const prometheus::Labels labels = {{"job", worker.job}};
    if (gauges.attempt == nullptr) gauges.attempt = &impl_->attempt.Add(labels);
    if (gauges.heartbeat == nullptr) gauges.heartbeat = &impl_->heartbeat.Add(labels);
    gauges.attempt->Set(worker.attempt);
    gauges.heartbeat->Set(absl::ToDoubleSeconds(worker.heard - absl::UnixEpoch()));
  }
  for (auto& [job, gauges] : impl_->workers) {
    if (gauges.heartbeat != nullptr && alive.count(job) == 0) {
      impl_->heartbeat.Remove(std::exchange(gauges.heartbeat, nullptr));
    }
  }
}

void JobSeries::DropArm(const std::string& job, const std::string& arm) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  const auto found = impl_->running.find(job);
  if (found == impl_->running.end()) return;
  const auto dropped = found->second.arms.find(arm);
  if (dropped == found->second.arms.end()) return;
  impl_->Remove(dropped->second);
  found->second.arms.erase(dropped);
}

void JobSeries::End(const std::string& job) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  if (const auto worker = impl_->workers.find(job); worker != impl_->workers.end()) {
    impl_->attempt.Remove(worker->second.attempt);
    if (worker->second.heartbeat != nullptr) impl_->heartbeat.Remove(worker->second.heartbeat);
    impl_->workers.erase(worker);
  }
  const auto found = impl_->running.find(job);
  if (found == impl_->running.end()) return;
  for (const auto& [name, arm] : found->second.arms) impl_->Remove(arm);
  impl_->step.Remove(found->second.step);
  impl_->last_event.Remove(found->second.last_event);
  impl_->tokens.Remove(found->second.tokens);
  impl_->running.erase(found);
}

}  // namespace petit::serving
