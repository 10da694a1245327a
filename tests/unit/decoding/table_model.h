// A model that is a table, and the reference of what a RowRequest means. std only.
//
// AnswerRow is written for clarity, not for speed: executors' tests compare their answers with it.
#ifndef PETIT_TESTS_UNIT_DECODING_TABLE_MODEL_H_
#define PETIT_TESTS_UNIT_DECODING_TABLE_MODEL_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "models/decoding/decoder.h"
#include "models/decoding/step.h"

namespace petit::decoding {

// Natural logarithm of the sum of exponentials; -inf if every value is.
inline float LogSumExp(std::span<const float> values) {
  const float highest = *std::max_element(values.begin(), values.end());
  if (highest == kNegInf) return kNegInf;
  double sum = 0;
  for (const float value : values) sum += std::exp(static_cast<double>(value) - highest);
  return static_cast<float>(highest + std::log(sum));
}

// Applies edits in order. Ids must lie in [0, scores.size()).
inline void ApplyEdits(std::span<const Edit> edits, std::span<float> scores) {
  for (const Edit& edit : edits) {
    float& score = scores[edit.id];
    switch (edit.kind) {
      case Edit::Kind::kBan:
        score = kNegInf;
        break;
      case Edit::Kind::kPenalize:
        score = score < 0 ? score * edit.value : score / edit.value;
        break;
      case Edit::Kind::kForce:
        std::fill(scores.begin(), scores.end(), kNegInf);
        score = 0;
        break;
    }
  }
}

// What an executor answers to `request` where the model's logits, before any edit, are `logits` [vocab_size].
// Where edits leave nothing but -inf, every log-probability is -inf (never NaN).
inline RowResult AnswerRow(std::span<const float> logits, const RowRequest& request) {
  std::vector<float> scores(logits.begin(), logits.end());
  RowResult result;
  if (request.space == ScoreSpace::kLogits) ApplyEdits(request.edits, scores);
  result.log_sum_exp = LogSumExp(scores);
  for (float& score : scores) score = score == kNegInf ? kNegInf : score - result.log_sum_exp;
  if (request.space == ScoreSpace::kLogProbs) ApplyEdits(request.edits, scores);

  std::vector<TokenId> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](TokenId a, TokenId b) { return scores[a] > scores[b]; });
  order.resize(std::min(order.size(), static_cast<std::size_t>(request.num_best)));
  for (const TokenId id : order) result.best.push_back({id, scores[id]});
  if (request.full_row) result.full_row = std::move(scores);
  return result;
}

// Next-token logits that depend on the last id and, where a second table is given, on the id before it too:
// logits = by_last[last] + by_previous[previous]. All tables are [vocab_size][vocab_size].
class TableModel {
 public:
  explicit TableModel(std::vector<std::vector<float>> by_last, std::vector<std::vector<float>> by_previous = {})
      : by_last_(std::move(by_last)), by_previous_(std::move(by_previous)) {}

  int vocab_size() const { return static_cast<int>(by_last_.size()); }

  // `history`: decoder inputs so far, the start token first; never empty.
  std::vector<float> Logits(std::span<const TokenId> history) const {
    std::vector<float> logits = by_last_[history.back()];
    if (by_previous_.empty() || history.size() < 2) return logits;
    const std::vector<float>& more = by_previous_[history[history.size() - 2]];
    for (std::size_t i = 0; i < logits.size(); ++i) logits[i] += more[i];
    return logits;
  }

 private:
  std::vector<std::vector<float>> by_last_;
  std::vector<std::vector<float>> by_previous_;
};

// Runs the rows of one sequence, step after step, keeping each row's history by its parent as a cache would.
class TableRunner {
 public:
  explicit TableRunner(const TableModel& model) : model_(model) {}

  std::vector<RowResult> Step(std::span<const RowRequest> rows) {
    std::vector<RowResult> results;
    std::vector<std::vector<TokenId>> histories;
    for (const RowRequest& row : rows) {
      histories.push_back(row.parent < 0 ? std::vector<TokenId>() : histories_.at(row.parent));
      histories.back().push_back(row.token);
      results.push_back(AnswerRow(model_.Logits(histories.back()), row));
    }
    histories_ = std::move(histories);
    return results;
  }

  // Decoder inputs of each row of the last step.
  const std::vector<std::vector<TokenId>>& histories() const { return histories_; }

 private:
  const TableModel& model_;
  std::vector<std::vector<TokenId>> histories_;
};

// Decodes one sequence alone.
inline std::vector<Hypothesis> DecodeWithTable(const TableModel& model, const DecodingOptions& options,
                                               const SpecialTokens& special = {}, std::uint64_t sequence_index = 0) {
  const auto decoder = MakeDecoder(options, special, sequence_index);
  TableRunner runner(model);
  while (!decoder->done()) decoder->Advance(runner.Step(decoder->rows()));
  return decoder->Hypotheses();
}

}  // namespace petit::decoding

#endif  // PETIT_TESTS_UNIT_DECODING_TABLE_MODEL_H_
