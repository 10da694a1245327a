// petit-worker: trains what one task says. The server starts it; a person may.

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/metrics/bleu.h"
#include "client/metrics/chrf.h"
#include "models/distill/task_group.h"
#include "models/distill/trainer.h"
#include "models/torch/torch_executor.h"
#include "server/worker/event_log.h"
#include "server/worker/model_card.h"
#include "server/worker/reporter.h"
#include "server/worker/stop_signals.h"
#include "server/worker/task_settings.h"
#include "spdlog/sinks/stdout_color_sinks.h"
#include "spdlog/spdlog.h"

namespace petit::worker {
namespace {

// The attempt is ours for as long as we live: the descriptor is never closed. The server hands the lock over; without
// one we take it.
absl::Status HoldLock(const std::string& directory) {
  if (const char* inherited = std::getenv("PETIT_LOCK_FD"); inherited != nullptr) {
    fcntl(std::atoi(inherited), F_SETFD, FD_CLOEXEC);
    return absl::OkStatus();
  }
  const std::string path = directory + "/lock";
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) return absl::UnavailableError(absl::StrCat(path, ": ", std::strerror(errno)));
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": another worker runs this attempt"));
  }
  return absl::OkStatus();
}

distill::TextScores ScoreTexts(const std::vector<std::string>& hypotheses, const std::vector<std::string>& references) {
  metrics::Bleu bleu;
  metrics::Chrf chrf;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    bleu.AddPair(hypotheses[i], references[i]);
    chrf.AddPair(hypotheses[i], references[i]);
  }
  return {.bleu = bleu.Score().score, .chrf = chrf.Score()};
}

// Whether another attempt could fare better.
bool IsRetryable(const absl::Status& status) { return absl::IsUnavailable(status) || absl::IsUnknown(status); }

// What would be right, where it is known.
std::string Advice(const absl::Status& status) {
  if (!absl::StrContains(status.message(), "out of memory")) return "";
  return "; raise resources.memory_bytes, or lower training.micro_batch_size";
}

v1::WorkerEvent LastEvent(const absl::StatusOr<distill::Outcome>& outcome) {
  v1::WorkerEvent event;
  if (!outcome.ok()) {
    event.mutable_failed()->set_reason(absl::StrCat(outcome.status().message(), Advice(outcome.status())));
    event.mutable_failed()->set_retryable(IsRetryable(outcome.status()));
  } else if (outcome->stopped) {
    event.mutable_stopped()->set_step(outcome->step);
  } else {
    event.mutable_finished()->set_best_arm(outcome->best_arm);
  }
  return event;
}

// Which of the job's tasks this process is: Slurm says so.
struct TaskNumber {
  int rank = 0;
  int size = 1;
};

TaskNumber TaskNumberOf(const v1::WorkerTask& task) {
  const char* rank = std::getenv("SLURM_PROCID");
  if (task.spec().resources().tasks() <= 1 || rank == nullptr) return {};
  return {.rank = std::atoi(rank), .size = task.spec().resources().tasks()};
}

// Of the tasks that do not speak: one does for all.
class Silence final : public distill::Observer {
 public:
  void OnStarted(std::int64_t /*resumed_step*/) override {}
  void OnProgress(const distill::Progress& /*progress*/) override {}
  void OnDevScore(const distill::DevScore& /*score*/) override {}
  void OnLog(const std::string& /*text*/) override {}
  void OnArmDropped(const std::string& /*arm*/, std::int64_t /*step*/) override {}
  void OnStudent(const std::string& /*arm*/, const std::string& /*checkpoint*/, bool /*best*/) override {}
};

absl::StatusOr<distill::Outcome> PrepareAndTrain(const v1::WorkerTask& task, int attempt, TaskNumber number,
                                                 distill::Observer* observer, const std::function<bool()>& stop) {
  distill::Settings settings = SettingsOfTask(task, attempt);
  absl::StatusOr<std::string> card = ModelCard(task);
  if (!card.ok()) return card.status();
  settings.model_card = *std::move(card);
  if (number.size == 1) return distill::Train(settings, ScoreTexts, observer, stop);
  auto group = distill::JoinTasks(
      {.rank = number.rank, .size = number.size, .rendezvous_file = AttemptDirectory(task, attempt) + "/rendezvous"});
  if (!group.ok()) return group.status();
  return distill::Train(settings, ScoreTexts, observer, stop, group->get());
}

absl::StatusOr<distill::Outcome> RunTask(const v1::WorkerTask& task, int attempt, TaskNumber number,
                                         distill::Observer* observer, const std::function<bool()>& stop) {
  try {
    return PrepareAndTrain(task, attempt, number, observer, stop);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

int Fail(const absl::Status& status) {
  std::cerr << "petit-worker: " << status.message() << std::endl;
  return EXIT_FAILURE;
}

int RunQuietly(const v1::WorkerTask& task, int attempt, TaskNumber number) {
  Silence silence;
  const auto outcome = RunTask(task, attempt, number, &silence, StopRequested);
  return outcome.ok() ? EXIT_SUCCESS : Fail(outcome.status());
}

int Run(const std::string& task_path, int attempt) {
  HoldStopSignals();
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  const absl::StatusOr<v1::WorkerTask> task = ReadTask(task_path);
  if (!task.ok()) return Fail(task.status());
  torch_executor::SetTorchThreads(task->threads());
  const TaskNumber number = TaskNumberOf(*task);
  if (number.rank > 0) return RunQuietly(*task, attempt, number);
  const std::string directory = AttemptDirectory(*task, attempt);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (absl::Status status = HoldLock(directory); !status.ok()) return Fail(status);
  absl::StatusOr<std::unique_ptr<EventLog>> log = EventLog::Create(directory + "/events.jsonl");
  if (!log.ok()) return Fail(log.status());
  Reporter reporter(log->get(), directory + "/tensorboard");
  const absl::StatusOr<distill::Outcome> outcome =
      RunTask(*task, attempt, number, &reporter, [&log] { return StopRequested() || !(*log)->status().ok(); });
  (*log)->AppendLast(LastEvent(outcome));
  if (!outcome.ok()) return Fail(outcome.status());
  spdlog::info("{} at step {}", outcome->stopped ? "stopped" : "finished", outcome->step);
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace petit::worker

int main(int argc, char** argv) {
  CLI::App app("Trains the students of one job. The server starts it.", "petit-worker");
  std::string task;
  int attempt = 1;
  app.add_option("--task", task, "the task, written by the server (task.textproto)")->required();
  app.add_option("--attempt", attempt, "number of this start of the job's worker")->check(CLI::PositiveNumber);
  app.set_version_flag("--version", PETIT_VERSION);
  CLI11_PARSE(app, argc, argv);
  spdlog::set_default_logger(spdlog::stderr_color_mt("petit-worker"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%f%z %l %v");
  return petit::worker::Run(task, attempt);
}
