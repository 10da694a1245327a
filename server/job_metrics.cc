#include "server/job_metrics.h"

#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

namespace petit::serving {
namespace {

constexpr v1::JobState kStates[] = {v1::JOB_STATE_QUEUED, v1::JOB_STATE_RUNNING, v1::JOB_STATE_SUCCEEDED,
                                    v1::JOB_STATE_FAILED, v1::JOB_STATE_CANCELLED};

// "QUEUED"
std::string Name(v1::JobState state) { return std::string(absl::StripPrefix(v1::JobState_Name(state), "JOB_STATE_")); }

std::vector<std::string> StateNames() {
  std::vector<std::string> names;
  for (const v1::JobState state : kStates) names.push_back(Name(state));
  return names;
}

std::string Id(const std::string& job) { return std::string(absl::StripPrefix(job, "jobs/")); }

JobFigures ToFigures(const v1::Progress& progress) {
  JobFigures figures = {.step = progress.step(), .tokens = progress.tokens(), .arms = {}};
  for (const v1::ArmProgress& arm : progress.arms()) {
    figures.arms.push_back({.arm = arm.arm(),
                            .cross_entropy = arm.cross_entropy(),
                            .kl = arm.kl(),
                            .hidden_state_loss = arm.hidden_state_loss(),
                            .loss = arm.loss(),
                            .learning_rate = arm.learning_rate()});
  }
  return figures;
}

}  // namespace

JobMetrics::JobMetrics(Metrics* metrics, int max_jobs) : series_(metrics->MakeJobSeries(StateNames(), max_jobs)) {}

void JobMetrics::OnCounts(const std::vector<std::pair<v1::JobState, int>>& counts) {
  std::vector<std::pair<std::string, int>> named;
  named.reserve(counts.size());
  for (const auto& [state, count] : counts) named.emplace_back(Name(state), count);
  series_->SetCounts(named);
}

void JobMetrics::OnEvent(const std::string& job, const v1::JobEvent& event) {
  const std::string id = Id(job);
  switch (event.event_case()) {
    case v1::JobEvent::kStateChange:
      if (event.state_change().state() == v1::JOB_STATE_RUNNING) {
        series_->Start(id);
      } else if (event.state_change().state() != v1::JOB_STATE_QUEUED) {
        series_->End(id);
      }
      break;
    case v1::JobEvent::kProgress:
      // Of a job that ran before the server did, this is the first that is heard.
      if (series_->Start(id)) series_->SetFigures(id, ToFigures(event.progress()));
      break;
    case v1::JobEvent::kArmDropped:
      series_->DropArm(id, event.arm_dropped().arm());
      break;
    default:
      break;
  }
  series_->SetLastEvent(id, absl::FromUnixSeconds(event.time().seconds()) + absl::Nanoseconds(event.time().nanos()));
}

void JobMetrics::OnWorkers(const std::vector<WorkerSign>& workers) {
  std::vector<WorkerFigures> figures;
  figures.reserve(workers.size());
  for (const WorkerSign& worker : workers) figures.push_back({Id(worker.job), worker.attempt, worker.heard});
  series_->SetWorkers(figures);
}

void JobMetrics::OnEnded(const std::string& job) { series_->End(Id(job)); }

}  // namespace petit::serving
