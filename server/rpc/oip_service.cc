#include "server/rpc/oip_service.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rpc/health.h"
#include "server/rpc/message_io.h"
#include "server/rpc/oip_request.h"
#include "server/rpc/simple_call.h"
#include "server/rpc/translate_call.h"

namespace petit::serving {
namespace {

class InferFormat final : public TranslateFormat {
 public:
  std::string_view method() const override { return "ModelInfer"; }
  // The protocol has no place for an element's error.
  bool all_or_nothing() const override { return true; }
  absl::Status Parse(const grpc::ByteBuffer& bytes, v1::TranslateRequest* request) override {
    inference::ModelInferRequest message;
    if (absl::Status status = ParseMessage(bytes, &message); !status.ok()) return status;
    absl::StatusOr<InferRequest> read = ReadInferRequest(message);
    if (!read.ok()) return read.status();
    *request = std::move(read->translate);
    reply_ = std::move(read->reply);
    return absl::OkStatus();
  }
  void Complete(const ModelSettings& model, v1::TranslateOptions* options) const override {
    CompleteLanguages(model, options);
  }
  grpc::ByteBuffer Answer(const v1::TranslateResponse& response) const override {
    return SerializeMessage(MakeInferResponse(reply_, response));
  }

 private:
  InferReply reply_;
};

// Pins the version that ModelInfer would use.
absl::StatusOr<ModelHandle> Find(const Registry& registry, const std::string& name, const std::string& version,
                                 CallContext* call) {
  const absl::StatusOr<std::string> text = InferModelReference(name, version);
  if (!text.ok()) return text.status();
  const absl::StatusOr<ModelReference> reference = ParseModelReference(*text);
  if (!reference.ok()) return reference.status();
  call->set_model(reference->name);
  return registry.Acquire(reference->name, reference->version);
}

template <class Tensors>
void Describe(absl::Span<const InferTensor> tensors, Tensors* described) {
  for (const InferTensor& tensor : tensors) {
    auto* added = described->Add();
    added->set_name(tensor.name);
    added->set_datatype(tensor.datatype);
    added->add_shape(-1);
  }
}

}  // namespace

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerLive(grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request,
                                                           grpc::ByteBuffer* response) {
  using Call = SimpleCall<inference::ServerLiveRequest, inference::ServerLiveResponse>;
  return Call::Start(
      "ServerLive", environment_, context, request, response, nullptr,
      [](const inference::ServerLiveRequest&, CallContext*) {
        inference::ServerLiveResponse live;
        live.set_live(true);
        return live;
      },
      Call::Draining::kServed);
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerReady(grpc::CallbackServerContext* context,
                                                            const grpc::ByteBuffer* request,
                                                            grpc::ByteBuffer* response) {
  using Call = SimpleCall<inference::ServerReadyRequest, inference::ServerReadyResponse>;
  return Call::Start(
      "ServerReady", environment_, context, request, response, nullptr,
      [health = environment_.health](const inference::ServerReadyRequest&, CallContext*) {
        inference::ServerReadyResponse ready;
        ready.set_ready(health->ready());
        return ready;
      },
      Call::Draining::kServed);
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelReady(grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request,
                                                           grpc::ByteBuffer* response) {
  using Call = SimpleCall<inference::ModelReadyRequest, inference::ModelReadyResponse>;
  return Call::Start(
      "ModelReady", environment_, context, request, response, nullptr,
      [registry = environment_.registry](const inference::ModelReadyRequest& asked,
                                         CallContext* call) -> absl::StatusOr<inference::ModelReadyResponse> {
        const absl::Status found = Find(*registry, asked.name(), asked.version(), call).status();
        if (!found.ok() && !absl::IsUnavailable(found)) return found;
        inference::ModelReadyResponse ready;
        ready.set_ready(found.ok() && !call->environment().calls->draining());
        return ready;
      },
      Call::Draining::kServed);
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ServerMetadata(grpc::CallbackServerContext* context,
                                                               const grpc::ByteBuffer* request,
                                                               grpc::ByteBuffer* response) {
  using Call = SimpleCall<inference::ServerMetadataRequest, inference::ServerMetadataResponse>;
  return Call::Start("ServerMetadata", environment_, context, request, response, nullptr,
                     [build = environment_.about.build()](const inference::ServerMetadataRequest&, CallContext*) {
                       inference::ServerMetadataResponse metadata;
                       metadata.set_name("petit");
                       metadata.set_version(build);
                       return metadata;
                     });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelMetadata(grpc::CallbackServerContext* context,
                                                              const grpc::ByteBuffer* request,
                                                              grpc::ByteBuffer* response) {
  using Call = SimpleCall<inference::ModelMetadataRequest, inference::ModelMetadataResponse>;
  return Call::Start(
      "ModelMetadata", environment_, context, request, response, nullptr,
      [registry = environment_.registry](const inference::ModelMetadataRequest& asked,
                                         CallContext* call) -> absl::StatusOr<inference::ModelMetadataResponse> {
        const absl::StatusOr<ModelHandle> model = Find(*registry, asked.name(), asked.version(), call);
        if (!model.ok()) return model.status();
        const absl::StatusOr<ModelStatus> status = registry->Get((*model)->settings.name);
        if (!status.ok()) return status.status();
        inference::ModelMetadataResponse metadata;
        metadata.set_name(asked.name());
        for (const VersionStatus& version : status->versions) {
          if (version.state == VersionState::kReady) metadata.add_versions(absl::StrCat(version.version));
        }
        metadata.set_platform("petit_t5");
        Describe(InferInputs(), metadata.mutable_inputs());
        Describe(InferOutputs(), metadata.mutable_outputs());
        return metadata;
      });
}

grpc::ServerUnaryReactor* InferenceServiceImpl::ModelInfer(grpc::CallbackServerContext* context,
                                                           const grpc::ByteBuffer* request,
                                                           grpc::ByteBuffer* response) {
  return TranslateCall::Start(std::make_unique<InferFormat>(), environment_, context, request, response);
}

}  // namespace petit::serving
