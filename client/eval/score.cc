#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/eval/pass.h"

namespace petit::eval {
namespace {

// A Score call's pairs share the server's buffer of log-probabilities, which a few long pairs can fill.
constexpr std::size_t kPairsPerCall = 8;

Likelihood ToLikelihood(const client::ScoreResult& result) {
  if (!result.ok()) return {.status = result.status()};
  Likelihood likelihood{.status = absl::OkStatus(), .tokens = static_cast<std::int64_t>(result->target_ids.size())};
  for (const float log_probability : result->token_log_probs) likelihood.nats -= log_probability;
  for (const float nats : result->token_kl) likelihood.divergence += nats;
  return likelihood;
}

bool NeedsScore(Journal& journal, std::int64_t line) {
  if (!journal.Has(line)) return true;
  const absl::StatusOr<std::string> record = journal.Read(line);
  if (!record.ok()) return true;
  const absl::StatusOr<Likelihood> likelihood = ParseLikelihood(*record);
  return !likelihood.ok() || !(likelihood->status.ok() || IsPermanent(likelihood->status));
}

struct Batch {
  std::vector<std::int64_t> lines;
  std::vector<client::ScorePair> pairs;
};

// The next pairs that are to be scored; empty at the end. `read` counts all that were looked at.
absl::StatusOr<Batch> NextBatch(data::PairReader& reader, Journal& journal, std::int64_t* read) {
  Batch batch;
  while (batch.pairs.size() < kPairsPerCall) {
    absl::StatusOr<std::optional<data::Pair>> pair = reader.Next();
    if (!pair.ok()) return pair.status();
    if (!*pair) break;
    ++*read;
    if (!(*pair)->problem.ok() || absl::StripAsciiWhitespace((*pair)->reference).empty()) continue;
    if (!NeedsScore(journal, (*pair)->line)) continue;
    batch.lines.push_back((*pair)->line);
    batch.pairs.push_back({.source = std::move((*pair)->source), .target = std::move((*pair)->reference)});
  }
  return batch;
}

}  // namespace

absl::Status Score(Cell& cell, const ModelUnderTest* teacher, const Surroundings& surroundings) {
  const SetPlan& set = cell.set->plan;
  const std::string what = absl::StrCat("scoring with ", cell.model->plan.name, " on ", set.name);
  const bool compares = teacher != nullptr && teacher != cell.model;
  const client::ScoreOptions options{.model = cell.model->plan.name,
                                     .reference_model = compares ? teacher->plan.name : "",
                                     .source_language = set.source_language,
                                     .target_language = set.target_language,
                                     .prompt_override = set.prompt};
  absl::StatusOr<data::PairReader> reader = data::PairReader::Open(set.files, surroundings.interrupt_fd);
  if (!reader.ok()) return reader.status();
  std::int64_t read = 0;
  while (true) {
    const absl::StatusOr<Batch> batch = NextBatch(*reader, *cell.likelihoods, &read);
    if (!batch.ok()) return batch.status();
    if (batch->pairs.empty()) break;
    const absl::StatusOr<std::vector<client::ScoreResult>> results =
        cell.model->client->Score(batch->pairs, options, {.cancellation = surroundings.cancellation});
    if (!results.ok() && !IsPermanent(results.status())) return results.status();
    for (std::size_t i = 0; i < batch->lines.size(); ++i) {
      const Likelihood likelihood = results.ok() ? ToLikelihood((*results)[i]) : Likelihood{.status = results.status()};
      if (!likelihood.status.ok() && surroundings.note) {
        surroundings.note(absl::StrCat(cell.model->plan.name, " on ", set.name, ": line ", batch->lines[i],
                                       " is not scored: ", std::string(likelihood.status.message())));
      }
      if (absl::Status status = cell.likelihoods->Append(batch->lines[i], Format(likelihood)); !status.ok()) {
        return status;
      }
    }
    if (surroundings.progress) surroundings.progress(what, std::min(read, cell.set->info.pairs), cell.set->info.pairs);
  }
  if (surroundings.progress) surroundings.progress(what, cell.set->info.pairs, cell.set->info.pairs);
  return absl::OkStatus();
}

}  // namespace petit::eval
