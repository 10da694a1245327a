#include "server/jobs/slurm_commands.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/jobs/process.h"

namespace petit::serving {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(60);
constexpr int kShellSignalBase = 128;  // srun ends with this and the signal that killed its task
constexpr int kNoWorkerStatus = 127;   // the batch script's, as a shell's

template <std::size_t size>
bool IsOneOf(absl::string_view text, const std::array<absl::string_view, size>& list) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

absl::StatusOr<CommandResult> RunSlurm(const std::string& command, std::vector<std::string> arguments) {
  Program program;
  program.path = command;
  program.arguments = std::move(arguments);
  // They would filter and format what is read here.
  program.without_prefixes = {"SQUEUE_", "SCANCEL_", "SCONTROL_"};
  absl::StatusOr<CommandResult> result = RunCommand(std::move(program), kTimeout);
  if (!result.ok() && absl::IsFailedPrecondition(result.status())) {
    return absl::FailedPreconditionError(absl::StrCat(
        result.status().message(), "; the SLURM launcher needs Slurm's client commands in the server's PATH"));
  }
  return result;
}

std::string Complaint(const std::string& command, const CommandResult& result) {
  const absl::string_view text = absl::StripAsciiWhitespace(result.err);
  return absl::StrCat(command, ": ", DescribeExit(result.wait_status), text.empty() ? "" : ": ", text);
}

// slurmstepd's own line, where it looks at memory itself.
bool SaysOutOfMemory(absl::string_view log) {
  for (const absl::string_view line : absl::StrSplit(log, '\n')) {
    if (absl::StartsWith(line, "slurmstepd") && absl::StrContains(line, "exceeded memory limit")) return true;
  }
  return false;
}

// Of scancel: what has ended meanwhile needs no signal.
absl::Status RunScancel(std::vector<std::string> arguments) {
  const absl::StatusOr<CommandResult> result = RunSlurm("scancel", std::move(arguments));
  if (!result.ok()) return result.status();
  constexpr std::array<absl::string_view, 3> kGone = {"Invalid job id", "already completing or completed",
                                                      "Job/step already"};
  const bool gone = std::any_of(kGone.begin(), kGone.end(),
                                [&](absl::string_view text) { return absl::StrContains(result->err, text); });
  if (result->ok() || gone) return absl::OkStatus();
  return absl::UnavailableError(Complaint("scancel", *result));
}

}  // namespace

absl::StatusOr<std::string> SlurmSubmit(const std::vector<std::string>& arguments) {
  const absl::StatusOr<CommandResult> result = RunSlurm("sbatch", arguments);
  if (!result.ok()) return result.status();
  if (!result->ok()) {
    const std::string message = Complaint("sbatch", *result);
    for (const absl::string_view text : {"MaxSubmit", "temporarily unable to accept job", "MaxJobCount"}) {
      if (absl::StrContains(result->err, text)) return absl::ResourceExhaustedError(message);
    }
    for (const absl::string_view text : {"Unable to contact", "Socket timed out", "Zero Bytes", "Connection refused"}) {
      if (absl::StrContains(result->err, text)) return absl::UnavailableError(message);
    }
    return absl::FailedPreconditionError(message);
  }
  // "17" or "17;cluster".
  const absl::string_view out = absl::StripAsciiWhitespace(result->out);
  const std::string id(out.substr(0, out.find(';')));
  if (std::int64_t number = 0; absl::SimpleAtoi(id, &number) && number > 0) return id;
  return absl::UnavailableError(absl::StrCat("sbatch: expected a job's number, got \"", out, "\""));
}

absl::StatusOr<std::vector<SlurmJob>> SlurmJobsNamed(const std::string& name) {
  const absl::StatusOr<CommandResult> result =
      RunSlurm("squeue", {"--noheader", "--states=all", absl::StrCat("--user=", geteuid()),
                          absl::StrCat("--name=", name), "--format=%A|%T|%r|%Z"});
  if (!result.ok()) return result.status();
  if (!result->ok()) return absl::UnavailableError(Complaint("squeue", *result));
  std::vector<SlurmJob> jobs;
  for (const absl::string_view line : absl::StrSplit(result->out, '\n', absl::SkipEmpty())) {
    std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits('|', 3));
    if (fields.size() != 4) return absl::UnavailableError(absl::StrCat("squeue: unexpected line \"", line, "\""));
    jobs.push_back({std::move(fields[0]), std::move(fields[1]), std::move(fields[2]), std::move(fields[3])});
  }
  return jobs;
}

absl::StatusOr<std::vector<std::string>> SlurmSteps(const std::string& id) {
  const absl::StatusOr<CommandResult> result =
      RunSlurm("squeue", {"--noheader", "--steps", absl::StrCat("--jobs=", id), "--format=%i"});
  if (!result.ok()) return result.status();
  std::vector<std::string> steps;
  if (!result->ok()) {
    if (absl::StrContains(result->err, "Invalid job id")) return steps;
    return absl::UnavailableError(Complaint("squeue", *result));
  }
  for (const absl::string_view line : absl::StrSplit(result->out, '\n', absl::SkipEmpty())) {
    const std::string step(absl::StripAsciiWhitespace(line));
    const std::vector<absl::string_view> parts = absl::StrSplit(step, '.');
    int number = 0;  // "17.batch", "17.extern" have none
    if (parts.size() == 2 && absl::SimpleAtoi(parts[1], &number)) steps.push_back(step);
  }
  return steps;
}

absl::StatusOr<std::string> SlurmExitCode(const std::string& id) {
  const absl::StatusOr<CommandResult> result = RunSlurm("scontrol", {"--oneliner", "show", "job", id});
  if (!result.ok()) return result.status();
  if (!result->ok()) {
    if (absl::StrContains(result->err, "Invalid job id")) return std::string();
    return absl::UnavailableError(Complaint("scontrol", *result));
  }
  // Before all fields whose text users choose, but for the name, which has no '='.
  for (const absl::string_view field : absl::StrSplit(result->out, ' ')) {
    if (absl::StartsWith(field, "ExitCode=")) return std::string(absl::StripPrefix(field, "ExitCode="));
  }
  return std::string();
}

absl::Status SlurmSignal(const std::string& step, absl::string_view signal) {
  return RunScancel({absl::StrCat("--signal=", signal), step});
}

absl::Status SlurmCancel(const std::string& id) { return RunScancel({id}); }

WorkerState SlurmWorkerState(absl::string_view state) {
  constexpr std::array<absl::string_view, 6> kWaiting = {"PENDING",      "CONFIGURING", "REQUEUED",
                                                         "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"};
  constexpr std::array<absl::string_view, 10> kEnded = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE",
                                                        "FAILED",    "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY",
                                                        "REVOKED",   "TIMEOUT"};
  if (IsOneOf(state, kWaiting)) return WorkerState::kPending;
  if (IsOneOf(state, kEnded)) return WorkerState::kEnded;
  return WorkerState::kRunning;
}

WorkerReport SlurmEndReport(absl::string_view state, absl::string_view exit_code, absl::string_view log_tail) {
  WorkerReport report;
  report.state = WorkerState::kEnded;
  const std::vector<absl::string_view> parts = absl::StrSplit(exit_code, ':');
  int status = 0, signal = 0;
  const bool known = parts.size() == 2 && absl::SimpleAtoi(parts[0], &status) && absl::SimpleAtoi(parts[1], &signal);
  if (signal == 0 && status > kShellSignalBase) signal = status - kShellSignalBase;

  if (state == "OUT_OF_MEMORY" || (state != "COMPLETED" && SaysOutOfMemory(log_tail))) {
    report.lost_memory = true;
    report.reason = "out of memory";
  } else if (state != "COMPLETED" && state != "FAILED") {
    report.reason = absl::StrCat("Slurm ended it: ", state);
  } else if (known && signal != 0) {
    report.reason = absl::StrCat("killed by signal ", signal);
  } else if (known && status == kNoWorkerStatus) {
    report.reason =
        absl::StrCat("exit status ", status, ": the node has no worker where jobs.worker says; see worker.log");
  } else if (known) {
    report.reason = absl::StrCat("exit status ", status);
  }
  return report;
}

}  // namespace petit::serving
