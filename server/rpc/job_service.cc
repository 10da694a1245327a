#include "server/rpc/job_service.h"

#include "absl/strings/str_cat.h"
#include "server/rpc/simple_call.h"

namespace petit::serving {
namespace {

template <class Reactor>
Reactor* Refuse(const char* method, const Environment& environment, grpc::CallbackServerContext* context) {
  return new RefusedCall<Reactor>(
      method, environment, context,
      absl::UnimplementedError(absl::StrCat(method, ": this server has no trainer, so it runs no distillation jobs")));
}

}  // namespace

grpc::ServerUnaryReactor* JobServiceImpl::CreateJob(grpc::CallbackServerContext* context,
                                                    const v1::CreateJobRequest* /*request*/, v1::Job* /*response*/) {
  return Refuse<grpc::ServerUnaryReactor>("CreateJob", environment_, context);
}

grpc::ServerUnaryReactor* JobServiceImpl::GetJob(grpc::CallbackServerContext* context,
                                                 const v1::GetJobRequest* /*request*/, v1::Job* /*response*/) {
  return Refuse<grpc::ServerUnaryReactor>("GetJob", environment_, context);
}

grpc::ServerUnaryReactor* JobServiceImpl::ListJobs(grpc::CallbackServerContext* context,
                                                   const v1::ListJobsRequest* /*request*/,
                                                   v1::ListJobsResponse* /*response*/) {
  return Refuse<grpc::ServerUnaryReactor>("ListJobs", environment_, context);
}

grpc::ServerUnaryReactor* JobServiceImpl::CancelJob(grpc::CallbackServerContext* context,
                                                    const v1::CancelJobRequest* /*request*/, v1::Job* /*response*/) {
  return Refuse<grpc::ServerUnaryReactor>("CancelJob", environment_, context);
}

grpc::ServerUnaryReactor* JobServiceImpl::DeleteJob(grpc::CallbackServerContext* context,
                                                    const v1::DeleteJobRequest* /*request*/,
                                                    v1::DeleteJobResponse* /*response*/) {
  return Refuse<grpc::ServerUnaryReactor>("DeleteJob", environment_, context);
}

grpc::ServerWriteReactor<v1::JobEvent>* JobServiceImpl::WatchJob(grpc::CallbackServerContext* context,
                                                                 const v1::WatchJobRequest* /*request*/) {
  return Refuse<grpc::ServerWriteReactor<v1::JobEvent>>("WatchJob", environment_, context);
}

}  // namespace petit::serving
