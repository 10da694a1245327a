#include "client/cli/job_text.h"

#include <google/protobuf/text_format.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/job_view.h"
#include "client/cli/progress.h"
#include "client/cli/table.h"
#include "client/lib/jobs.h"

namespace petit::cli {
namespace {

using petit::v1::Job;

absl::Time Time(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string Moment(bool there, const google::protobuf::Timestamp& time) {
  return there ? absl::FormatTime("%Y-%m-%d %H:%M:%S", Time(time), absl::LocalTimeZone()) : "-";
}

std::string State(const Job& job) {
  return absl::StrCat(client::JobStateName(job.state()),
                      job.cancelling() && !client::HasEnded(job.state()) ? " (cancelling)" : "");
}

std::string Took(const Job& job, absl::Time now) {
  if (!job.has_start_time()) return "-";
  const absl::Time end = job.has_end_time() ? Time(job.end_time()) : now;
  return FormatRemaining(std::max(absl::ZeroDuration(), end - Time(job.start_time())));
}

std::string Arms(const Job& job) {
  return absl::StrJoin(job.spec().arms(), " ", [](std::string* out, const petit::v1::Arm& arm) {
    if (!arm.name().empty()) {
      absl::StrAppend(out, arm.name());
    } else {
      absl::StrAppend(out, "alpha-", arm.has_alpha() ? arm.alpha() : 0.5);
    }
  });
}

std::string StepOf(const Job& job) {
  if (job.progress().total_steps() <= 0) return "-";
  return absl::StrCat(job.progress().step(), "/", job.progress().total_steps());
}

std::string Or(const std::string& text) { return text.empty() ? "-" : text; }

}  // namespace

std::string FormatJobTable(const std::vector<Job>& jobs, absl::Time now) {
  Table table({{.title = "JOB"},
               {.title = "STATE"},
               {.title = "STEP", .align = Table::Align::kRight},
               {.title = "TEACHER"},
               {.title = "ARMS"},
               {.title = "PUBLISH AS"},
               {.title = "CREATED"},
               {.title = "TOOK", .align = Table::Align::kRight}});
  for (const Job& job : jobs) {
    table.AddRow({job.name(), State(job), StepOf(job), Or(job.spec().teacher()), Or(Arms(job)),
                  Or(job.spec().publish_as()), Moment(job.has_create_time(), job.create_time()), Took(job, now)});
  }
  return table.Format();
}

std::string FormatJob(const Job& job, absl::Time now) {
  std::string text = absl::StrCat("job:       ", job.name(), "\nstate:     ", State(job), "\n");
  if (!job.error().empty()) absl::StrAppend(&text, "error:     ", job.error(), "\n");
  absl::StrAppend(&text, "created:   ", Moment(job.has_create_time(), job.create_time()),
                  "\nstarted:   ", Moment(job.has_start_time(), job.start_time()),
                  "\nended:     ", Moment(job.has_end_time(), job.end_time()), "\ntook:      ", Took(job, now),
                  "\nattempt:   ", job.attempt(), "\nevents:    ", job.last_sequence(), "\n");
  if (job.progress().total_steps() > 0) absl::StrAppend(&text, "progress:  ", FormatProgress(job.progress()), "\n");
  for (const petit::v1::ArmProgress& arm : job.progress().arms()) {
    absl::StrAppend(&text, "           ", arm.arm(), ": ", FormatArmProgress(arm), "\n");
  }
  if (!job.dev_scores().empty()) {
    Table table({{.title = "ARM"},
                 {.title = "DEV SET"},
                 {.title = "DOMAIN"},
                 {.title = "STEP", .align = Table::Align::kRight},
                 {.title = "BLEU", .align = Table::Align::kRight},
                 {.title = "chrF2", .align = Table::Align::kRight},
                 {.title = "CE", .align = Table::Align::kRight},
                 {.title = "KL", .align = Table::Align::kRight},
                 {.title = "PAIRS", .align = Table::Align::kRight}});
    for (const petit::v1::DevScore& score : job.dev_scores()) {
      table.AddRow({score.arm(), score.set(), score.out_of_domain() ? "out" : "in", absl::StrCat(score.step()),
                    absl::StrFormat("%.2f", score.bleu()), absl::StrFormat("%.2f", score.chrf()),
                    absl::StrFormat("%.4f", score.cross_entropy()),
                    score.has_kl() ? absl::StrFormat("%.4f", score.kl()) : "-", absl::StrCat(score.pairs())});
    }
    absl::StrAppend(&text, "\n", table.Format());
  }
  if (!job.students().empty()) {
    Table table({{.title = "STUDENT"}, {.title = "BEST"}, {.title = "PUBLISHED AS"}, {.title = "CHECKPOINT"}});
    for (const petit::v1::Student& student : job.students()) {
      table.AddRow({student.arm(), student.best() ? "yes" : "", Or(student.published_as()), student.checkpoint()});
    }
    absl::StrAppend(&text, "\n", table.Format());
  }
  std::string spec;
  google::protobuf::TextFormat::Printer printer;
  printer.SetInitialIndentLevel(1);
  printer.PrintToString(job.spec(), &spec);
  absl::StrAppend(&text, "\nspec:\n", spec);
  return text;
}

}  // namespace petit::cli
