#include "server/rpc/health.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "inference/open_inference.grpc.pb.h"
#include "petit/v1/job.grpc.pb.h"
#include "petit/v1/model.grpc.pb.h"
#include "petit/v1/translation.grpc.pb.h"

namespace petit::serving {

Health::Health(const std::vector<ModelSettings>& models, bool with_jobs) : with_jobs_(with_jobs) {
  const absl::MutexLock lock(&mutex_);
  for (const ModelSettings& model : models) {
    models_[model.name] = {.required = !model.load_later, .blocks_readiness = !model.load_later};
  }
}

void Health::Attach(grpc::HealthCheckServiceInterface* service) {
  const absl::MutexLock lock(&mutex_);
  service_ = service;
  Publish();
}

void Health::Detach() {
  const absl::MutexLock lock(&mutex_);
  service_ = nullptr;
}

void Health::OnModelStatus(const ModelStatus& status) {
  const absl::MutexLock lock(&mutex_);
  const auto found = models_.find(status.name);
  if (found == models_.end()) return;
  Model& model = found->second;
  model.served = status.served_version != 0;
  model.was_served = model.was_served || model.served;
  const bool lost = status.state == VersionState::kFailed && !model.served;
  model.blocks_readiness = model.required && (!model.was_served || lost);
  Publish();
}

void Health::StartDraining() {
  const absl::MutexLock lock(&mutex_);
  draining_ = true;
  Publish();
}

bool Health::ready() const {
  const absl::MutexLock lock(&mutex_);
  return ReadyLocked();
}

bool Health::ReadyLocked() const {
  return !draining_ &&
         std::none_of(models_.begin(), models_.end(), [](const auto& model) { return model.second.blocks_readiness; });
}

void Health::Publish() {
  if (service_ == nullptr) return;
  const bool ready = ReadyLocked();
  service_->SetServingStatus("", ready);
  service_->SetServingStatus("liveness", true);
  service_->SetServingStatus(v1::TranslationService::service_full_name(), ready);
  service_->SetServingStatus(inference::GRPCInferenceService::service_full_name(), ready);
  service_->SetServingStatus(v1::ModelService::service_full_name(), !draining_);
  service_->SetServingStatus(v1::JobService::service_full_name(), with_jobs_ && !draining_);
  for (const auto& [name, model] : models_) {
    service_->SetServingStatus(absl::StrCat("models/", name), model.served && !draining_);
  }
}

}  // namespace petit::serving
