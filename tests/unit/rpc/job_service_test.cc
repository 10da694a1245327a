#include <gmock/gmock.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/rpc/watch_call.h"
#include "tests/unit/rpc/fake_jobs.h"
#include "tests/unit/rpc/server_fixture.h"

namespace petit::serving {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class JobServiceTest : public ServerTest {
 protected:
  JobServiceTest() { job_api_ = &fake_; }
  ~JobServiceTest() override { Stop(); }

  grpc::Status Create(const v1::CreateJobRequest& request, v1::Job* job) {
    grpc::ClientContext context;
    return jobs_->CreateJob(&context, request, job);
  }
  grpc::Status Get(const std::string& name, v1::Job* job) {
    grpc::ClientContext context;
    v1::GetJobRequest request;
    request.set_name(name);
    return jobs_->GetJob(&context, request, job);
  }

  FakeJobs fake_;
};

// A WatchJob, read by the test.
class Watch {
 public:
  Watch(v1::JobService::Stub* stub, const std::string& name, std::int64_t after_sequence = 0,
        std::chrono::system_clock::time_point deadline = std::chrono::system_clock::time_point::max()) {
    context.set_deadline(deadline);
    v1::WatchJobRequest request;
    request.set_name(name);
    request.set_after_sequence(after_sequence);
    reader_ = stub->WatchJob(&context, request);
  }

  // The next event's sequence number; 0 at the end.
  std::int64_t Next() {
    v1::JobEvent event;
    return reader_->Read(&event) ? event.sequence() : 0;
  }
  // Reads on to the end, and returns the number of events; they must follow `last`.
  int ReadAll(std::int64_t last = 0) {
    int events = 0;
    while (const std::int64_t next = Next()) {
      EXPECT_EQ(next, last + 1);
      last = next;
      ++events;
    }
    return events;
  }
  grpc::Status Finish() { return reader_->Finish(); }

  grpc::ClientContext context;

 private:
  std::unique_ptr<grpc::ClientReader<v1::JobEvent>> reader_;
};

TEST_F(JobServiceTest, MethodsReachTheJobs) {
  Start();
  v1::CreateJobRequest create;
  create.set_request_id("one");
  create.mutable_spec()->set_teacher("teacher");
  v1::Job job;
  ASSERT_TRUE(Create(create, &job).ok());
  EXPECT_EQ(job.name(), "jobs/one");
  EXPECT_EQ(job.spec().teacher(), "teacher");
  create.set_request_id("two");
  ASSERT_TRUE(Create(create, &job).ok());
  ASSERT_TRUE(Get("jobs/one", &job).ok());
  EXPECT_EQ(job.state(), v1::JOB_STATE_QUEUED);
  {
    grpc::ClientContext context;
    v1::ListJobsRequest request;
    request.set_page_size(1);
    v1::ListJobsResponse response;
    ASSERT_TRUE(jobs_->ListJobs(&context, request, &response).ok());
    ASSERT_THAT(response.jobs(), SizeIs(1));
    EXPECT_EQ(response.jobs(0).name(), "jobs/one");
    EXPECT_EQ(response.next_page_token(), "jobs/two");
  }
  {
    grpc::ClientContext context;
    v1::CancelJobRequest request;
    request.set_name("jobs/one");
    ASSERT_TRUE(jobs_->CancelJob(&context, request, &job).ok());
    EXPECT_EQ(job.state(), v1::JOB_STATE_CANCELLED);
  }
  {
    grpc::ClientContext context;
    v1::PublishStudentRequest request;
    request.set_name("jobs/one");
    request.set_arm("a");
    request.set_publish_as("student");
    ASSERT_TRUE(jobs_->PublishStudent(&context, request, &job).ok());
    EXPECT_EQ(job.students(0).arm(), "a");
    EXPECT_EQ(job.students(0).published_as(), "student/1");
  }
  {
    grpc::ClientContext context;
    v1::DeleteJobRequest request;
    request.set_name("jobs/one");
    v1::DeleteJobResponse response;
    ASSERT_TRUE(jobs_->DeleteJob(&context, request, &response).ok());
    EXPECT_FALSE(Trailer(context, "x-request-id").empty());
  }
  EXPECT_EQ(Get("jobs/one", &job).error_code(), grpc::StatusCode::NOT_FOUND);
  Stop();
  EXPECT_EQ(Counted("GetJob", "unknown", "OK"), "1");
  EXPECT_EQ(Counted("GetJob", "unknown", "NOT_FOUND"), "1");
}

TEST_F(JobServiceTest, ErrorsKeepTheirCodeAndMessage) {
  Start();
  v1::CreateJobRequest create;
  create.mutable_spec()->set_teacher("nobody");
  v1::Job job;
  const grpc::Status status = Create(create, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("teacher: there is no model 'nobody'"));
  EXPECT_THAT(status.error_message(), HasSubstr("[request "));
}

TEST_F(JobServiceTest, BadUtf8IsNamedByItsField) {
  Start();
  v1::CreateJobRequest create;
  create.mutable_spec()->add_train()->set_path("good");
  create.mutable_spec()->add_train()->set_path("b\xff");
  v1::Job job;
  const grpc::Status status = Create(create, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("spec.train[1].path: byte 1 is not valid UTF-8"));
  grpc::ClientContext context;
  v1::PublishStudentRequest publish;
  publish.set_arm("\xff");
  const grpc::Status published = jobs_->PublishStudent(&context, publish, &job);
  EXPECT_EQ(published.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(published.error_message(), HasSubstr("arm: byte 0 is not valid UTF-8"));
  Watch watch(jobs_.get(), "jobs/\xff");
  EXPECT_EQ(watch.Next(), 0);
  EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(JobServiceTest, WithoutJobsEveryMethodSaysWhatToConfigure) {
  job_api_ = nullptr;
  Start();
  std::vector<grpc::Status> statuses;
  const auto call = [&](auto method, auto request, auto response) {
    grpc::ClientContext context;
    statuses.push_back((jobs_.get()->*method)(&context, request, &response));
  };
  using Stub = v1::JobService::Stub;
  call(&Stub::CreateJob, v1::CreateJobRequest(), v1::Job());
  call(&Stub::GetJob, v1::GetJobRequest(), v1::Job());
  call(&Stub::ListJobs, v1::ListJobsRequest(), v1::ListJobsResponse());
  call(&Stub::CancelJob, v1::CancelJobRequest(), v1::Job());
  call(&Stub::DeleteJob, v1::DeleteJobRequest(), v1::DeleteJobResponse());
  call(&Stub::PublishStudent, v1::PublishStudentRequest(), v1::Job());
  Watch watch(jobs_.get(), "jobs/x");
  EXPECT_EQ(watch.Next(), 0);
  statuses.push_back(watch.Finish());
  for (const grpc::Status& status : statuses) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("jobs { root: "));
  }
}

TEST_F(JobServiceTest, AWatchGivesWhatHappenedAndThenWhatHappens) {
  fake_.Happen("jobs/a", 3);
  Start();
  Watch watch(jobs_.get(), "jobs/a");
  for (const std::int64_t sequence : {1, 2, 3}) EXPECT_EQ(watch.Next(), sequence);
  fake_.Happen("jobs/a", 1);
  EXPECT_EQ(watch.Next(), 4);
  fake_.Happen("jobs/other", 5);
  fake_.Happen("jobs/a", 2);
  EXPECT_EQ(watch.Next(), 5);
  EXPECT_EQ(watch.Next(), 6);
  fake_.End("jobs/a");
  EXPECT_EQ(watch.Next(), 0);
  EXPECT_TRUE(watch.Finish().ok());
  EXPECT_FALSE(Trailer(watch.context, "x-request-id").empty());
  fake_.WaitForSubscriptions(0);
}

TEST_F(JobServiceTest, AWatchOfAnEndedJobEnds) {
  fake_.Happen("jobs/a", 3 * WatchCall::kChunk);
  fake_.End("jobs/a");
  Start();
  Watch watch(jobs_.get(), "jobs/a");
  EXPECT_EQ(watch.ReadAll(), 3 * WatchCall::kChunk);
  EXPECT_TRUE(watch.Finish().ok());
}

TEST_F(JobServiceTest, AWatchGoesOnFromASequenceNumber) {
  fake_.Happen("jobs/a", 100);
  fake_.End("jobs/a");
  Start();
  Watch from_90(jobs_.get(), "jobs/a", 90);
  EXPECT_EQ(from_90.ReadAll(90), 10);
  EXPECT_TRUE(from_90.Finish().ok());
  Watch from_the_last(jobs_.get(), "jobs/a", 100);
  EXPECT_EQ(from_the_last.ReadAll(100), 0);
  EXPECT_TRUE(from_the_last.Finish().ok());
}

TEST_F(JobServiceTest, EventsThatComeWhileAWatchIsReadAreNotLost) {
  fake_.Happen("jobs/a", 1);
  Start();
  std::thread writer([this] {
    for (int i = 0; i < 2000; ++i) fake_.Happen("jobs/a", i % 3);
    fake_.End("jobs/a");
  });
  std::vector<std::thread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([this] {
      Watch watch(jobs_.get(), "jobs/a");
      EXPECT_EQ(watch.ReadAll(), 2000);
      EXPECT_TRUE(watch.Finish().ok());
    });
  }
  writer.join();
  for (std::thread& reader : readers) reader.join();
  fake_.WaitForSubscriptions(0);
}

TEST_F(JobServiceTest, BadWatchesAreRefused) {
  fake_.Happen("jobs/a", 1);
  Start();
  Watch unknown(jobs_.get(), "jobs/unknown");
  EXPECT_EQ(unknown.Next(), 0);
  EXPECT_EQ(unknown.Finish().error_code(), grpc::StatusCode::NOT_FOUND);
  Watch negative(jobs_.get(), "jobs/a", -1);
  EXPECT_EQ(negative.Next(), 0);
  const grpc::Status status = negative.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("after_sequence is -1"));
  fake_.WaitForSubscriptions(0);
}

TEST_F(JobServiceTest, AClientThatGoesLeavesNothingBehind) {
  fake_.Happen("jobs/a", 1);
  Start();
  {
    Watch watch(jobs_.get(), "jobs/a");
    EXPECT_EQ(watch.Next(), 1);
    fake_.WaitForSubscriptions(1);
    watch.context.TryCancel();
    EXPECT_EQ(watch.Next(), 0);
    EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  fake_.WaitForSubscriptions(0);
  fake_.Happen("jobs/a", 1);
  Stop();
  EXPECT_EQ(Counted("WatchJob", "unknown", "CANCELLED"), "1");
}

TEST_F(JobServiceTest, AWatchEndsWithItsDeadline) {
  fake_.Happen("jobs/a", 1);
  Start();
  Watch watch(jobs_.get(), "jobs/a", 0, std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  watch.ReadAll();
  EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  fake_.WaitForSubscriptions(0);
}

TEST_F(JobServiceTest, ADrainingServerEndsWatchesAndRefusesCalls) {
  fake_.Happen("jobs/a", 1);
  Start();
  Watch watch(jobs_.get(), "jobs/a");
  EXPECT_EQ(watch.Next(), 1);
  EXPECT_TRUE(server_->Drain(absl::InfiniteFuture()));
  EXPECT_EQ(watch.Next(), 0);
  const grpc::Status status = watch.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("last sequence number"));
  fake_.WaitForSubscriptions(0);
}

TEST_F(JobServiceTest, AClientThatDoesNotReadIsNotReadFor) {
  constexpr int kEvents = 20 * WatchCall::kChunk;
  for (const char* name : {"jobs/slow", "jobs/fast"}) {
    fake_.Happen(name, kEvents, 20'000);
    fake_.End(name);
  }
  Start();
  Watch slow(jobs_.get(), "jobs/slow");
  EXPECT_EQ(slow.Next(), 1);
  // What a stream buffers on its way is much less than two chunks of 1.3 MB.
  Watch fast(jobs_.get(), "jobs/fast");
  EXPECT_EQ(fast.ReadAll(), kEvents);
  EXPECT_LE(fake_.events_read("jobs/slow"), 2 * WatchCall::kChunk);
  EXPECT_EQ(slow.ReadAll(1), kEvents - 1);
  EXPECT_TRUE(slow.Finish().ok());
}

TEST_F(JobServiceTest, ManyWatchesShareTheReaders) {
  fake_.Happen("jobs/a", 1);
  Start();
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 200; ++i) watches.push_back(std::make_unique<Watch>(jobs_.get(), "jobs/a"));
  for (const auto& watch : watches) EXPECT_EQ(watch->Next(), 1);
  fake_.Happen("jobs/a", 1);
  fake_.End("jobs/a");
  for (const auto& watch : watches) {
    EXPECT_EQ(watch->Next(), 2);
    EXPECT_EQ(watch->Next(), 0);
    EXPECT_TRUE(watch->Finish().ok());
  }
  fake_.WaitForSubscriptions(0);
}

TEST_F(JobServiceTest, StoppingTheServerEndsWatches) {
  fake_.Happen("jobs/a", 1);
  Start();
  Watch watch(jobs_.get(), "jobs/a");
  EXPECT_EQ(watch.Next(), 1);
  Stop();
  EXPECT_EQ(watch.Next(), 0);
  EXPECT_FALSE(watch.Finish().ok());
  fake_.WaitForSubscriptions(0);
}

}  // namespace
}  // namespace petit::serving
