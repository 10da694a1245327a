#include "models/decoding/chain_decoder.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "models/decoding/history.h"
#include "models/decoding/processors.h"
#include "models/decoding/sampling.h"
#include "models/decoding/scoring.h"

namespace petit::decoding {
namespace {

struct Chain {
  History history;
  std::vector<float> log_probs = {};
  int row = 0;  // its place in rows(); chains share the first step's only row
  bool ended_by_eos = false;
};

class ChainDecoder final : public SequenceDecoder {
 public:
  ChainDecoder(const DecodingOptions& options, const SpecialTokens& special, std::uint64_t sequence_index)
      : options_(options), special_(special), sequence_index_(sequence_index), processors_(options, special) {
    if (options.do_sample) sampler_.emplace(options);
    const int count = MaxRows(options);
    chains_.assign(count, Chain{processors_.NewHistory()});
    running_.resize(count);
    std::iota(running_.begin(), running_.end(), 0);
    requests_.resize(count);
    for (RowRequest& request : requests_) {
      request.num_best = sampler_ ? sampler_->num_best() : 1;
      request.full_row = sampler_ && sampler_->full_row();
      request.space = ScoreSpace::kLogits;
    }
    requests_[0].parent = -1;
    requests_[0].token = special.decoder_start;
    processors_.MakeEdits(chains_[0].history, &requests_[0].edits);
    num_rows_ = 1;
  }

  std::span<const RowRequest> rows() const override { return std::span(requests_).first(num_rows_); }
  bool done() const override { return running_.empty(); }
  int steps() const override { return steps_; }

  void Advance(std::span<const RowResult> results) override {
    std::size_t kept = 0;
    for (const int index : running_) {
      Chain& chain = chains_[index];
      Candidate chosen = Choose(results[chain.row], index);
      if (std::isnan(chosen.log_prob)) chosen.log_prob = kNegInf;
      chain.history.Append(chosen.id);
      chain.log_probs.push_back(chosen.log_prob);
      chain.ended_by_eos = IsEos(special_, chosen.id);
      if (chain.ended_by_eos || steps_ + 1 == options_.max_new_tokens) continue;
      running_[kept] = index;
      RowRequest& request = requests_[kept];
      request.parent = chain.row;
      request.token = chosen.id;
      processors_.MakeEdits(chain.history, &request.edits);
      chain.row = static_cast<int>(kept);
      ++kept;
    }
    running_.resize(kept);
    num_rows_ = kept;
    ++steps_;
  }

  std::vector<Hypothesis> Hypotheses() override {
    std::vector<Hypothesis> hypotheses;
    for (Chain& chain : chains_) {
      Hypothesis& hypothesis = hypotheses.emplace_back();
      const std::span<const TokenId> ids = chain.history.generated();
      hypothesis.ids.assign(ids.begin(), chain.ended_by_eos ? ids.end() - 1 : ids.end());
      float sum = 0;
      for (const float log_prob : chain.log_probs) sum += log_prob;
      hypothesis.score = sum / LengthDivisor(static_cast<int>(chain.log_probs.size()), options_.length_penalty);
      hypothesis.token_log_probs = std::move(chain.log_probs);
      hypothesis.finish_reason = chain.ended_by_eos ? FinishReason::kEos : FinishReason::kLength;
    }
    std::stable_sort(hypotheses.begin(), hypotheses.end(),
                     [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    return hypotheses;
  }

 private:
  Candidate Choose(const RowResult& result, int chain) {
    if (!sampler_) return result.best.front();
    return sampler_->Draw(result, UniformDraw(options_.seed, sequence_index_, chain, steps_));
  }

  const DecodingOptions options_;
  const SpecialTokens special_;
  const std::uint64_t sequence_index_;
  const Processors processors_;
  std::optional<Sampler> sampler_;
  std::vector<Chain> chains_;
  std::vector<int> running_;          // indices of unfinished chains, in the order of their rows after step one
  std::vector<RowRequest> requests_;  // the first num_rows_ are valid; the others keep their memory
  std::size_t num_rows_ = 0;
  int steps_ = 0;
};

}  // namespace

std::unique_ptr<SequenceDecoder> MakeChainDecoder(const DecodingOptions& options, const SpecialTokens& special,
                                                  std::uint64_t sequence_index) {
  return std::make_unique<ChainDecoder>(options, special, sequence_index);
}

}  // namespace petit::decoding
