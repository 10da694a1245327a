#include "server/rpc/job_service.h"

#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/jobs/job_api.h"
#include "server/rpc/simple_call.h"
#include "server/rpc/watch_call.h"

namespace petit::serving {
namespace {

absl::Status NoJobs() {
  return absl::FailedPreconditionError(
      "this server runs no distillation jobs; its configuration needs jobs { root: \"DIRECTORY OF THE JOBS\" "
      "data_root: \"DIRECTORY OF THE TRAINING DATA\" }");
}

// A call of one method of the job manager.
template <class Request, class Response, class Handler>
grpc::ServerUnaryReactor* Start(std::string_view method, const Environment& environment,
                                grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                grpc::ByteBuffer* response, Handler handler) {
  JobApi* jobs = environment.jobs;
  if (jobs == nullptr) {
    return new RefusedCall<grpc::ServerUnaryReactor>(method, environment, context, NoJobs());
  }
  return SimpleCall<Request, Response>::Start(
      method, environment, context, request, response, environment.admin,
      [jobs, handler](const Request& parsed, CallContext*) -> absl::StatusOr<Response> {
        return handler(jobs, parsed);
      });
}

}  // namespace

grpc::ServerUnaryReactor* JobServiceImpl::CreateJob(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return Start<v1::CreateJobRequest, v1::Job>(
      "CreateJob", environment_, context, request, response,
      [](JobApi* jobs, const v1::CreateJobRequest& create) { return jobs->Create(create); });
}

grpc::ServerUnaryReactor* JobServiceImpl::GetJob(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                                 grpc::ByteBuffer* response) {
  return Start<v1::GetJobRequest, v1::Job>(
      "GetJob", environment_, context, request, response,
      [](const JobApi* jobs, const v1::GetJobRequest& get) { return jobs->Get(get.name()); });
}

grpc::ServerUnaryReactor* JobServiceImpl::ListJobs(grpc::CallbackServerContext* context,
                                                   const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return Start<v1::ListJobsRequest, v1::ListJobsResponse>(
      "ListJobs", environment_, context, request, response,
      [](const JobApi* jobs, const v1::ListJobsRequest& list) { return jobs->List(list); });
}

grpc::ServerUnaryReactor* JobServiceImpl::CancelJob(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return Start<v1::CancelJobRequest, v1::Job>(
      "CancelJob", environment_, context, request, response,
      [](JobApi* jobs, const v1::CancelJobRequest& cancel) { return jobs->Cancel(cancel.name()); });
}

grpc::ServerUnaryReactor* JobServiceImpl::DeleteJob(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return Start<v1::DeleteJobRequest, v1::DeleteJobResponse>(
      "DeleteJob", environment_, context, request, response,
      [](JobApi* jobs, const v1::DeleteJobRequest& remove) -> absl::StatusOr<v1::DeleteJobResponse> {
        if (absl::Status status = jobs->Delete(remove.name()); !status.ok()) return status;
        return v1::DeleteJobResponse();
      });
}

grpc::ServerUnaryReactor* JobServiceImpl::PublishStudent(grpc::CallbackServerContext* context,
                                                         const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return Start<v1::PublishStudentRequest, v1::Job>(
      "PublishStudent", environment_, context, request, response,
      [](JobApi* jobs, const v1::PublishStudentRequest& publish) { return jobs->PublishStudent(publish); });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* JobServiceImpl::WatchJob(grpc::CallbackServerContext* context,
                                                                     const grpc::ByteBuffer* request) {
  if (environment_.jobs == nullptr)
    return new RefusedCall<WatchCall::Reactor>("WatchJob", environment_, context, NoJobs());
  return WatchCall::Start(environment_, context, request);
}

}  // namespace petit::serving
