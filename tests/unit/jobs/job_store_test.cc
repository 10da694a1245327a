#include "server/jobs/job_store.h"

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/jobs/job_events.h"
#include "tests/unit/jobs/manager_fixture.h"

namespace petit::serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// No file may grow beyond a size: what a full disk or a quota does to the store.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(std::uintmax_t bytes) {
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  ~FileSizeLimit() {
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before_), 0);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
  void (*handler_)(int);
};

class JobStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open() {
    store_.reset();
    auto store = JobStore::Open(directory_.path(), [this](const JobRecord& record, const auto& events) {
      heard_.push_back(absl::StrCat(record.id, ":", events.size()));
    });
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  absl::StatusOr<JobRecord> Create(const std::string& request_id = "", int max_queued = 100) {
    v1::CreateJobRequest request = RequestFor({"a"});
    request.set_request_id(request_id);
    return store_->Create(request, max_queued, ToTimestamp(absl::FromUnixSeconds(5)), [&](const std::string& id) {
      worker::v1::WorkerTask task;
      task.set_job("jobs/" + id);
      *task.mutable_spec() = request.spec();
      task.set_device("cpu");
      return task;
    });
  }

  static JobStore::Change Say(int events) {
    return [events](JobRecord* record, std::vector<v1::JobEvent>* out) {
      record->tail.offset += events;
      for (int i = 0; i < events; ++i) out->push_back(LogEvent(absl::UnixEpoch(), v1::LogLine::INFO, "x"));
      return absl::OkStatus();
    };
  }

  JobsDirectory directory_;
  std::vector<std::string> heard_;
  std::unique_ptr<JobStore> store_;
};

TEST_F(JobStoreTest, EverythingOfAJobComesBack) {
  const std::string id = Create()->id;
  const auto written = store_->Update(id, [](JobRecord* record, std::vector<v1::JobEvent>* /*events*/) {
    record->job.set_state(v1::JOB_STATE_RUNNING);
    record->job.set_attempt(3);
    record->job.set_cancelling(true);
    record->job.mutable_progress()->set_step(9);
    record->stage = Stage::kPublishing;
    record->launched = true;
    record->tail = {123456789012, 77};
    record->outcome.emplace().mutable_finished()->set_best_arm("a");
    record->best_step = 9;
    record->barren_starts = 2;
    record->retry_reason = "why";
    record->publish_version = 12;
    return absl::OkStatus();
  });
  ASSERT_TRUE(written.ok()) << written.status();
  Open();
  const JobRecord record = *store_->Read(id);
  EXPECT_EQ(record.job.SerializeAsString(), written->job.SerializeAsString());
  EXPECT_EQ(record.job.spec().arms(0).name(), "a");
  EXPECT_EQ(record.task.job(), "jobs/" + id);
  EXPECT_EQ(record.stage, Stage::kPublishing);
  EXPECT_TRUE(record.launched);
  EXPECT_EQ(record.tail.offset, 123456789012);
  EXPECT_EQ(record.tail.sequence, 77);
  EXPECT_EQ(record.outcome->finished().best_arm(), "a");
  EXPECT_EQ(record.best_step, 9);
  EXPECT_EQ(record.barren_starts, 2);
  EXPECT_EQ(record.retry_reason, "why");
  EXPECT_EQ(record.publish_version, 12);
}

TEST_F(JobStoreTest, IdsAreForUrlsFilesAndSchedulers) {
  for (int i = 0; i < 20; ++i) {
    const std::string id = Create()->id;
    EXPECT_EQ(id.size(), 12U);
    EXPECT_EQ(id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789"), std::string::npos) << id;
  }
}

TEST_F(JobStoreTest, SequencesAreOfEachJobAndWithoutGaps) {
  const std::string one = Create()->id;
  const std::string two = Create()->id;
  ASSERT_TRUE(store_->Update(one, Say(3)).ok());
  ASSERT_TRUE(store_->Update(two, Say(1)).ok());
  Open();
  ASSERT_TRUE(store_->Update(one, Say(2)).ok());
  const auto events = *store_->Events(one, 0, 100);
  ASSERT_THAT(events, SizeIs(6));
  for (std::size_t i = 0; i < events.size(); ++i) EXPECT_EQ(events[i].sequence(), static_cast<std::int64_t>(i) + 1);
  EXPECT_THAT(*store_->Events(two, 0, 100), SizeIs(2));
  EXPECT_EQ(store_->Read(one)->job.last_sequence(), 6);
}

TEST_F(JobStoreTest, AChangeThatFailsChangesNothing) {
  const std::string id = Create()->id;
  const auto result = store_->Update(id, [](JobRecord* record, std::vector<v1::JobEvent>* events) {
    record->job.set_state(v1::JOB_STATE_FAILED);
    events->emplace_back();
    return absl::CancelledError("no");
  });
  EXPECT_TRUE(absl::IsCancelled(result.status()));
  EXPECT_EQ(store_->Read(id)->job.state(), v1::JOB_STATE_QUEUED);
  EXPECT_THAT(*store_->Events(id, 0, 100), SizeIs(1));
  EXPECT_THAT(heard_, ElementsAre(id + ":1"));
}

TEST_F(JobStoreTest, TheListenerHearsOfWhatIsOnTheDiskOnly) {
  const std::string id = Create()->id;
  ASSERT_TRUE(store_->Update(id, Say(2)).ok());
  EXPECT_FALSE(store_->Update("none", Say(2)).ok());
  EXPECT_THAT(heard_, ElementsAre(id + ":1", id + ":2"));
}

TEST_F(JobStoreTest, AFullDiskStoresNothingHalf) {
  const std::string id = Create("first")->id;
  {
    const FileSizeLimit limit(std::filesystem::file_size(directory_.path() + "/store.sqlite-wal"));
    const auto created = Create("second");
    EXPECT_TRUE(absl::IsResourceExhausted(created.status())) << created.status();
    EXPECT_THAT(std::string(created.status().message()), HasSubstr("free space"));
    EXPECT_TRUE(absl::IsResourceExhausted(store_->Update(id, Say(3)).status()));
    EXPECT_TRUE(store_->Read(id).ok()) << "what is there can still be read";
  }
  EXPECT_THAT(*store_->Page(1000, 10), SizeIs(1));
  EXPECT_EQ(store_->Read(id)->tail.offset, 0);
  EXPECT_THAT(*store_->Events(id, 0, 100), SizeIs(1));
  EXPECT_TRUE(Create("second").ok()) << "once there is space";
  Open();
  EXPECT_THAT(*store_->Page(1000, 10), SizeIs(2));
}

TEST_F(JobStoreTest, AFullDiskAtAnyByteStoresAllOrNothing) {
  int stored = 1;
  ASSERT_TRUE(Create().ok());
  for (int kilobytes = 0; kilobytes < 24; ++kilobytes) {
    {
      const auto size = std::filesystem::file_size(directory_.path() + "/store.sqlite-wal");
      const FileSizeLimit limit(size + static_cast<std::uintmax_t>(kilobytes) * 1024 + 1);
      const auto created = Create();
      if (created.ok()) ++stored;
    }
    Open();
    const auto page = *store_->Page(1000, 1000);
    ASSERT_THAT(page, SizeIs(stored)) << kilobytes;
    for (const JobRecord& record : page) ASSERT_THAT(*store_->Events(record.id, 0, 10), SizeIs(1));
    ASSERT_TRUE(store_->Update(page[0].id, Say(1)).ok());
    ASSERT_TRUE(store_->Remove(page[0].id).code() == absl::StatusCode::kFailedPrecondition);
    // One event again.
    ASSERT_TRUE(store_
                    ->Update(page[0].id,
                             [](JobRecord* record, std::vector<v1::JobEvent>* events) {
                               EndJob(absl::UnixEpoch(), v1::JOB_STATE_CANCELLED, "", {}, record, events);
                               return absl::OkStatus();
                             })
                    .ok());
    ASSERT_TRUE(store_->Remove(page[0].id).ok());
    --stored;
    ASSERT_TRUE(Create().ok());
    ++stored;
  }
}

TEST_F(JobStoreTest, RemovedJobsLeaveTheirFilesToTheTrash) {
  const std::string id = Create("r")->id;
  EXPECT_TRUE(absl::IsFailedPrecondition(store_->Remove(id)));
  const auto end = [](JobRecord* record, std::vector<v1::JobEvent>* events) {
    EndJob(absl::UnixEpoch(), v1::JOB_STATE_CANCELLED, "", {}, record, events);
    return absl::OkStatus();
  };
  ASSERT_TRUE(store_->Update(id, end).ok());
  ASSERT_TRUE(store_->Remove(id).ok());
  Open();
  EXPECT_TRUE(absl::IsNotFound(store_->Read(id).status()));
  EXPECT_THAT(*store_->Events(id, 0, 100), IsEmpty());
  EXPECT_THAT(*store_->Trash(), ElementsAre(id));
  ASSERT_TRUE(store_->EmptiedTrash(id).ok());
  EXPECT_THAT(*store_->Trash(), IsEmpty());
  EXPECT_NE(Create("r")->id, id) << "its request_id is free again";
}

TEST_F(JobStoreTest, TheJobsThatEndedFirstAreTheFirstToGo) {
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(Create()->id);
  const std::vector<int> end_seconds = {30, 10, 20, 0};  // the last does not end
  for (int i = 0; i < 3; ++i) {
    const auto end = [&](JobRecord* record, std::vector<v1::JobEvent>* events) {
      EndJob(absl::FromUnixSeconds(end_seconds[i]), v1::JOB_STATE_FAILED, "why", {}, record, events);
      return absl::OkStatus();
    };
    ASSERT_TRUE(store_->Update(ids[i], end).ok());
  }
  EXPECT_THAT(*store_->EndedBeyond(1), ElementsAre(ids[1], ids[2]));
  EXPECT_THAT(*store_->EndedBeyond(0), ElementsAre(ids[1], ids[2], ids[0]));
  EXPECT_THAT(*store_->EndedBeyond(3), IsEmpty());
}

TEST_F(JobStoreTest, AStoreOfANewerServerIsNotTouched) {
  store_.reset();
  {
    auto database = Database::Open(directory_.path() + "/store.sqlite");
    ASSERT_TRUE((*database)->Execute("PRAGMA user_version = 99").ok());
  }
  const auto store = JobStore::Open(directory_.path(), [](const JobRecord&, const std::vector<v1::JobEvent>&) {});
  EXPECT_TRUE(absl::IsFailedPrecondition(store.status())) << store.status();
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("newer server"));
}

}  // namespace
}  // namespace petit::serving
