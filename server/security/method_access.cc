#include "server/security/method_access.h"

#include <map>

namespace petit::serving {
namespace {

constexpr MethodAccess kHealth = {.is_health = true, .role = std::nullopt};
constexpr MethodAccess kAnyClient = {};
constexpr MethodAccess Needs(Role role) { return {.is_health = false, .role = role}; }

const std::map<std::string_view, MethodAccess>& Table() {
  static const auto* const kTable = new std::map<std::string_view, MethodAccess>{
      {"/petit.v1.TranslationService/Translate", Needs(Role::kTranslate)},
      {"/petit.v1.TranslationService/StreamTranslate", Needs(Role::kTranslate)},
      {"/petit.v1.TranslationService/Score", Needs(Role::kScore)},
      {"/petit.v1.ModelService/ListModels", kAnyClient},
      {"/petit.v1.ModelService/GetModel", kAnyClient},
      {"/petit.v1.ModelService/GetServerInfo", kAnyClient},
      {"/petit.v1.ModelService/LoadModel", Needs(Role::kOperate)},
      {"/petit.v1.ModelService/UnloadModel", Needs(Role::kOperate)},
      {"/petit.v1.ModelService/SetServedVersion", Needs(Role::kOperate)},
      {"/petit.v1.JobService/CreateJob", Needs(Role::kTrain)},
      {"/petit.v1.JobService/GetJob", Needs(Role::kTrain)},
      {"/petit.v1.JobService/ListJobs", Needs(Role::kTrain)},
      {"/petit.v1.JobService/CancelJob", Needs(Role::kTrain)},
      {"/petit.v1.JobService/DeleteJob", Needs(Role::kTrain)},
      {"/petit.v1.JobService/PublishStudent", Needs(Role::kTrain)},
      {"/petit.v1.JobService/WatchJob", Needs(Role::kTrain)},
      {"/inference.GRPCInferenceService/ServerLive", kAnyClient},
      {"/inference.GRPCInferenceService/ServerReady", kAnyClient},
      {"/inference.GRPCInferenceService/ModelReady", kAnyClient},
      {"/inference.GRPCInferenceService/ServerMetadata", kAnyClient},
      {"/inference.GRPCInferenceService/ModelMetadata", kAnyClient},
      {"/inference.GRPCInferenceService/ModelInfer", Needs(Role::kTranslate)},
      {"/grpc.health.v1.Health/Check", kHealth},
      {"/grpc.health.v1.Health/Watch", kHealth},
      {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", kAnyClient},
  };
  return *kTable;
}

}  // namespace

std::optional<MethodAccess> AccessOf(std::string_view path) {
  const auto found = Table().find(path);
  if (found == Table().end()) return std::nullopt;
  return found->second;
}

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kTranslate:
      return "TRANSLATE";
    case Role::kScore:
      return "SCORE";
    case Role::kOperate:
      return "OPERATE";
    case Role::kTrain:
      return "TRAIN";
  }
  return "UNKNOWN";
}

}  // namespace petit::serving
