#include "models/torch/decoder_step.h"

#include <ATen/ATen.h>
#include <ATen/TensorIndexing.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "models/torch/select.h"

namespace petit::torch_executor {
namespace {

absl::Status CheckId(decoding::TokenId id, int vocab_size, const char* what) {
  if (id >= 0 && id < vocab_size) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(what, " ", id, " is not in [0, ", vocab_size, ")"));
}

}  // namespace

DecoderStep::DecoderStep(Forward* forward)
    : forward_(*forward),
      weights_(forward->weights()),
      pool_(weights_.config.num_decoder_layers, weights_.config.num_heads, weights_.config.d_kv,
            weights_.activation_type, weights_.device) {}

std::int64_t DecoderStep::Footprint(int source_tokens, int max_new_tokens, int rows) const {
  const std::int64_t pages = PagesFor(source_tokens) + rows * PagesFor(max_new_tokens);
  // The pool grows by a quarter at most beyond what it needs.
  return (pages * 5 + 3) / 4 * pool_.page_bytes();
}

absl::Status DecoderStep::CheckNewcomers(absl::Span<const engine::Newcomer> newcomers) const {
  absl::flat_hash_set<engine::Slot> seen;
  for (const engine::Newcomer& newcomer : newcomers) {
    if (newcomer.source_ids.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("the source of slot ", newcomer.slot, " is empty"));
    }
    if (sources_.contains(newcomer.slot) || !seen.insert(newcomer.slot).second) {
      return absl::FailedPreconditionError(absl::StrCat("slot ", newcomer.slot, " is taken; release it first"));
    }
    for (const decoding::TokenId id : newcomer.source_ids) {
      if (auto status = CheckId(id, weights_.config.vocab_size, "source id"); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status DecoderStep::Admit(absl::Span<const engine::Newcomer> newcomers) {
  if (newcomers.empty()) return absl::OkStatus();
  if (auto status = CheckNewcomers(newcomers); !status.ok()) return status;
  PackedIds ids;
  std::int64_t pages = 0;
  for (const engine::Newcomer& newcomer : newcomers) {
    ids.Append(newcomer.source_ids);
    pages += PagesFor(ids.lengths.back());
  }
  // What is likely to fail comes first: encoding, then the one growth.
  const at::Tensor encoded = forward_.Encode(ids);
  std::vector<at::Tensor> kv;
  for (const BlockWeights& block : weights_.decoder.blocks) kv.push_back(block.cross.kv.Apply(encoded));
  pool_.Reserve(static_cast<int>(pages));

  std::vector<Source> sources;
  for (const int length : ids.lengths) {
    Source& source = sources.emplace_back();
    source.length = length;
    for (std::int64_t i = 0; i < PagesFor(length); ++i) source.pages.push_back(pool_.Allocate());
  }
  absl::Cleanup give_back = [&] {
    for (const Source& source : sources) UnrefAll(source.pages);
  };
  for (std::size_t layer = 0; layer < kv.size(); ++layer) StoreSource(static_cast<int>(layer), kv[layer], sources);
  std::move(give_back).Cancel();
  for (std::size_t i = 0; i < sources.size(); ++i) sources_.emplace(newcomers[i].slot, std::move(sources[i]));
  return absl::OkStatus();
}

void DecoderStep::StoreSource(int layer, const at::Tensor& kv, const std::vector<Source>& sources) const {
  const at::Tensor by_head = kv.view({kv.size(0), 2, weights_.config.num_heads, weights_.config.d_kv});
  const at::Tensor keys = by_head.select(1, 0).permute({1, 2, 0});    // [heads, d_kv, tokens]
  const at::Tensor values = by_head.select(1, 1).permute({1, 0, 2});  // [heads, tokens, d_kv]
  const at::Tensor page_keys = pool_.keys(layer);
  const at::Tensor page_values = pool_.values(layer);
  std::int64_t begin = 0;
  for (const Source& source : sources) {
    for (std::size_t i = 0; i < source.pages.size(); ++i) {
      const std::int64_t here = std::min<std::int64_t>(kPageTokens, source.length - static_cast<int>(i) * kPageTokens);
      page_keys.select(0, source.pages[i]).narrow(2, 0, here).copy_(keys.narrow(2, begin, here));
      page_values.select(0, source.pages[i]).narrow(1, 0, here).copy_(values.narrow(1, begin, here));
      begin += here;
    }
  }
}

absl::Status DecoderStep::CheckRows(absl::Span<const engine::StepRow> rows) const {
  bool held = false;
  for (const engine::StepRow& row : rows) {
    if (!sources_.contains(row.slot)) {
      return absl::FailedPreconditionError(absl::StrCat("slot ", row.slot, " is not admitted"));
    }
    if (row.parent_row >= static_cast<int>(rows_.size())) {
      return absl::InvalidArgumentError(
          absl::StrCat("parent row ", row.parent_row, " was not in the last step, which had ", rows_.size(), " rows"));
    }
    if (row.request == nullptr) {
      if (row.parent_row < 0) return absl::InvalidArgumentError("a row without a parent is held; it must be computed");
      held = true;
      continue;
    }
    if (held) return absl::InvalidArgumentError("a computed row comes after a held one; the held ones must come last");
    if (row.request->num_best < 1) {
      return absl::InvalidArgumentError(absl::StrCat("num_best is ", row.request->num_best, "; it must be at least 1"));
    }
    const int vocab = weights_.config.vocab_size;
    if (auto status = CheckId(row.request->token, vocab, "decoder input"); !status.ok()) return status;
    for (const decoding::Edit& edit : row.request->edits) {
      if (auto status = CheckId(edit.id, vocab, "edited id"); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

// Takes over the parents' pages and makes room for one more position in every computed row.
void DecoderStep::MoveRows(absl::Span<const engine::StepRow> rows) {
  std::vector<Row> moved;
  moved.reserve(rows.size());
  for (const engine::StepRow& row : rows) {
    moved.push_back(row.parent_row < 0 ? Row{} : rows_[row.parent_row]);
    for (const int page : moved.back().pages) pool_.Share(page);
  }
  DropRows();
  rows_ = std::move(moved);

  pool_.Reserve(static_cast<int>(rows_.size()));
  std::vector<int> from;
  std::vector<int> to;
  for (std::size_t i = 0; i < rows.size() && rows[i].request != nullptr; ++i) {
    Row& row = rows_[i];
    if (row.length % kPageTokens == 0) {
      row.pages.push_back(pool_.Allocate());
    } else if (pool_.IsShared(row.pages.back())) {  // with a sister beam, which writes another position here
      from.push_back(row.pages.back());
      to.push_back(pool_.Allocate());
      pool_.Unref(row.pages.back());
      row.pages.back() = to.back();
    }
    ++row.length;
  }
  pool_.Copy(from, to);
}

void DecoderStep::StoreRows(int layer, const at::Tensor& kv) const {
  const std::int64_t heads = weights_.config.num_heads;
  const std::int64_t width = weights_.config.d_kv;
  std::vector<std::int64_t> pages;
  std::vector<std::int64_t> places;
  for (const Row& row : absl::MakeConstSpan(rows_).first(kv.size(0))) {
    pages.push_back(row.pages.back());
    places.push_back((row.length - 1) % kPageTokens);
  }
  if (!forward_.generic()) {
    CpuStoreKeysAndValues(kv, pages, places, pool_.layer(layer));
    return;
  }
  const at::Tensor page = at::tensor(pages, at::kLong).to(kv.device());
  const at::Tensor place = at::tensor(places, at::kLong).to(kv.device());
  const at::Tensor by_head = kv.unflatten(1, {2, heads, width});  // [rows, 2, heads, d_kv]
  using at::indexing::Slice;
  pool_.keys(layer).index_put_({page, Slice(), Slice(), place}, by_head.select(1, 0));
  pool_.values(layer).index_put_({page, Slice(), place}, by_head.select(1, 1));
}

void DecoderStep::PrepareTensors(KeySet* keys, bool biased) const {
  if (!forward_.generic()) return;
  const auto rows = static_cast<std::int64_t>(keys->rows.size());
  std::size_t most = 0;
  for (const RowKeys& row : keys->rows) most = std::max(most, row.pages.size());
  const auto pages = static_cast<std::int64_t>(most);
  std::vector<std::int64_t> table(rows * pages, 0);
  std::vector<std::int64_t> counts;
  for (std::int64_t i = 0; i < rows; ++i) {
    const RowKeys& row = keys->rows[i];
    std::copy(row.pages.begin(), row.pages.end(), table.begin() + i * pages);
    counts.push_back(row.keys);
  }
  keys->table = at::tensor(table, at::kLong).view({rows, pages}).to(weights_.device);
  const at::Tensor count = at::tensor(counts, at::kLong).to(weights_.device).unsqueeze(1);
  const at::Tensor position = at::arange(pages * kPageTokens, count.options()).unsqueeze(0);
  const at::Tensor beyond = (position >= count).unsqueeze(1);  // [rows, 1, keys]
  at::Tensor mask;
  if (biased) {
    const at::Tensor& bias = forward_.decoder_bias().ByDistance(static_cast<int>(pages) * kPageTokens);
    const std::int64_t longest = bias.size(1) - 1;
    const at::Tensor place = longest - (count - 1 - position).clamp_min(0);
    mask = bias.index_select(1, place.view({-1})).view({bias.size(0), rows, -1}).transpose(0, 1).contiguous();
  } else {
    mask = at::zeros({rows, 1, pages * kPageTokens}, at::TensorOptions(at::kFloat).device(weights_.device));
  }
  mask.masked_fill_(beyond, std::numeric_limits<float>::lowest());
  keys->mask = mask.unsqueeze(2);
}

at::Tensor DecoderStep::Attend(int layer, const at::Tensor& query, const KeySet& keys, const at::Tensor& bias) const {
  const t5::T5Config& config = weights_.config;
  if (!forward_.generic()) {
    return CpuRaggedAttention({.query = query,
                               .pages = pool_.layer(layer),
                               .rows = keys.rows,
                               .heads = config.num_heads,
                               .head_width = config.d_kv,
                               .bias = bias});
  }
  const std::int64_t rows = keys.table.size(0);
  const std::int64_t positions = keys.table.size(1) * kPageTokens;
  const at::Tensor table = keys.table.view({-1});
  const at::Tensor k = pool_.keys(layer)
                           .index_select(0, table)
                           .view({rows, -1, config.num_heads, config.d_kv, kPageTokens})
                           .permute({0, 2, 3, 1, 4})
                           .reshape({rows, config.num_heads, config.d_kv, positions});
  const at::Tensor v = pool_.values(layer)
                           .index_select(0, table)
                           .view({rows, -1, config.num_heads, kPageTokens, config.d_kv})
                           .transpose(1, 2)
                           .reshape({rows, config.num_heads, positions, config.d_kv});
  const at::Tensor q = query.unflatten(1, {config.num_heads, config.d_kv}).unsqueeze(2);
  const at::Tensor scores = at::matmul(q, k).to(at::kFloat).add_(keys.mask);
  return at::matmul(at::softmax(scores, -1).to(v.scalar_type()), v).reshape({rows, config.inner_dim()});
}

absl::Status DecoderStep::Step(absl::Span<const engine::StepRow> rows, std::vector<decoding::RowResult>* results) {
  results->clear();
  if (auto status = CheckRows(rows); !status.ok()) return status;
  MoveRows(rows);
  while (!rows.empty() && rows.back().request == nullptr) rows.remove_suffix(1);
  if (rows.empty()) return absl::OkStatus();

  std::vector<decoding::TokenId> tokens;
  std::vector<const decoding::RowRequest*> requests;
  KeySet own;
  KeySet source;
  int longest = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    tokens.push_back(rows[i].request->token);
    requests.push_back(rows[i].request);
    own.rows.push_back({rows_[i].pages, rows_[i].length});
    const Source& attended = sources_.at(rows[i].slot);
    source.rows.push_back({attended.pages, attended.length});
    longest = std::max(longest, rows_[i].length);
  }
  PrepareTensors(&own, /*biased=*/true);
  PrepareTensors(&source, /*biased=*/false);
  const at::Tensor no_bias;
  const at::Tensor bias = forward_.decoder_bias().ByDistance(longest);

  const int inner = weights_.config.inner_dim();
  at::Tensor x = forward_.Embed(tokens);
  for (std::size_t i = 0; i < weights_.decoder.blocks.size(); ++i) {
    const BlockWeights& block = weights_.decoder.blocks[i];
    const int layer = static_cast<int>(i);
    const at::Tensor qkv = block.self.qkv.Apply(forward_.Norm(x, block.self.norm));
    StoreRows(layer, qkv.narrow(1, inner, std::int64_t{2} * inner));
    block.self.o.AddTo(Attend(layer, qkv.narrow(1, 0, inner), own, bias), &x);
    const at::Tensor q = block.cross.q.Apply(forward_.Norm(x, block.cross.norm));
    block.cross.o.AddTo(Attend(layer, q, source, no_bias), &x);
    forward_.AddFeedForward(block.feed_forward, &x);
  }
  const at::Tensor logits = forward_.Logits(forward_.Norm(x, weights_.decoder.final_norm));
  return Select(logits, requests, forward_.generic(), results);
}

void DecoderStep::UnrefAll(absl::Span<const int> pages) {
  for (const int page : pages) pool_.Unref(page);
}

void DecoderStep::DropRows() {
  for (const Row& row : rows_) UnrefAll(row.pages);
  rows_.clear();
}

void DecoderStep::Release(absl::Span<const engine::Slot> slots) {
  for (const engine::Slot slot : slots) {
    const auto found = sources_.find(slot);
    if (found == sources_.end()) continue;
    UnrefAll(found->second.pages);
    sources_.erase(found);
  }
}

}  // namespace petit::torch_executor
