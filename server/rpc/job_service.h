// petit.v1.JobService of a server without a trainer: every method says so.
#ifndef PETIT_SERVER_RPC_JOB_SERVICE_H_
#define PETIT_SERVER_RPC_JOB_SERVICE_H_

#include "grpcpp/support/server_callback.h"
#include "petit/v1/job.grpc.pb.h"
#include "server/rpc/environment.h"

namespace petit::serving {

// UNIMPLEMENTED throughout. The environment must outlive the service.
class JobServiceImpl final : public v1::JobService::CallbackService {
 public:
  explicit JobServiceImpl(const Environment* environment) : environment_(*environment) {}

  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* context, const v1::CreateJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context, const v1::GetJobRequest* request,
                                   v1::Job* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context, const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context, const v1::CancelJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* DeleteJob(grpc::CallbackServerContext* context, const v1::DeleteJobRequest* request,
                                      v1::DeleteJobResponse* response) override;
  grpc::ServerWriteReactor<v1::JobEvent>* WatchJob(grpc::CallbackServerContext* context,
                                                   const v1::WatchJobRequest* request) override;

 private:
  const Environment& environment_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_JOB_SERVICE_H_
