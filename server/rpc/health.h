// What grpc.health.v1 answers.
#ifndef PETIT_SERVER_RPC_HEALTH_H_
#define PETIT_SERVER_RPC_HEALTH_H_

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/health_check_service_interface.h"
#include "server/config/settings.h"
#include "server/registry/registry.h"

namespace petit::serving {

// Names: "liveness" is always SERVING; "models/NAME" while a version of the model is served; "",
// "petit.v1.TranslationService" and "inference.GRPCInferenceService" once every model that the configuration wants
// loaded has been (a model that an operator unloads later does not make the server unready, one that is lost by a
// failure does); "petit.v1.ModelService" from the start, "petit.v1.JobService" too where jobs are configured. While
// draining all but "liveness" are NOT_SERVING.
// Thread-safe.
class Health {
 public:
  Health(const std::vector<ModelSettings>& models, bool with_jobs);

  // Sets all names on the service, and keeps them up to date until Detach.
  void Attach(grpc::HealthCheckServiceInterface* service);
  void Detach();

  // The registry's listener.
  void OnModelStatus(const ModelStatus& status);
  void StartDraining();

  bool ready() const;

 private:
  struct Model {
    bool required = false;
    bool was_served = false;
    bool served = false;
    bool blocks_readiness = false;
  };

  bool ReadyLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const bool with_jobs_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Model> models_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::HealthCheckServiceInterface* service_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_HEALTH_H_
