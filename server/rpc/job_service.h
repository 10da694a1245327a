// petit.v1.JobService.
#ifndef PETIT_SERVER_RPC_JOB_SERVICE_H_
#define PETIT_SERVER_RPC_JOB_SERVICE_H_

#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "petit/v1/job.grpc.pb.h"
#include "server/rpc/environment.h"

namespace petit::serving {

// Takes bytes, see message_io.h. What the job manager does may take long: it runs on the environment's admin pool, and
// is finished even if its client goes away. FAILED_PRECONDITION throughout where the environment has no jobs. The
// environment must outlive the service.
class JobServiceImpl final
    : public v1::JobService::WithRawCallbackMethod_CreateJob<v1::JobService::WithRawCallbackMethod_GetJob<
          v1::JobService::WithRawCallbackMethod_ListJobs<v1::JobService::WithRawCallbackMethod_CancelJob<
              v1::JobService::WithRawCallbackMethod_DeleteJob<v1::JobService::WithRawCallbackMethod_PublishStudent<
                  v1::JobService::WithRawCallbackMethod_WatchJob<v1::JobService::Service>>>>>>> {
 public:
  explicit JobServiceImpl(const Environment* environment) : environment_(*environment) {}

  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* DeleteJob(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* PublishStudent(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                           grpc::ByteBuffer* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchJob(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request) override;

 private:
  const Environment& environment_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_JOB_SERVICE_H_
