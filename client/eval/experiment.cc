#include "client/eval/experiment.h"

#include <openssl/rand.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "client/eval/distillation.h"
#include "client/eval/results.h"
#include "client/eval/text_proto.h"

namespace petit::eval {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr char kExperimentFile[] = "experiment.textproto";
constexpr char kRunFile[] = "journal/run";

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  return error ? absl::ErrnoToStatus(error.value(), absl::StrCat("cannot make ", path)) : absl::OkStatus();
}

// Puts the experiment into an empty directory, or finds it there.
absl::Status Settle(const std::string& directory, const std::string& text) {
  const std::string path = absl::StrCat(directory, "/", kExperimentFile);
  if (absl::Status status = MakeDirectories(directory + "/journal"); !status.ok()) return status;
  std::error_code error;
  if (!fs::exists(path, error)) return WriteWhole(path, text);
  const absl::StatusOr<std::string> there = ReadDocument(path);
  if (!there.ok()) return there.status();
  if (*there == text) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      path, " is another experiment, or an earlier state of this one; give another directory, or remove this one"));
}

// Of this directory alone, so that the jobs of a second one are others.
absl::StatusOr<std::string> RunId(const std::string& directory) {
  const std::string path = absl::StrCat(directory, "/", kRunFile);
  std::error_code error;
  if (fs::exists(path, error)) return ReadDocument(path);
  std::array<unsigned char, 12> bytes;
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) return absl::InternalError("no random numbers");
  std::string id = absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  if (absl::Status status = WriteWhole(path, id); !status.ok()) return status;
  return id;
}

std::string Manifest(const ExperimentPlan& plan, const ExperimentOptions& options, const Outcome& outcome) {
  Json json = {{"experiment", plan.evaluation.name}, {"command", options.command}, {"client", PETIT_VERSION},
               {"servers", Json::array()},           {"models", Json::array()},    {"data", Json::array()}};
  for (const client::ServerInfo& server : outcome.servers) {
    json["servers"].push_back({{"build", server.build},
                               {"cpu", server.cpu},
                               {"logical_cpus", server.logical_cpus},
                               {"memory_bytes", server.memory_bytes},
                               {"os", server.os}});
  }
  for (const ModelUnderTest& model : outcome.models) {
    json["models"].push_back({{"name", model.plan.name},
                              {"server", model.plan.server},
                              {"version", model.served.version},
                              {"digest", model.served.digest},
                              {"precision", model.served.precision},
                              {"device", model.served.device}});
  }
  for (const SetUnderTest& set : outcome.sets) {
    for (const data::PairFileInfo& file : set.info.files) {
      json["data"].push_back({{"set", set.plan.name},
                              {"path", file.path},
                              {"sha256", file.sha256},
                              {"skip", set.plan.files.skip},
                              {"pairs", set.info.pairs},
                              {"pairs_there", set.info.pairs_there}});
    }
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

// Notes go to the log, too.
class Log {
 public:
  Log(const std::string& path, const Surroundings& surroundings)
      : outer_(surroundings.note), file_(path, std::ios::binary | std::ios::app) {}

  void Note(const std::string& line) {
    const std::lock_guard lock(mutex_);
    file_ << absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()) << " " << line << std::endl;
    if (outer_) outer_(line);
  }

 private:
  const std::function<void(const std::string&)> outer_;
  std::mutex mutex_;
  std::ofstream file_;
};

absl::StatusOr<std::vector<JobResult>> DistillAll(const ExperimentPlan& plan, const ExperimentOptions& options,
                                                  const Connections& connections, const Surroundings& surroundings) {
  std::vector<JobResult> results;
  if (plan.distillations.empty()) return results;
  if (absl::Status status = MakeDirectories(options.directory + "/jobs"); !status.ok()) return status;
  const absl::StatusOr<std::string> run = RunId(options.directory);
  if (!run.ok()) return run.status();
  for (const DistillationPlan& distillation : plan.distillations) {
    const absl::StatusOr<client::JobClient> jobs = connections.jobs(distillation.server);
    if (!jobs.ok()) return jobs.status();
    absl::StatusOr<JobResult> result =
        Distill(distillation, *jobs, absl::StrCat(*run, ".", distillation.name),
                absl::StrCat(options.directory, "/jobs/", distillation.name, ".jsonl"), surroundings);
    if (!result.ok()) return result.status();
    results.push_back(*std::move(result));
  }
  return results;
}

}  // namespace

absl::Status WriteWhole(const std::string& path, const std::string& text) {
  const std::string temporary = path + ".tmp";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  errno = 0;
  file << text;
  file.close();
  std::error_code error;
  if (file.good()) {
    fs::rename(temporary, path, error);
    return error ? absl::ErrnoToStatus(error.value(), absl::StrCat("cannot write ", path)) : absl::OkStatus();
  }
  absl::Status status = absl::ErrnoToStatus(errno != 0 ? errno : EIO, absl::StrCat("cannot write ", path));
  fs::remove(temporary, error);
  return status;
}

absl::StatusOr<std::string> RunExperiment(const ExperimentPlan& plan, const ExperimentOptions& options,
                                          const Connections& connections, const Surroundings& outer) {
  if (absl::Status status = Settle(options.directory, plan.text); !status.ok()) return status;
  Log log(options.directory + "/log.txt", outer);
  Surroundings surroundings = outer;
  surroundings.note = [&log](const std::string& line) { log.Note(line); };
  log.Note(options.command);
  // Before hours of distillation.
  absl::StatusOr<std::vector<SetUnderTest>> sets = InspectSets(plan.evaluation.sets, surroundings.interrupt_fd);
  if (!sets.ok()) return sets.status();
  const absl::StatusOr<std::vector<JobResult>> jobs = DistillAll(plan, options, connections, surroundings);
  if (!jobs.ok()) return jobs.status();
  Plan evaluation_plan = plan.evaluation;
  evaluation_plan.directory = options.directory + "/journal";
  evaluation_plan.command = options.command;
  const auto evaluation = Evaluation::Prepare(evaluation_plan, *std::move(sets), connections.models, surroundings);
  if (!evaluation.ok()) return evaluation.status();
  const absl::StatusOr<Outcome> outcome = (*evaluation)->Run(options.directory + "/hypotheses");
  if (!outcome.ok()) return outcome.status();
  std::string results = FormatResults(evaluation_plan, *outcome, *jobs);
  absl::Status status = WriteWhole(options.directory + "/manifest.json", Manifest(plan, options, *outcome));
  if (status.ok()) status = WriteWhole(options.directory + "/results.csv", FormatCsv(*outcome));
  if (status.ok()) status = WriteWhole(options.directory + "/results.json", results);
  if (!status.ok()) return status;
  log.Note("results.json is written");
  return results;
}

}  // namespace petit::eval
