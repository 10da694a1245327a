// An evaluation from its plan to its results: translates, scores, times and judges, and keeps what it has done.
#ifndef PETIT_CLIENT_EVAL_EVALUATION_H_
#define PETIT_CLIENT_EVAL_EVALUATION_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/eval/judge.h"
#include "client/eval/pass.h"
#include "client/eval/plan.h"
#include "client/eval/speed.h"
#include "client/lib/client.h"

namespace petit::eval {

// Speeds of one model on one set.
struct CellSpeed {
  std::string model;
  std::string set;
  int concurrency = 1;
  Speed speed;
};

// Everything measured; FormatResults (results.h) makes a document of it.
struct Outcome {
  absl::Time started;
  absl::Time finished;
  std::vector<client::ServerInfo> servers;  // by first use
  std::vector<ModelUnderTest> models;
  std::vector<SetUnderTest> sets;
  std::vector<CellScores> scores;  // set by set, model by model
  std::vector<CellSpeed> speeds;
  std::vector<Example> examples;
  std::vector<std::string> problems;
};

// Reads every set once. INVALID_ARGUMENT and others name the file, and the line where it is one's.
[[nodiscard]] absl::StatusOr<std::vector<SetUnderTest>> InspectSets(const std::vector<SetPlan>& plans,
                                                                    int interrupt_fd);

class Evaluation {
 public:
  using Connect = std::function<absl::StatusOr<client::Client>(const std::string& server)>;

  // `sets`: those of the plan. Asks every server for its models. INVALID_ARGUMENT: a plan that cannot be meant.
  // NOT_FOUND, FAILED_PRECONDITION: a model is not there, or not served.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Evaluation>> Prepare(const Plan& plan,
                                                                           std::vector<SetUnderTest> sets,
                                                                           const Connect& connect,
                                                                           const Surroundings& surroundings);

  // Does what has not been done, in the order: translations, likelihoods, timed passes (all models in turn, as often as
  // `repeats` says), figures. An error keeps what was done. CANCELLED: interrupted.
  // `hypotheses_directory`: as Judge's.
  [[nodiscard]] absl::StatusOr<Outcome> Run(const std::string& hypotheses_directory);

  // Drops what an earlier run has kept of these models and sets; or only its timed passes, so that the next run takes
  // new ones.
  [[nodiscard]] absl::Status Forget();
  [[nodiscard]] absl::Status ForgetPasses();

  [[nodiscard]] const std::vector<SetUnderTest>& sets() const { return sets_; }
  [[nodiscard]] const std::vector<ModelUnderTest>& models() const { return models_; }

 private:
  Evaluation(const Plan& plan, const Surroundings& surroundings) : plan_(plan), surroundings_(surroundings) {}

  absl::Status FindModels(const Connect& connect);
  absl::Status OpenJournals();
  absl::Status TranslateAll();
  absl::Status TranslateAtOnce();
  absl::Status ScoreAll();
  absl::Status TimeAll();
  absl::Status JudgeAll(const std::string& hypotheses_directory, Outcome& outcome);
  absl::Status CollectSpeeds(Outcome& outcome);
  [[nodiscard]] std::string KeyOf(const Cell& cell) const;
  [[nodiscard]] const ModelUnderTest* Teacher() const;
  [[nodiscard]] std::int64_t PassNumber(std::size_t cell, int repeat) const;

  const Plan plan_;
  const Surroundings surroundings_;
  absl::Time started_;
  std::vector<std::string> addresses_;  // of servers_
  std::vector<client::ServerInfo> servers_;
  std::map<std::string, std::shared_ptr<const client::Client>> clients_;  // by address
  std::vector<ModelUnderTest> models_;
  std::vector<SetUnderTest> sets_;
  std::vector<Cell> cells_;  // set by set, model by model
  std::unique_ptr<Journal> passes_;
  std::vector<std::string> problems_;
};

}  // namespace petit::eval

#endif  // PETIT_CLIENT_EVAL_EVALUATION_H_
