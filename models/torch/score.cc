#include "models/torch/score.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "absl/strings/str_cat.h"

namespace petit::torch_executor {
namespace {

using engine::ScorePair;
using engine::ScoreResult;

constexpr int kTokensAtOnce = 1024;               // of sources and of targets; a longer pair goes alone
constexpr std::int64_t kLogitBytes = 16LL << 20;  // of one [tokens, vocab_size] fp32 tensor; three or four live at once

absl::Status CheckIds(absl::Span<const decoding::TokenId> ids, int vocab_size, std::size_t pair, const char* what) {
  for (const decoding::TokenId id : ids) {
    if (id < 0 || id >= vocab_size) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " id ", id, " of pair ", pair, " is not in [0, ", vocab_size, ")"));
    }
  }
  return absl::OkStatus();
}

absl::Status Check(absl::Span<const ScorePair> pairs, int vocab_size, int distribution_size) {
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const ScorePair& pair = pairs[i];
    if (pair.source_ids.empty()) return absl::InvalidArgumentError(absl::StrCat("the source of pair ", i, " is empty"));
    if (auto status = CheckIds(pair.source_ids, vocab_size, i, "source"); !status.ok()) return status;
    if (auto status = CheckIds(pair.target_ids, vocab_size, i, "target"); !status.ok()) return status;
    const std::size_t expected = pair.target_ids.size() * distribution_size;
    if (!pair.reference_log_probs.empty() && pair.reference_log_probs.size() != expected) {
      return absl::InvalidArgumentError(
          absl::StrCat("the reference of pair ", i, " has ", pair.reference_log_probs.size(),
                       " log-probabilities; it must have ", expected, ": ", pair.target_ids.size(), " tokens of ",
                       distribution_size, " ids (the models' vocabularies differ?)"));
    }
  }
  return absl::OkStatus();
}

void Append(const at::Tensor& tensor, std::vector<float>* out) {
  const at::Tensor host = tensor.to(at::kCPU, at::kFloat).contiguous();
  out->insert(out->end(), host.const_data_ptr<float>(), host.const_data_ptr<float>() + host.numel());
}

// Adds tokens [begin, begin + logits.size(0)) of one pair to its result.
void AddTokens(const ScorePair& pair, std::int64_t begin, const at::Tensor& logits, std::int64_t distribution_size,
               ScoreResult* result) {
  const std::int64_t tokens = logits.size(0);
  const at::Tensor targets =
      at::tensor(at::ArrayRef<decoding::TokenId>(pair.target_ids.data() + begin, tokens), at::kInt)
          .to(at::kLong)
          .to(logits.device());
  const at::Tensor chosen = logits.gather(1, targets.unsqueeze(1)).squeeze(1);
  Append(chosen - logits.logsumexp(1), &result->token_log_probs);
  if (!pair.want_log_probs && pair.reference_log_probs.empty()) return;

  const at::Tensor log_probs = at::log_softmax(logits.narrow(1, 0, distribution_size), 1);
  if (pair.want_log_probs) Append(log_probs, &result->log_probs);
  if (pair.reference_log_probs.empty()) return;
  const float* reference_data = pair.reference_log_probs.data() + begin * distribution_size;
  const at::Tensor reference =
      at::from_blob(const_cast<float*>(reference_data), {tokens, distribution_size}, at::kFloat).to(logits.device());
  // Equal log-probabilities give exactly 0; p = 0 adds 0 whatever the logarithms are.
  const at::Tensor p = reference.exp();
  Append(at::where(p > 0, p * (reference - log_probs), at::zeros_like(p)).sum(1), &result->kl);
}

// Scores pairs[chosen] together.
void ScoreTogether(absl::Span<const ScorePair> pairs, absl::Span<const std::size_t> chosen, int distribution_size,
                   Forward* forward, std::vector<ScoreResult>* results) {
  const t5::T5Config& config = forward->weights().config;
  PackedIds sources;
  PackedIds inputs;
  for (const std::size_t i : chosen) {
    sources.Append(pairs[i].source_ids);
    std::vector<decoding::TokenId> input = {config.decoder_start_token_id};
    input.insert(input.end(), pairs[i].target_ids.begin(), pairs[i].target_ids.end() - 1);
    inputs.Append(input);
  }
  const at::Tensor hidden = forward->DecodeForced(inputs, forward->Encode(sources), sources.lengths);
  const std::int64_t rows_at_once = std::max<std::int64_t>(1, kLogitBytes / (std::int64_t{4} * config.vocab_size));
  const std::int64_t total = hidden.size(0);
  std::size_t pair = 0;   // of `chosen`
  std::int64_t done = 0;  // tokens of that pair
  for (std::int64_t begin = 0; begin < total; begin += rows_at_once) {
    const std::int64_t rows = std::min(rows_at_once, total - begin);
    const at::Tensor logits = forward->Logits(hidden.narrow(0, begin, rows));
    for (std::int64_t row = 0; row < rows;) {
      const std::int64_t here = std::min<std::int64_t>(rows - row, inputs.lengths[pair] - done);
      const std::size_t index = chosen[pair];
      AddTokens(pairs[index], done, logits.narrow(0, row, here), distribution_size, &(*results)[index]);
      row += here;
      done += here;
      if (done == inputs.lengths[pair]) {
        ++pair;
        done = 0;
      }
    }
  }
}

}  // namespace

absl::StatusOr<std::vector<ScoreResult>> Score(absl::Span<const ScorePair> pairs, int distribution_size,
                                               Forward* forward) {
  const t5::T5Config& config = forward->weights().config;
  if (auto status = Check(pairs, config.vocab_size, distribution_size); !status.ok()) return status;
  std::vector<ScoreResult> results(pairs.size());
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (!pairs[i].target_ids.empty()) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return pairs[a].source_ids.size() + pairs[a].target_ids.size() <
           pairs[b].source_ids.size() + pairs[b].target_ids.size();
  });
  for (std::size_t begin = 0; begin < order.size();) {
    std::size_t end = begin;
    std::size_t source_tokens = 0;
    std::size_t target_tokens = 0;
    while (end < order.size()) {
      const ScorePair& next = pairs[order[end]];
      source_tokens += next.source_ids.size();
      target_tokens += next.target_ids.size();
      if (end > begin && std::max(source_tokens, target_tokens) > kTokensAtOnce) break;
      ++end;
    }
    ScoreTogether(pairs, absl::MakeConstSpan(order).subspan(begin, end - begin), distribution_size, forward, &results);
    begin = end;
  }
  return results;
}

}  // namespace petit::torch_executor
