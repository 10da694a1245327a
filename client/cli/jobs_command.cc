// petit jobs create|list|get|watch|publish|cancel|delete
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/cli/command.h"
#include "client/cli/job_spec.h"
#include "client/cli/job_text.h"
#include "client/cli/job_watch.h"
#include "client/cli/proto_json.h"
#include "client/cli/validators.h"
#include "client/lib/jobs.h"

namespace petit::cli {
namespace {

using petit::v1::Job;

constexpr char kJobsExitCodesHelp[] =
    "Exit codes:\n"
    "  0    everything was done; a watched job SUCCEEDED\n"
    "  1    the watched job FAILED or was CANCELLED; the reason is on standard error\n"
    "  2    the command line or the spec cannot be used\n"
    "  3    no server answers\n"
    "  4    the server refused or failed\n"
    "  130  interrupted; a watched job goes on";

struct JobsFlags {
  CommonFlags common;
  std::string id;
  std::string spec;
  std::string request_id;
  std::string arm;
  std::string publish_as;
  std::int64_t after = 0;
  std::int64_t limit = 0;
  bool watch = false;
  bool json = false;
};

using Run = int (*)(const client::JobClient& client, const JobsFlags& flags, Io& io);

struct Subcommand {
  const char* name;
  const char* description;
  const char* example;
  Run run;
  bool names_job = true;
  const char* json_help = nullptr;  // of --json; null: there is no such option
  double timeout_s = 60;
};

// "x" of "x" and "jobs/x", or nothing where it cannot be an ID.
bool IsId(absl::string_view text) {
  text = absl::StripPrefix(text, "jobs/");
  return !text.empty() && text.find_first_of("/ \t\n") == absl::string_view::npos;
}

absl::StatusOr<client::JobClient> ConnectJobs(const CommonFlags& flags) {
  absl::StatusOr<client::ClientOptions> options = ClientOptionsFor(flags);
  if (!options.ok()) return options.status();
  return client::JobClient::Create(*std::move(options));
}

int Show(const absl::StatusOr<Job>& job, const JobsFlags& flags, Io& io) {
  if (!job.ok()) return Fail(io, job.status());
  if (flags.json) {
    *io.out << ToJson(*job).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  } else {
    *io.out << FormatJob(*job, absl::Now());
  }
  return kExitOk;
}

int Create(const client::JobClient& client, const JobsFlags& flags, Io& io) {
  const absl::StatusOr<petit::v1::JobSpec> spec = ReadJobSpec(flags.spec, io.in_fd, io.interrupt_fd);
  if (absl::IsCancelled(spec.status())) return Fail(io, spec.status());
  if (!spec.ok()) return FailUsage(io, std::string(spec.status().message()));
  const absl::StatusOr<Job> job = client.CreateJob(*spec, flags.request_id, CallFor(io));
  if (!job.ok()) return Fail(io, job.status());
  *io.out << job->name() << std::endl;
  return flags.watch ? WatchJob(client, job->name(), {.quiet = flags.common.quiet}, io) : kExitOk;
}

int List(const client::JobClient& client, const JobsFlags& flags, Io& io) {
  std::vector<Job> jobs;
  std::string token;
  do {
    absl::StatusOr<client::JobPage> page = client.ListJobs(0, token, CallFor(io));
    if (!page.ok()) return Fail(io, page.status());
    for (Job& job : page->jobs) jobs.push_back(std::move(job));
    token = page->next_page_token;
  } while (!token.empty() && (flags.limit == 0 || static_cast<std::int64_t>(jobs.size()) < flags.limit));
  if (flags.limit > 0 && static_cast<std::int64_t>(jobs.size()) > flags.limit) jobs.resize(flags.limit);
  if (flags.json) {
    nlohmann::ordered_json json = nlohmann::ordered_json::array();
    for (const Job& job : jobs) json.push_back(ToJson(job));
    *io.out << json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << "\n";
  } else if (jobs.empty()) {
    if (!flags.common.quiet) *io.err << "petit: there are no jobs; `petit jobs create --spec FILE` makes one\n";
  } else {
    *io.out << FormatJobTable(jobs, absl::Now());
  }
  return kExitOk;
}

int Get(const client::JobClient& client, const JobsFlags& flags, Io& io) {
  return Show(client.GetJob(flags.id, CallFor(io)), flags, io);
}

int Watch(const client::JobClient& client, const JobsFlags& flags, Io& io) {
  return WatchJob(client, flags.id, {.after_sequence = flags.after, .json = flags.json, .quiet = flags.common.quiet},
                  io);
}

int Publish(const client::JobClient& client, const JobsFlags& flags, Io& io) {
  const absl::StatusOr<Job> job = client.PublishStudent(flags.id, flags.arm, flags.publish_as, CallFor(io));
  if (!job.ok()) return Fail(io, job.status());
  const petit::v1::Student* const student = client::FindStudent(*job, flags.arm);
  if (student == nullptr) return Fail(io, absl::InternalError("the server's answer lacks the published student"));
  *io.out << student->published_as() << std::endl;
  return kExitOk;
}

int Cancel(const client::JobClient& client, const JobsFlags& flags, Io& io) {
  const absl::StatusOr<Job> job = client.CancelJob(flags.id, CallFor(io));
  if (!job.ok()) return Fail(io, job.status());
  if (!flags.common.quiet) {
    *io.err << "petit: " << job->name()
            << (client::HasEnded(job->state()) ? " is cancelled\n" : " ends as soon as its worker has stopped\n");
  }
  return kExitOk;
}

int Delete(const client::JobClient& client, const JobsFlags& flags, Io& io) {
  const absl::Status status = client.DeleteJob(flags.id, CallFor(io));
  if (!status.ok()) return Fail(io, status);
  if (!flags.common.quiet) *io.err << "petit: " << client::JobName(flags.id) << " is deleted\n";
  return kExitOk;
}

CLI::App& Add(CLI::App& jobs, const std::shared_ptr<JobsFlags>& flags, Invocation& invocation,
              const Subcommand& subcommand) {
  CLI::App& command = *jobs.add_subcommand(subcommand.name, subcommand.description);
  command.footer(absl::StrCat("Example:\n  ", subcommand.example, "\n\n", kJobsExitCodesHelp));
  if (subcommand.names_job) {
    command.add_option("ID", flags->id, "The job, with or without \"jobs/\"")->required()->type_name("");
  }
  if (subcommand.json_help != nullptr) command.add_flag("--json", flags->json, subcommand.json_help);
  AddCommonFlags(command, flags->common, subcommand.timeout_s);
  const Run run = subcommand.run;
  const bool names_job = subcommand.names_job;
  command.callback([&invocation, flags, run, names_job] {
    invocation.run = [flags, run, names_job](Io& io) {
      if (names_job && !IsId(flags->id)) {
        return FailUsage(io, absl::StrCat("'", flags->id, "' is no job; ID or jobs/ID is wanted"));
      }
      const absl::StatusOr<client::JobClient> client = ConnectJobs(flags->common);
      if (!client.ok()) return FailUsage(io, std::string(client.status().message()));
      return run(*client, *flags, io);
    };
  });
  return command;
}

// Checking a spec reads its data; a watch outlasts a server that loads its models.
constexpr double kLongTimeoutSeconds = 600;

void AddCreate(CLI::App& jobs, Invocation& invocation) {
  const auto flags = std::make_shared<JobsFlags>();
  CLI::App& create =
      Add(jobs, flags, invocation,
          {.name = "create",
           .description = "Makes a job of a spec and prints its name, jobs/ID.\n"
                          "\n"
                          "The spec is a textproto of petit.v1.JobSpec; proto/petit/v1/job.proto explains its fields.\n"
                          "The server checks it, its data and its checkpoints before the job is made.",
           .example = "id=$(petit jobs create --spec job.textproto)",
           .run = Create,
           .names_job = false,
           .timeout_s = kLongTimeoutSeconds});
  create.add_option("--spec", flags->spec, "File of the spec; - is standard input")->required()->type_name("FILE");
  create
      .add_option("--request-id", flags->request_id,
                  "Name of this request: the same one and spec give the same job, not a second one")
      ->type_name("TEXT");
  create.add_flag("--watch", flags->watch, "Watch the job until it has ended");
}

void AddList(CLI::App& jobs, Invocation& invocation) {
  const auto flags = std::make_shared<JobsFlags>();
  Add(jobs, flags, invocation,
      {.name = "list",
       .description = "Lists the jobs, newest first.",
       .example = "petit jobs list --json | jq -r '.[] | select(.state == \"RUNNING\") | .name'",
       .run = List,
       .names_job = false,
       .json_help = "JSON in place of a table"})
      .add_option("--limit", flags->limit, "The newest N only")
      ->type_name("N")
      ->check(AtLeast(1));
}

void AddWatch(CLI::App& jobs, Invocation& invocation) {
  const auto flags = std::make_shared<JobsFlags>();
  CLI::App& watch = Add(
      jobs, flags, invocation,
      {.name = "watch",
       .description = "Shows what a job does until it has ended.\n"
                      "\n"
                      "On a terminal: its loss curves, drawn again as they grow; elsewhere a line an event. A lost\n"
                      "connection is made again, for as long as --timeout says. Ctrl-C stops the watching, not the\n"
                      "job.",
       .example = "petit jobs watch 7f3a --json | jq 'select(.dev_score)'",
       .run = Watch,
       .json_help = "JSON, an event a line",
       .timeout_s = kLongTimeoutSeconds});
  watch.add_option("--after", flags->after, "Show what came after the event #N only")
      ->type_name("N")
      ->check(AtLeast(0));
}

void AddPublish(CLI::App& jobs, Invocation& invocation) {
  const auto flags = std::make_shared<JobsFlags>();
  CLI::App& publish =
      Add(jobs, flags, invocation,
          {.name = "publish",
           .description = "Serves a student that an ended job has kept, and prints MODEL/VERSION.\n"
                          "\n"
                          "It becomes the model's next version; where it is one already, that one is served again.\n"
                          "Several models, each with an arm of its own, can be compared side by side.",
           .example = "petit jobs publish 7f3a --arm alpha-0.5 --as distilled",
           .run = Publish,
           .timeout_s = kLongTimeoutSeconds});
  publish.add_option("--arm", flags->arm, "The student's arm; default: the best")->type_name("ARM");
  publish.add_option("--as", flags->publish_as, "The model that it becomes a version of")
      ->required()
      ->type_name("MODEL");
}

}  // namespace

void AddJobsCommand(CLI::App& app, Invocation& invocation) {
  CLI::App& jobs = *app.add_subcommand(
      "jobs",
      "Makes, watches, publishes and cancels distillation jobs.\n"
      "\n"
      "A job trains students of a model that the server serves, and may publish the best of them as the next version\n"
      "of another.");
  jobs.require_subcommand(1);
  jobs.footer(std::string("Examples:\n"
                          "  petit jobs create --spec job.textproto --watch\n"
                          "  petit jobs list\n"
                          "  petit jobs watch 7f3a\n"
                          "  petit jobs publish 7f3a --arm alpha-0.5 --as distilled\n"
                          "  petit jobs cancel 7f3a\n\n") +
              kJobsExitCodesHelp);
  AddCreate(jobs, invocation);
  AddList(jobs, invocation);
  Add(jobs, std::make_shared<JobsFlags>(), invocation,
      {.name = "get",
       .description = "Shows one job: where it is, its scores, its students, its spec.",
       .example = "petit jobs get 7f3a",
       .run = Get,
       .json_help = "JSON in place of text"});
  AddWatch(jobs, invocation);
  AddPublish(jobs, invocation);
  Add(jobs, std::make_shared<JobsFlags>(), invocation,
      {.name = "cancel",
       .description = "Cancels a job. What it had checkpointed is kept.",
       .example = "petit jobs cancel 7f3a",
       .run = Cancel});
  Add(jobs, std::make_shared<JobsFlags>(), invocation,
      {.name = "delete",
       .description = "Deletes a job that has ended, with its files. Published students stay.",
       .example = "petit jobs delete 7f3a",
       .run = Delete});
}

}  // namespace petit::cli
