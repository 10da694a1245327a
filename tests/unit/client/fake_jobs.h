// A job service without a trainer, for the client's tests: jobs do what the test says, when it says so.
#ifndef PETIT_TESTS_UNIT_CLIENT_FAKE_JOBS_H_
#define PETIT_TESTS_UNIT_CLIENT_FAKE_JOBS_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "petit/v1/job.grpc.pb.h"

namespace petit::client {

class FakeJobServer final : public petit::v1::JobService::Service {
 public:
  // Port 0: the kernel chooses. `before` runs before anybody can connect.
  explicit FakeJobServer(int port = 0, const std::function<void(FakeJobServer&)>& before = nullptr);
  ~FakeJobServer() override;

  [[nodiscard]] std::string address() const;  // "127.0.0.1:PORT"
  [[nodiscard]] int port() const { return port_; }
  void Stop();

  // Numbers the event and gives it to the watchers; a state change changes the job, too.
  void AddEvent(const std::string& name, petit::v1::JobEvent event);
  void AddState(const std::string& name, petit::v1::JobState state, const std::string& reason = "");
  void AddLog(const std::string& name, const std::string& text);
  // Adds a job, or puts another in its place; its events stay.
  void SetJob(const petit::v1::Job& job);
  // The next streams end with `status` after so many events each.
  void BreakStreams(std::vector<int> after_events,
                    grpc::Status status = {grpc::StatusCode::UNAVAILABLE, "the server is draining"});
  // The next calls of CreateJob and PublishStudent do their work and then fail, as where the answer is lost.
  void LoseAnswers(int count) { lose_answers = count; }

  // What came in.
  std::atomic<int> create_calls = 0;
  std::atomic<int> cancel_calls = 0;
  std::atomic<int> publish_calls = 0;
  std::atomic<int> list_calls = 0;
  std::atomic<int> watching = 0;
  std::atomic<int> lose_answers = 0;
  std::atomic<int> repeat_events = 0;  // the next stream starts so many events before those it was asked for
  [[nodiscard]] std::vector<std::int64_t> watched_after() const;
  [[nodiscard]] petit::v1::CreateJobRequest last_create() const;
  [[nodiscard]] petit::v1::PublishStudentRequest last_publish() const;
  [[nodiscard]] int job_count() const;

  grpc::Status CreateJob(grpc::ServerContext* context, const petit::v1::CreateJobRequest* request,
                         petit::v1::Job* response) override;
  grpc::Status GetJob(grpc::ServerContext* context, const petit::v1::GetJobRequest* request,
                      petit::v1::Job* response) override;
  grpc::Status ListJobs(grpc::ServerContext* context, const petit::v1::ListJobsRequest* request,
                        petit::v1::ListJobsResponse* response) override;
  grpc::Status CancelJob(grpc::ServerContext* context, const petit::v1::CancelJobRequest* request,
                         petit::v1::Job* response) override;
  grpc::Status DeleteJob(grpc::ServerContext* context, const petit::v1::DeleteJobRequest* request,
                         petit::v1::DeleteJobResponse* response) override;
  // Students of the job become versions 1, 2, ... of any model but "nobody".
  grpc::Status PublishStudent(grpc::ServerContext* context, const petit::v1::PublishStudentRequest* request,
                              petit::v1::Job* response) override;
  grpc::Status WatchJob(grpc::ServerContext* context, const petit::v1::WatchJobRequest* request,
                        grpc::ServerWriter<petit::v1::JobEvent>* writer) override;

 private:
  struct Entry {
    petit::v1::Job job;
    std::vector<petit::v1::JobEvent> events;
  };
  grpc::Status Find(const std::string& name, std::map<std::string, Entry>::iterator* found);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Entry> jobs_;
  std::map<std::string, std::string> request_ids_;  // to names
  std::vector<int> break_after_;
  grpc::Status break_status_;
  std::vector<std::int64_t> watched_after_;
  petit::v1::CreateJobRequest last_create_;
  petit::v1::PublishStudentRequest last_publish_;
  std::map<std::string, std::vector<std::string>> versions_;  // of a model: "jobs/ID ARM" of each
  bool stopping_ = false;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace petit::client

#endif  // PETIT_TESTS_UNIT_CLIENT_FAKE_JOBS_H_
