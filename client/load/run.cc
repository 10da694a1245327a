#include "client/load/run.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/load/generator.h"
#include "client/load/rate_search.h"

namespace petit::load {
namespace {

PhaseResult ResultOf(const Objective& objective, PhaseFigures figures, bool complete) {
  PhaseResult result{.figures = std::move(figures), .verdicts = {}, .complete = complete};
  result.verdicts = Judge(objective, result.figures.All().ForObjective());
  return result;
}

class Runner {
 public:
  Runner(Corpus& corpus, Sender& sender, Clock& clock, Recorder& recorder, const RunHooks& hooks, Report& report)
      : recorder_(recorder),
        hooks_(hooks),
        report_(report),
        generator_(report.plan, corpus, sender, clock, recorder, hooks.stopped) {}

  void Run() {
    report_.started = absl::Now();
    if (report_.plan.search) {
      Search();
    } else {
      RunPhases();
    }
    report_.finished = absl::Now();
    report_.series = recorder_.series();
    report_.interrupted = hooks_.stopped();
  }

 private:
  void RunPhases() {
    std::vector<bool> complete;
    for (const Phase& phase : report_.plan.phases) {
      complete.push_back(generator_.Run(phase));
      if (!complete.back()) break;
    }
    generator_.Drain();
    // Only now has every text its outcome.
    std::vector<PhaseFigures> figures = recorder_.phases();
    for (std::size_t i = 0; i < figures.size(); ++i) {
      report_.phases.push_back(ResultOf(report_.plan.objective, std::move(figures[i]), complete[i]));
    }
  }

  void Search() {
    const Phase& first = report_.plan.phases.front();
    RateSearch search(first.rate);
    while (const std::optional<double> rate = search.Next()) {
      Phase phase = first;
      phase.rate = phase.rate_to = *rate;
      const bool complete = generator_.Run(phase);
      generator_.Drain();
      report_.phases.push_back(ResultOf(report_.plan.objective, recorder_.phases().back(), complete));
      if (hooks_.on_trial) hooks_.on_trial(report_.phases.back());
      if (!complete) break;
      search.Report(report_.phases.back().Holds());
    }
    if (search.best() || search.broken()) report_.search = {.best = search.best(), .broken = search.broken()};
  }

  Recorder& recorder_;
  const RunHooks& hooks_;
  Report& report_;
  Generator generator_;
};

}  // namespace

absl::Status Greet(const client::Client& client, const std::vector<client::TranslateOptions>& options,
                   const client::CallOptions& call, Report& report) {
  const absl::StatusOr<std::vector<client::Model>> listed = client.ListModels(call);
  if (!listed.ok()) return listed.status();
  for (std::size_t i = 0; i < options.size(); ++i) {
    const auto results = client.Translate({"Hello."}, options[i], call);
    if (!results.ok()) return results.status();
    if (!results->front().ok()) return results->front().status();
    const client::Translation& translation = *results->front();
    LoadedModel model{
        .share = report.plan.models[i], .version = translation.model_version, .digest = translation.model_digest};
    for (const client::Model& candidate : *listed) {
      if (candidate.name != options[i].model && !absl::StartsWith(options[i].model, candidate.name + "/")) continue;
      for (const client::ModelVersion& version : candidate.versions) {
        if (version.version != model.version) continue;
        model.precision = version.precision;
        model.executor = version.executor;
        model.device = version.device;
      }
    }
    report.models.push_back(std::move(model));
  }
  absl::StatusOr<client::ServerInfo> info = client.GetServerInfo(call);
  if (info.ok()) report.server = *std::move(info);
  return absl::OkStatus();
}

void Run(Corpus& corpus, Sender& sender, Clock& clock, Recorder& recorder, const RunHooks& hooks, Report& report) {
  Runner(corpus, sender, clock, recorder, hooks, report).Run();
}

}  // namespace petit::load
