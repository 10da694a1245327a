#include "models/distill/teacher_source.h"

#include <ATen/ATen.h>

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"

namespace petit::distill {
namespace {

// The rows of one example, out of those of a batch.
CachedExample Slice(const TeacherTargets& targets, std::int64_t first, std::int64_t tokens) {
  const auto copy = [&](const at::Tensor& from, auto* to) {
    using T = typename std::remove_pointer_t<decltype(to)>::value_type;
    const at::Tensor part = from.narrow(0, first, tokens).to(at::kCPU).contiguous();
    to->assign(part.const_data_ptr<T>(), part.const_data_ptr<T>() + part.numel());
  };
  CachedExample example;
  copy(targets.top_ids, &example.ids);
  copy(targets.top_log_probs, &example.log_probs);
  copy(targets.rest_log_probs, &example.rest);
  return example;
}

}  // namespace

TeacherSource::TeacherSource(Loader loader, int top_k, std::string cache_directory, std::string identity)
    : loader_(std::move(loader)),
      top_k_(top_k),
      directory_(std::move(cache_directory)),
      identity_(std::move(identity)) {}

absl::StatusOr<Teacher*> TeacherSource::Load() {
  if (teacher_ == nullptr) {
    absl::StatusOr<std::unique_ptr<Teacher>> teacher = loader_();
    if (!teacher.ok()) return teacher.status();
    teacher_ = *std::move(teacher);
  }
  return teacher_.get();
}

absl::StatusOr<TeacherCache*> TeacherSource::CacheOf(double temperature) {
  std::unique_ptr<TeacherCache>& cache = caches_[temperature];
  if (cache == nullptr) {
    auto opened =
        TeacherCache::Open(absl::StrFormat("%s/%s-t%g-k%d.cache", directory_, identity_, temperature, top_k_), top_k_);
    if (!opened.ok()) return opened.status();
    cache = *std::move(opened);
  }
  return cache.get();
}

absl::StatusOr<TeacherOutputs> TeacherSource::Get(const Batch& batch, double temperature, bool want_encoded) {
  if (top_k_ == 0 || want_encoded) {
    const absl::StatusOr<Teacher*> teacher = Load();
    if (!teacher.ok()) return teacher.status();
    return (*teacher)->Run(batch, temperature, top_k_, want_encoded);
  }
  const absl::StatusOr<TeacherCache*> cache = CacheOf(temperature);
  if (!cache.ok()) return cache.status();
  std::vector<const Example*> missing;
  for (const Example* example : batch.examples) {
    if (!(*cache)->Contains(example->key)) missing.push_back(example);
  }
  if (!missing.empty()) {
    const absl::StatusOr<Teacher*> teacher = Load();
    if (!teacher.ok()) return teacher.status();
    const Batch part = MakeBatch(missing, batch.inputs[0]);
    const TeacherOutputs outputs = (*teacher)->Run(part, temperature, top_k_, false);
    std::int64_t first = 0;
    for (const Example* example : missing) {
      const auto tokens = static_cast<std::int64_t>(example->target.size());
      if (absl::Status status = (*cache)->Add(example->key, Slice(outputs.targets, first, tokens)); !status.ok()) {
        return status;
      }
      first += tokens;
    }
  }
  // From the cache even what was computed just now: the numbers do not depend on what it held before.
  TeacherOutputs outputs;
  const std::int64_t tokens = batch.target_tokens();
  outputs.targets.top_ids = at::empty({tokens, top_k_}, at::kInt);
  outputs.targets.top_log_probs = at::empty({tokens, top_k_}, at::kFloat);
  outputs.targets.rest_log_probs = at::empty({tokens}, at::kFloat);
  std::int64_t first = 0;
  for (const Example* example : batch.examples) {
    const absl::StatusOr<CachedExample> cached = (*cache)->Read(example->key);
    if (!cached.ok()) return cached.status();
    const std::int64_t at = first * top_k_;
    std::memcpy(outputs.targets.top_ids.mutable_data_ptr<std::int32_t>() + at, cached->ids.data(),
                cached->ids.size() * 4);
    std::memcpy(outputs.targets.top_log_probs.mutable_data_ptr<float>() + at, cached->log_probs.data(),
                cached->log_probs.size() * 4);
    std::memcpy(outputs.targets.rest_log_probs.mutable_data_ptr<float>() + first, cached->rest.data(),
                cached->rest.size() * 4);
    first += static_cast<std::int64_t>(example->target.size());
  }
  return outputs;
}

absl::Status TeacherSource::Flush() {
  for (auto& [temperature, cache] : caches_) {
    if (absl::Status status = cache->Flush(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace petit::distill
