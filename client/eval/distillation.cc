#include "client/eval/distillation.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"

namespace petit::eval {
namespace {

absl::Time ToTime(const google::protobuf::Timestamp& stamp) {
  return absl::FromUnixSeconds(stamp.seconds()) + absl::Nanoseconds(stamp.nanos());
}

void AddProgress(const petit::v1::Progress& progress, JobResult& result) {
  for (const petit::v1::ArmProgress& arm : progress.arms()) {
    result.curves.push_back({.arm = arm.arm(),
                             .step = progress.step(),
                             .cross_entropy = arm.cross_entropy(),
                             .kl = arm.kl(),
                             .learning_rate = arm.learning_rate(),
                             .tokens_per_second = progress.tokens_per_second()});
  }
}

void AddDevScore(const petit::v1::DevScore& score, JobResult& result) {
  result.dev.push_back({.arm = score.arm(),
                        .set = score.set(),
                        .out_of_domain = score.out_of_domain(),
                        .step = score.step(),
                        .bleu = score.bleu(),
                        .chrf = score.chrf(),
                        .cross_entropy = score.cross_entropy(),
                        .kl = score.has_kl() ? std::optional<double>(score.kl()) : std::nullopt});
}

// Keeps the job's events, and what curves are made of.
class Recorder {
 public:
  Recorder(std::string path, const DistillationPlan& plan, const Surroundings& surroundings)
      : path_(std::move(path)), plan_(plan), surroundings_(surroundings), file_(path_, std::ios::binary) {}

  absl::Status Take(const petit::v1::JobEvent& event) {
    std::string json;
    if (!google::protobuf::util::MessageToJsonString(event, &json).ok()) return absl::InternalError("bad event");
    file_ << json << '\n' << std::flush;
    if (!file_.good()) return absl::ResourceExhaustedError(absl::StrCat("cannot write ", path_));
    if (event.has_progress()) {
      AddProgress(event.progress(), result_);
      if (surroundings_.progress) {
        surroundings_.progress(absl::StrCat("distilling ", plan_.name), event.progress().step(),
                               event.progress().total_steps());
      }
    } else if (event.has_dev_score()) {
      const petit::v1::DevScore& score = event.dev_score();
      AddDevScore(score, result_);
      Note(absl::StrFormat("%s: step %d: %s on %s: BLEU %.2f, cross-entropy %.4f", plan_.name, score.step(),
                           score.arm(), score.set(), score.bleu(), score.cross_entropy()));
    } else if (event.has_state_change()) {
      Note(absl::StrCat(plan_.name, ": ", client::JobStateName(event.state_change().state()),
                        event.state_change().reason().empty() ? "" : ": ", event.state_change().reason()));
    }
    return absl::OkStatus();
  }

  JobResult Take() { return std::move(result_); }

 private:
  void Note(const std::string& line) const {
    if (surroundings_.note) surroundings_.note(line);
  }

  const std::string path_;
  const DistillationPlan& plan_;
  const Surroundings& surroundings_;
  std::ofstream file_;
  JobResult result_;
};

void AddArms(const petit::v1::Job& job, JobResult& result) {
  for (const petit::v1::Arm& arm : job.spec().arms()) {
    result.arms.push_back(
        {.arm = arm.name(),
         .alpha = arm.alpha(),
         .learning_rate = arm.has_learning_rate() ? arm.learning_rate() : job.spec().optimizer().learning_rate(),
         .model = ""});
  }
}

absl::Status Publish(const DistillationPlan& plan, const client::JobClient& jobs, const client::CallOptions& call,
                     JobResult& result) {
  for (const auto& [arm, model] : plan.publish) {
    const absl::StatusOr<petit::v1::Job> job = jobs.PublishStudent(result.name, arm, model, call);
    if (!job.ok()) {
      return absl::Status(job.status().code(), absl::StrCat(plan.name, ": arm ", arm, " cannot be published as ", model,
                                                            ": ", std::string(job.status().message())));
    }
    for (JobResult::Arm& published : result.arms) {
      if (published.arm == arm) published.model = model;
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JobResult> Distill(const DistillationPlan& plan, const client::JobClient& jobs,
                                  const std::string& request_id, const std::string& events_path,
                                  const Surroundings& surroundings) {
  const client::CallOptions call{.cancellation = surroundings.cancellation};
  const absl::StatusOr<petit::v1::Job> created = jobs.CreateJob(plan.spec, request_id, call);
  if (!created.ok()) {
    return absl::Status(created.status().code(),
                        absl::StrCat("distillation ", plan.name, ": ", std::string(created.status().message())));
  }
  if (surroundings.note) surroundings.note(absl::StrCat(plan.name, " is ", created->name()));
  Recorder recorder(events_path, plan, surroundings);
  const absl::Status watched = jobs.Watch(
      created->name(), {}, [&recorder](const petit::v1::JobEvent& event) { return recorder.Take(event); }, call);
  if (!watched.ok()) return watched;
  const absl::StatusOr<petit::v1::Job> job = jobs.GetJob(created->name(), call);
  if (!job.ok()) return job.status();
  if (job->state() != petit::v1::JOB_STATE_SUCCEEDED) {
    return absl::FailedPreconditionError(absl::StrCat("distillation ", plan.name, ": ", job->name(), " is ",
                                                      client::JobStateName(job->state()),
                                                      job->error().empty() ? "" : ": ", job->error()));
  }
  JobResult result = recorder.Take();
  result.name = job->name();
  result.experiment = plan.name;
  result.state = client::JobStateName(job->state());
  result.seconds = absl::ToDoubleSeconds(ToTime(job->end_time()) - ToTime(job->start_time()));
  google::protobuf::TextFormat::PrintToString(job->spec(), &result.spec);
  AddArms(*job, result);
  if (absl::Status status = Publish(plan, jobs, call, result); !status.ok()) return status;
  return result;
}

}  // namespace petit::eval
