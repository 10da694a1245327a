#include "server/jobs/publication.h"

#include <cstdint>
#include <utility>

#include "server/jobs/publisher.h"

namespace petit::serving {

Publication::~Publication() {
  if (thread_.joinable()) thread_.join();
}

std::optional<Publication::Result> Publication::Run(const JobRecord& record) {
  // Nothing but renames, that need not wait for another's version to load.
  if (record.task.spec().publish_as().empty()) return Do(record);
  if (id_.empty()) {
    if (stopped_) return std::nullopt;
    id_ = record.id;
    done_ = false;
    if (aside_) {
      thread_ = std::thread([this, record] {
        result_ = Do(record);
        done_ = true;
      });
    } else {
      result_ = Do(record);
      done_ = true;
    }
  }
  if (id_ != record.id || !done_) return std::nullopt;
  if (thread_.joinable()) thread_.join();
  id_.clear();
  // A failure may be that of a server that ends; the next one tries it again.
  if (stopped_ && !result_.status.ok()) return std::nullopt;
  return std::move(result_);
}

Publication::Result Publication::Do(const JobRecord& record) {
  Result result;
  const auto choose = [this, &record](std::int64_t version) {
    const auto change = [version](JobRecord* job, std::vector<v1::JobEvent>* /*events*/) -> absl::Status {
      if (job->job.cancelling()) return absl::CancelledError("the job is being cancelled");
      job->publish_version = version;
      return absl::OkStatus();
    };
    return store_->Update(record.id, change).status();
  };
  result.status = Publish(record, models_, choose, &result.students);
  return result;
}

}  // namespace petit::serving
