// A load run from its plan to its report.
#ifndef PETIT_CLIENT_LOAD_RUN_H_
#define PETIT_CLIENT_LOAD_RUN_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/lib/client.h"
#include "client/load/clock.h"
#include "client/load/corpus.h"
#include "client/load/objective.h"
#include "client/load/plan.h"
#include "client/load/recorder.h"
#include "client/load/sender.h"

namespace petit::load {

// A model, with what its server said of it before the run.
struct LoadedModel {
  ModelShare share;
  std::int64_t version = 0;
  std::string digest = {};
  // Empty where the server did not tell.
  std::string precision = {};
  std::string executor = {};
  std::string device = {};
};

// One phase, judged.
struct PhaseResult {
  PhaseFigures figures;
  std::vector<Verdict> verdicts;  // by all models together
  bool complete = true;           // false: interrupted; or ended before it counted

  [[nodiscard]] bool Holds() const { return complete && AllHold(verdicts); }
};

struct SearchResult {
  std::optional<double> best;    // the highest rate that held, texts a second
  std::optional<double> broken;  // the lowest that did not
};

struct Report {
  Plan plan;
  // Told by the caller, for people:
  std::string command = {};
  std::string client_version = {};
  std::string texts = {};
  std::string method = {};  // "unary calls, deadline 60s"
  std::string languages = {};
  std::optional<client::ServerInfo> server = {};
  std::string address = {};
  std::vector<LoadedModel> models = {};

  absl::Time started = {};
  absl::Time finished = {};
  std::vector<PhaseResult> phases = {};     // of a search: its trials
  std::optional<SearchResult> search = {};  // nothing: not asked for, or interrupted before a rate held or broke
  Series series = {};
  bool interrupted = false;
};

// Asks the server for one translation of each of `options` and for what it tells of itself, and fills in server and
// models. Errors are the server's: no such model, languages that it does not translate.
[[nodiscard]] absl::Status Greet(const client::Client& client, const std::vector<client::TranslateOptions>& options,
                                 const client::CallOptions& call, Report& report);

struct RunHooks {
  std::function<bool()> stopped;                                     // as the generator's
  std::function<void(const PhaseResult& trial)> on_trial = nullptr;  // after each of a search; may be null
};

// Does what report.plan says and fills in the rest. Returns once every text has its outcome, also where it was stopped.
void Run(Corpus& corpus, Sender& sender, Clock& clock, Recorder& recorder, const RunHooks& hooks, Report& report);

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_RUN_H_
