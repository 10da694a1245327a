#include "models/decoding/beam_decoder.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "models/decoding/history.h"
#include "models/decoding/processors.h"
#include "models/decoding/scoring.h"

namespace petit::decoding {
namespace {

// Upstream's mark of what should not win. A finite number: with few candidates it does take part.
constexpr float kSentinel = -1e9f;

// A hypothesis being extended.
struct Beam {
  History history;
  std::vector<float> log_probs = {};
  float sum = 0;
  int row = 0;  // its place in rows(), shared by beams with the same ids; -1: sum is -inf, nothing can revive it
};

// One way to extend one beam.
struct Option {
  float sum = 0;
  float log_prob = 0;
  int beam = 0;
  TokenId token = 0;
  bool hit = false;  // ends: EOS or the length limit
};

struct Result {
  float score = 0;
  std::vector<TokenId> ids;
  std::vector<float> log_probs;
};

bool Better(const Option& a, const Option& b) {
  if (a.sum != b.sum) return a.sum > b.sum;
  return a.beam != b.beam ? a.beam < b.beam : a.token < b.token;
}

class BeamDecoder final : public SequenceDecoder {
 public:
  BeamDecoder(const DecodingOptions& options, const SpecialTokens& special)
      : options_(options),
        special_(special),
        processors_(options, special),
        num_options_(std::max(2, 1 + static_cast<int>(special.eos.size())) * options.num_beams),
        beams_(options.num_beams, Beam{processors_.NewHistory()}),
        next_beams_(beams_) {
    // All beams begin as the same row; the sentinel keeps the duplicates behind.
    for (std::size_t i = 1; i < beams_.size(); ++i) beams_[i].sum = kSentinel;
    requests_.resize(options.num_beams);
    for (RowRequest& request : requests_) {
      request.num_best = num_options_;
      request.space = ScoreSpace::kLogProbs;
    }
    requests_[0].parent = -1;
    requests_[0].token = special.decoder_start;
    processors_.MakeEdits(beams_[0].history, &requests_[0].edits);
    num_rows_ = 1;
  }

  std::span<const RowRequest> rows() const override { return std::span(requests_).first(num_rows_); }
  bool done() const override { return done_; }
  int steps() const override { return steps_; }

  void Advance(std::span<const RowResult> results) override {
    CollectOptions(results);
    KeepFinished();
    ChooseRunning();
    ++steps_;
    done_ = MustStop();
    if (done_) {
      num_rows_ = 0;
    } else {
      Extend();
    }
  }

  std::vector<Hypothesis> Hypotheses() override;

 private:
  // Fills options_ with the best extensions of all beams, descending.
  void CollectOptions(std::span<const RowResult> results);
  // Moves the finished among the best num_beams options into results_. Upstream discards the others that finished.
  void KeepFinished();
  // Orders chosen_: the options that run on.
  void ChooseRunning();
  bool MustStop() const;
  // Makes beams_ and rows() of chosen_.
  void Extend();

  int num_beams() const { return options_.num_beams; }

  const DecodingOptions options_;
  const SpecialTokens special_;
  const Processors processors_;
  const int num_options_;
  std::vector<Beam> beams_;           // descending sum
  std::vector<Beam> next_beams_;      // swapped with beams_, to keep their memory
  std::vector<RowRequest> requests_;  // the first num_rows_ are valid
  std::size_t num_rows_ = 0;
  std::vector<Option> options_by_rank_;
  std::vector<Option> chosen_;
  std::vector<Result> results_;  // descending score, num_beams at most
  int steps_ = 0;
  bool done_ = false;
};

void BeamDecoder::CollectOptions(std::span<const RowResult> results) {
  options_by_rank_.clear();
  const bool last = steps_ + 1 == options_.max_new_tokens;
  for (int beam = 0; beam < num_beams(); ++beam) {
    const int row = beams_[beam].row;
    // A dead beam offers -inf, as upstream: there must be num_beams options to choose from.
    for (const Candidate& candidate : results[std::max(row, 0)].best) {
      const bool dead = row < 0 || std::isnan(candidate.log_prob);
      const float log_prob = dead ? kNegInf : candidate.log_prob;
      const bool hit = last || IsEos(special_, candidate.id);
      options_by_rank_.push_back({beams_[beam].sum + log_prob, log_prob, beam, candidate.id, hit});
    }
  }
  const std::size_t count = std::min(options_by_rank_.size(), static_cast<std::size_t>(num_options_));
  std::partial_sort(options_by_rank_.begin(), options_by_rank_.begin() + count, options_by_rank_.end(), Better);
  options_by_rank_.resize(count);
}

void BeamDecoder::KeepFinished() {
  const std::size_t limit = static_cast<std::size_t>(num_beams());
  const float divisor = LengthDivisor(steps_ + 1, options_.length_penalty);
  for (std::size_t rank = 0; rank < std::min(limit, options_by_rank_.size()); ++rank) {
    const Option& option = options_by_rank_[rank];
    if (!option.hit) continue;
    const float score = option.sum / divisor;
    // An empty place counts as a result of kSentinel; an equal newcomer does not displace it.
    if (!(score > (results_.size() < limit ? kSentinel : results_.back().score))) continue;
    const Beam& parent = beams_[option.beam];
    const std::span<const TokenId> ids = parent.history.generated();
    Result result{score, {ids.begin(), ids.end()}, parent.log_probs};
    result.ids.push_back(option.token);
    result.log_probs.push_back(option.log_prob);
    const auto place = std::upper_bound(results_.begin(), results_.end(), score,
                                        [](float value, const Result& other) { return value > other.score; });
    results_.insert(place, std::move(result));
    if (results_.size() > limit) results_.pop_back();
  }
}

void BeamDecoder::ChooseRunning() {
  chosen_ = options_by_rank_;
  for (Option& option : chosen_) {
    if (option.hit) option.sum += kSentinel;
  }
  std::stable_sort(chosen_.begin(), chosen_.end(), [](const Option& a, const Option& b) { return a.sum > b.sum; });
  chosen_.resize(num_beams());
}

bool BeamDecoder::MustStop() const {
  const bool full = results_.size() == static_cast<std::size_t>(num_beams());
  if (options_.early_stopping == EarlyStopping::kTrue && full) return true;
  if (std::all_of(options_by_rank_.begin(), options_by_rank_.end(), [](const Option& o) { return o.hit; })) {
    return true;
  }
  // With a positive penalty a longer hypothesis can score better than its prefix does now.
  const bool at_any_length = options_.early_stopping == EarlyStopping::kNever && options_.length_penalty > 0;
  const int length = at_any_length ? options_.max_new_tokens : steps_;
  const float best_running = chosen_.front().sum / LengthDivisor(length, options_.length_penalty);
  return !(best_running > (full ? results_.back().score : kSentinel));
}

void BeamDecoder::Extend() {
  num_rows_ = 0;
  for (std::size_t i = 0; i < chosen_.size(); ++i) {
    const Option& option = chosen_[i];
    const Beam& parent = beams_[option.beam];
    Beam& beam = next_beams_[i];
    beam.history = parent.history;
    beam.history.Append(option.token);
    beam.log_probs = parent.log_probs;
    beam.log_probs.push_back(option.log_prob);
    beam.sum = option.sum;
    beam.row = -1;
    if (beam.sum == kNegInf) continue;

    // The same token after the same row is the same hypothesis: one row serves both.
    const auto rows = std::span(requests_).first(num_rows_);
    const auto twin = std::find_if(rows.begin(), rows.end(), [&](const RowRequest& row) {
      return row.parent == parent.row && row.token == option.token;
    });
    beam.row = static_cast<int>(twin - rows.begin());
    if (twin != rows.end()) continue;
    RowRequest& request = requests_[num_rows_++];
    request.parent = parent.row;
    request.token = option.token;
    processors_.MakeEdits(beam.history, &request.edits);
  }
  beams_.swap(next_beams_);
}

std::vector<Hypothesis> BeamDecoder::Hypotheses() {
  std::vector<Hypothesis> hypotheses;
  for (Result& result : results_) {
    if (hypotheses.size() == static_cast<std::size_t>(options_.num_return_sequences)) break;
    Hypothesis& hypothesis = hypotheses.emplace_back();
    hypothesis.score = result.score;
    hypothesis.ids = std::move(result.ids);
    hypothesis.token_log_probs = std::move(result.log_probs);
    const auto eos =
        std::find_if(hypothesis.ids.begin(), hypothesis.ids.end(), [&](TokenId id) { return IsEos(special_, id); });
    hypothesis.finish_reason = eos == hypothesis.ids.end() ? FinishReason::kLength : FinishReason::kEos;
    if (eos == hypothesis.ids.end()) continue;
    hypothesis.token_log_probs.resize(eos - hypothesis.ids.begin() + 1);
    hypothesis.ids.erase(eos, hypothesis.ids.end());
  }
  // Only if every continuation was banned. Upstream then returns an empty sequence with its sentinel.
  if (hypotheses.empty()) hypotheses.push_back({{}, kSentinel, {}, FinishReason::kLength});
  return hypotheses;
}

}  // namespace

std::unique_ptr<SequenceDecoder> MakeBeamDecoder(const DecodingOptions& options, const SpecialTokens& special) {
  return std::make_unique<BeamDecoder>(options, special);
}

}  // namespace petit::decoding
