// petit.v1.ModelService.
#ifndef PETIT_SERVER_RPC_MODEL_SERVICE_H_
#define PETIT_SERVER_RPC_MODEL_SERVICE_H_

#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "petit/v1/model.grpc.pb.h"
#include "server/registry/registry.h"
#include "server/rpc/environment.h"

namespace petit::serving {

v1::Model ToProto(const ModelStatus& status);

// Takes bytes, see message_io.h. Listing and telling answer at once; what may take long runs on the environment's admin
// pool and is finished even if its client goes away. The environment must outlive the service.
class ModelServiceImpl final
    : public v1::ModelService::WithRawCallbackMethod_ListModels<v1::ModelService::WithRawCallbackMethod_GetModel<
          v1::ModelService::WithRawCallbackMethod_LoadModel<v1::ModelService::WithRawCallbackMethod_UnloadModel<
              v1::ModelService::WithRawCallbackMethod_SetServedVersion<
                  v1::ModelService::WithRawCallbackMethod_GetServerInfo<v1::ModelService::Service>>>>>> {
 public:
  explicit ModelServiceImpl(const Environment* environment) : environment_(*environment) {}

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                       grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* LoadModel(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                      grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* UnloadModel(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                        grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* SetServedVersion(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                             grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* GetServerInfo(grpc::CallbackServerContext* context, const grpc::ByteBuffer* request,
                                          grpc::ByteBuffer* response) override;

 private:
  const Environment& environment_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_MODEL_SERVICE_H_
