#include "models/torch/select.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/torch/cpu_select.h"
#include "models/torch/edits.h"

namespace petit::torch_executor {
namespace {

using decoding::Edit;
using decoding::kNegInf;
using decoding::RowRequest;
using decoding::RowResult;
using decoding::ScoreSpace;

at::Tensor Indices(const std::vector<std::int64_t>& values, const at::Tensor& like) {
  return at::tensor(values, at::kLong).to(like.device());
}

// Applies the edits of the rows in `space`. Only the edited scores travel to the host and back.
void ApplyEdits(absl::Span<const RowRequest* const> requests, ScoreSpace space, const at::Tensor& scores) {
  std::vector<std::int64_t> forced;
  std::vector<std::int64_t> places;  // flat
  std::map<std::pair<std::size_t, decoding::TokenId>, std::size_t> place_of;
  const std::int64_t width = scores.size(1);
  for (std::size_t row = 0; row < requests.size(); ++row) {
    if (requests[row]->space != space) continue;
    for (const Edit& edit : requests[row]->edits) {
      if (edit.kind == Edit::Kind::kForce) forced.push_back(static_cast<std::int64_t>(row));
      if (place_of.try_emplace({row, edit.id}, places.size()).second) {
        places.push_back(static_cast<std::int64_t>(row) * width + edit.id);
      }
    }
  }
  if (places.empty()) return;
  const at::Tensor flat = scores.view({-1});
  const at::Tensor index = Indices(places, scores);
  at::Tensor values = flat.index_select(0, index).to(at::kCPU).contiguous();
  float* value = values.mutable_data_ptr<float>();
  for (std::size_t row = 0; row < requests.size(); ++row) {
    if (requests[row]->space != space) continue;
    for (const Edit& edit : requests[row]->edits) {
      // Edits before a force are lost with the rest of the row.
      if (edit.kind == Edit::Kind::kForce) {
        for (const auto& [place, i] : place_of) {
          if (place.first == row) value[i] = kNegInf;
        }
      }
      float& score = value[place_of[{row, edit.id}]];
      score = Edited(score, edit);
    }
  }
  if (!forced.empty()) scores.index_fill_(0, Indices(forced, scores), kNegInf);
  flat.index_copy_(0, index, values.to(scores.device()));
}

absl::Status NotFinite(std::size_t row) {
  return absl::InternalError(absl::StrCat("the model's logits of row ", row, " are not finite"));
}

absl::Status SelectGeneric(const at::Tensor& logits, absl::Span<const RowRequest* const> requests,
                           std::vector<RowResult>* results) {
  ApplyEdits(requests, ScoreSpace::kLogits, logits);
  const at::Tensor sums = at::logsumexp(logits, 1, /*keepdim=*/true);
  // With everything banned there is nothing to subtract: -inf stays -inf.
  logits.sub_(at::where(sums == kNegInf, at::zeros_like(sums), sums));
  ApplyEdits(requests, ScoreSpace::kLogProbs, logits);

  int most = 1;
  for (const RowRequest* request : requests) most = std::max(most, request->num_best);
  most = std::min(most, static_cast<int>(logits.size(1)));
  const auto [values, ids] = at::topk(logits, most, 1, /*largest=*/true, /*sorted=*/true);
  const at::Tensor host_sums = sums.to(at::kCPU);
  const at::Tensor host_values = values.to(at::kCPU).contiguous();
  const at::Tensor host_ids = ids.to(at::kCPU).contiguous();
  const float* sum = host_sums.const_data_ptr<float>();
  const float* value = host_values.const_data_ptr<float>();
  const std::int64_t* id = host_ids.const_data_ptr<std::int64_t>();
  for (std::size_t row = 0; row < requests.size(); ++row) {
    RowResult& result = (*results)[row];
    result.log_sum_exp = sum[row];
    if (!(sum[row] < -kNegInf)) return NotFinite(row);
    for (int i = 0; i < std::min(most, requests[row]->num_best); ++i) {
      result.best.push_back({static_cast<decoding::TokenId>(id[row * most + i]), value[row * most + i]});
    }
    if (requests[row]->full_row) {
      const at::Tensor full = logits[static_cast<std::int64_t>(row)].to(at::kCPU).contiguous();
      result.full_row.assign(full.const_data_ptr<float>(), full.const_data_ptr<float>() + full.numel());
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Select(const at::Tensor& logits, absl::Span<const RowRequest* const> requests, bool generic,
                    std::vector<RowResult>* results) {
  results->clear();
  results->resize(requests.size());
  if (generic || !logits.is_cpu()) return SelectGeneric(logits, requests, results);
  CpuAnswerRows(logits.mutable_data_ptr<float>(), static_cast<int>(logits.size(1)), requests, results->data());
  for (std::size_t row = 0; row < requests.size(); ++row) {
    if (!((*results)[row].log_sum_exp < -kNegInf)) return NotFinite(row);
  }
  return absl::OkStatus();
}

}  // namespace petit::torch_executor
