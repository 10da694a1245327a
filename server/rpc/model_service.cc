#include "server/rpc/model_service.h"

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/rpc/server_info.h"
#include "server/rpc/simple_call.h"
#include "server/rpc/translate_options.h"

namespace petit::serving {
namespace {

v1::ModelState ToProto(VersionState state) {
  switch (state) {
    case VersionState::kUnloaded:
      return v1::MODEL_STATE_UNLOADED;
    case VersionState::kLoading:
      return v1::MODEL_STATE_LOADING;
    case VersionState::kReady:
      return v1::MODEL_STATE_READY;
    case VersionState::kUnloading:
      return v1::MODEL_STATE_UNLOADING;
    case VersionState::kFailed:
      return v1::MODEL_STATE_FAILED;
  }
  return v1::MODEL_STATE_UNSPECIFIED;
}

void ToProto(const VersionStatus& status, const std::string& model, v1::ModelVersion* proto) {
  proto->set_name(absl::StrCat(model, "/versions/", status.version));
  proto->set_version(status.version);
  proto->set_state(ToProto(status.state));
  proto->set_error(status.error);
  proto->set_executor(status.info.executor);
  proto->set_precision(status.info.precision);
  proto->set_device(status.info.device);
  proto->set_parameters(status.info.parameters);
  proto->set_bytes_in_memory(status.info.weight_bytes);
  proto->set_replicas(status.replicas);
  proto->set_bytes_on_disk(status.bytes_on_disk);
  proto->set_digest(status.digest);
  if (status.loaded_at != absl::InfinitePast()) {
    const std::int64_t nanoseconds = absl::ToUnixNanos(status.loaded_at);
    proto->mutable_loaded_at()->set_seconds(nanoseconds / 1'000'000'000);
    proto->mutable_loaded_at()->set_nanos(static_cast<std::int32_t>(nanoseconds % 1'000'000'000));
  }
}

// "models/NAME" or "NAME", without a version: these methods have a field for it.
absl::StatusOr<std::string> ModelName(const std::string& name, CallContext* context) {
  absl::StatusOr<ModelReference> reference = ParseModelReference(name);
  if (!reference.ok()) return reference.status();
  context->set_model(reference->name);
  if (reference->version != 0) {
    return absl::InvalidArgumentError("name has a version; give the model's name alone, and the version in its field");
  }
  return reference->name;
}

absl::Status CheckVersion(std::int64_t version, std::int64_t lowest) {
  if (version >= lowest) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("version is ", version, "; it must be at least ", lowest));
}

absl::StatusOr<v1::Model> Answer(const absl::StatusOr<ModelStatus>& status) {
  if (!status.ok()) return status.status();
  return ToProto(*status);
}

// The handler of a method that changes one model.
template <class Request>
auto Change(absl::StatusOr<ModelStatus> (Registry::*operation)(std::string_view, std::int64_t), Registry* registry,
            std::int64_t lowest_version) {
  return [=](const Request& request, CallContext* context) -> absl::StatusOr<v1::Model> {
    const absl::StatusOr<std::string> name = ModelName(request.name(), context);
    if (!name.ok()) return name.status();
    if (absl::Status status = CheckVersion(request.version(), lowest_version); !status.ok()) return status;
    return Answer((registry->*operation)(*name, request.version()));
  };
}

}  // namespace

v1::Model ToProto(const ModelStatus& status) {
  v1::Model proto;
  proto.set_name(absl::StrCat("models/", status.name));
  proto.set_state(ToProto(status.state));
  proto.set_served_version(status.served_version);
  for (const VersionStatus& version : status.versions) ToProto(version, proto.name(), proto.add_versions());
  for (const Prompt& prompt : status.prompts) {
    v1::LanguagePair* pair = proto.add_language_pairs();
    pair->set_source(prompt.source_language);
    pair->set_target(prompt.target_language);
    pair->set_prompt(prompt.prefix);
  }
  *proto.mutable_default_decoding() = ToProto(status.default_decoding);
  return proto;
}

grpc::ServerUnaryReactor* ModelServiceImpl::ListModels(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  using Call = SimpleCall<v1::ListModelsRequest, v1::ListModelsResponse>;
  return Call::Start("ListModels", environment_, context, request, response, nullptr,
                     [registry = environment_.registry](const v1::ListModelsRequest&, CallContext*) {
                       v1::ListModelsResponse models;
                       for (const ModelStatus& status : registry->List()) *models.add_models() = ToProto(status);
                       return models;
                     });
}

grpc::ServerUnaryReactor* ModelServiceImpl::GetModel(grpc::CallbackServerContext* context,
                                                     const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  using Call = SimpleCall<v1::GetModelRequest, v1::Model>;
  return Call::Start("GetModel", environment_, context, request, response, nullptr,
                     [registry = environment_.registry](const v1::GetModelRequest& get,
                                                        CallContext* call) -> absl::StatusOr<v1::Model> {
                       const absl::StatusOr<std::string> name = ModelName(get.name(), call);
                       if (!name.ok()) return name.status();
                       return Answer(registry->Get(*name));
                     });
}

grpc::ServerUnaryReactor* ModelServiceImpl::LoadModel(grpc::CallbackServerContext* context,
                                                      const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return SimpleCall<v1::LoadModelRequest, v1::Model>::Start(
      "LoadModel", environment_, context, request, response, environment_.admin,
      Change<v1::LoadModelRequest>(&Registry::Load, environment_.registry, 0));
}

grpc::ServerUnaryReactor* ModelServiceImpl::UnloadModel(grpc::CallbackServerContext* context,
                                                        const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  return SimpleCall<v1::UnloadModelRequest, v1::Model>::Start(
      "UnloadModel", environment_, context, request, response, environment_.admin,
      Change<v1::UnloadModelRequest>(&Registry::Unload, environment_.registry, 0));
}

grpc::ServerUnaryReactor* ModelServiceImpl::SetServedVersion(grpc::CallbackServerContext* context,
                                                             const grpc::ByteBuffer* request,
                                                             grpc::ByteBuffer* response) {
  return SimpleCall<v1::SetServedVersionRequest, v1::Model>::Start(
      "SetServedVersion", environment_, context, request, response, environment_.admin,
      Change<v1::SetServedVersionRequest>(&Registry::SetServedVersion, environment_.registry, 1));
}

grpc::ServerUnaryReactor* ModelServiceImpl::GetServerInfo(grpc::CallbackServerContext* context,
                                                          const grpc::ByteBuffer* request, grpc::ByteBuffer* response) {
  using Call = SimpleCall<v1::GetServerInfoRequest, v1::ServerInfo>;
  return Call::Start("GetServerInfo", environment_, context, request, response, nullptr,
                     [environment = &environment_](const v1::GetServerInfoRequest&, CallContext*) {
                       return WithCounts(environment->about, environment->traffic->Now());
                     });
}

}  // namespace petit::serving
