#include "client/cli/eval_model.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <mutex>
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/progress.h"
#include "client/cli/text_io.h"

namespace petit::cli {
namespace {

// A Score call's pairs share the server's buffer of log-probabilities, which a few long pairs can fill.
constexpr std::size_t kPairsPerScore = 8;

// Takes the results of one run, in order.
class Tally {
 public:
  Tally(const EvalRun& run, Io& io, std::ostream* hypotheses, ModelReport& report)
      : run_(run),
        io_(io),
        hypotheses_(hypotheses),
        report_(report),
        progress_(*io.err, {.label = absl::StrCat("translating with ", run.options.model),
                            .unit = "pairs",
                            .total = run.pairs,
                            .enabled = run.show_progress}) {}

  absl::Status Add(const EvalPair& pair, const client::TextResult& result) {
    std::string hypothesis;
    if (result.ok()) {
      hypothesis = OnOneLine(result->text);
      report_.empty += IsBlank(hypothesis) ? 1 : 0;
      report_.cut += result->finish_reason == client::FinishReason::kLength ? 1 : 0;
      report_.source_tokens += result->source_tokens;
      report_.unknown_source_tokens += result->unknown_source_tokens;
      report_.target_tokens += result->target_tokens;
      report_.version_changed |= report_.version != 0 && report_.version != result->model_version;
      if (report_.version == 0) report_.version = result->model_version;
      latencies_.push_back(absl::ToDoubleSeconds(result->round_trip));
    } else {
      report_.failures.push_back({.line = pair.line, .status = result.status()});
      progress_.Wipe();
      *io_.err << "petit: " << run_.options.model << ": line " << pair.line << ": " << Describe(result.status())
               << std::endl;
    }
    quality_.Add(hypothesis, pair.reference);
    ++report_.pairs;
    progress_.Update(report_.pairs, report_.pairs);
    if (hypotheses_ == nullptr) return absl::OkStatus();
    *hypotheses_ << hypothesis << "\n";
    return hypotheses_->good() ? absl::OkStatus() : absl::DataLossError("cannot write the hypotheses");
  }

  void Finish() {
    report_.quality = quality_.Compute();
    report_.latency = Percentiles(std::move(latencies_));
  }

 private:
  const EvalRun& run_;
  Io& io_;
  std::ostream* const hypotheses_;
  ModelReport& report_;
  Progress progress_;
  QualityMeter quality_;
  std::vector<double> latencies_;
};

}  // namespace

Latency Percentiles(std::vector<double> seconds) {
  if (seconds.empty()) return {};
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](double share) {
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(seconds.size())));
    return seconds[std::max<std::size_t>(rank, 1) - 1];
  };
  return {.p50_s = at(0.50), .p95_s = at(0.95), .p99_s = at(0.99)};
}

absl::Status EvaluateModel(const client::Client& client, const EvalRun& run, Io& io, std::ostream* hypotheses,
                           ModelReport& report) {
  absl::StatusOr<EvalSetReader> reader = EvalSetReader::Open(run.files, io.interrupt_fd);
  if (!reader.ok()) return reader.status();
  Tally tally(run, io, hypotheses, report);
  std::mutex mutex;
  std::deque<EvalPair> waiting;  // no longer than the stream's window
  absl::Status input_status;
  const client::TextSource source = [&]() -> std::optional<absl::StatusOr<std::string>> {
    absl::StatusOr<std::optional<EvalPair>> pair = reader->Next();
    if (!pair.ok()) input_status = pair.status();
    if (!pair.ok() || !*pair) return std::nullopt;
    absl::StatusOr<std::string> text = (*pair)->source;
    if (!(*pair)->problem.ok()) text = (*pair)->problem;
    const std::lock_guard lock(mutex);
    waiting.push_back(**std::move(pair));
    return text;
  };
  const client::ResultSink sink = [&](std::int64_t /*index*/, const client::TextResult& result) {
    std::unique_lock lock(mutex);
    const EvalPair pair = std::move(waiting.front());
    waiting.pop_front();
    lock.unlock();
    return tally.Add(pair, result);
  };
  const absl::Time start = absl::Now();
  absl::Status status =
      client.TranslateStream(run.options, {.max_in_flight = run.concurrency}, source, sink, CallFor(io));
  report.seconds = absl::ToDoubleSeconds(absl::Now() - start);
  tally.Finish();
  return status.ok() ? input_status : status;
}

absl::Status MeasureKl(const client::Client& client, const EvalRun& run, const std::string& reference, Io& io,
                       ModelReport& report) {
  if (reference == run.options.model) {
    report.kl = 0;  // of a distribution from itself
    return absl::OkStatus();
  }
  absl::StatusOr<EvalSetReader> reader = EvalSetReader::Open(run.files, io.interrupt_fd);
  if (!reader.ok()) return reader.status();
  const client::ScoreOptions options{.model = run.options.model,
                                     .reference_model = reference,
                                     .source_language = run.options.source_language,
                                     .target_language = run.options.target_language,
                                     .prompt_override = run.options.prompt_override};
  Progress progress(*io.err, {.label = absl::StrCat("scoring with ", run.options.model),
                              .unit = "pairs",
                              .total = run.pairs,
                              .enabled = run.show_progress});
  double sum = 0;
  std::int64_t done = 0;
  while (true) {
    std::vector<client::ScorePair> pairs;
    std::vector<std::int64_t> lines;
    bool at_end = false;
    while (!at_end && pairs.size() < kPairsPerScore) {
      absl::StatusOr<std::optional<EvalPair>> pair = reader->Next();
      if (!pair.ok()) return pair.status();
      at_end = !*pair;
      if (at_end) break;
      ++done;
      if (!(*pair)->problem.ok() || IsBlank((*pair)->reference)) continue;
      lines.push_back((*pair)->line);
      pairs.push_back({.source = std::move((*pair)->source), .target = std::move((*pair)->reference)});
    }
    const absl::StatusOr<std::vector<client::ScoreResult>> results = client.Score(pairs, options, CallFor(io));
    if (!results.ok()) {
      if (absl::IsCancelled(results.status()) || client::IsServerUnreachable(results.status())) return results.status();
      report.kl_problem = Describe(results.status());
      return absl::OkStatus();
    }
    for (std::size_t i = 0; i < results->size(); ++i) {
      const client::ScoreResult& result = (*results)[i];
      if (!result.ok()) {
        progress.Wipe();
        *io.err << "petit: " << run.options.model << ": line " << lines[i]
                << " is not scored: " << Describe(result.status()) << std::endl;
        continue;
      }
      for (const float nats : result->token_kl) sum += nats;
      report.kl_tokens += static_cast<std::int64_t>(result->token_kl.size());
    }
    progress.Update(done, done);
    if (at_end) break;
  }
  if (report.kl_tokens > 0) {
    report.kl = sum / static_cast<double>(report.kl_tokens);
  } else {
    report.kl_problem = "no pair could be scored";
  }
  return absl::OkStatus();
}

}  // namespace petit::cli
