#include "models/distill/task_group.h"

#include <ATen/ATen.h>

#include <chrono>
#include <exception>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <vector>

#include "absl/strings/str_cat.h"

namespace petit::distill {
namespace {

class GlooGroup final : public TaskGroup {
 public:
  explicit GlooGroup(const TaskGroupOptions& options) : rank_(options.rank), size_(options.size) {
    const std::chrono::milliseconds timeout(absl::ToInt64Milliseconds(options.timeout));
    auto store = c10::make_intrusive<c10d::FileStore>(options.rendezvous_file, options.size);
    store->setTimeout(timeout);
    auto gloo = c10d::ProcessGroupGloo::Options::create(timeout);
    gloo->devices.push_back(c10d::ProcessGroupGloo::createDefaultDevice());
    group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank_, size_, gloo);
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  absl::Status Sum(at::Tensor* tensor) override {
    try {
      std::vector<at::Tensor> host = {tensor->to(at::kCPU).contiguous()};
      group_->allreduce(host)->wait();
      if (!host[0].is_same(*tensor)) tensor->copy_(host[0]);
      return absl::OkStatus();
    } catch (const std::exception& error) {
      return absl::UnavailableError(
          absl::StrCat("task ", rank_, " of ", size_, ": another task is gone: ", error.what()));
    }
  }

 private:
  const int rank_;
  const int size_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TaskGroup>> JoinTasks(const TaskGroupOptions& options) {
  try {
    return std::make_unique<GlooGroup>(options);
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("task ", options.rank, " of ", options.size, ": the others did not come: ", error.what()));
  }
}

}  // namespace petit::distill
