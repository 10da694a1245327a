// What all calls of a server share. Outlives them.
#ifndef PETIT_SERVER_RPC_ENVIRONMENT_H_
#define PETIT_SERVER_RPC_ENVIRONMENT_H_

#include "petit/v1/model.pb.h"
#include "server/config/settings.h"
#include "server/jobs/job_api.h"
#include "server/metrics/metrics.h"
#include "server/registry/registry.h"
#include "server/rpc/byte_budget.h"
#include "server/rpc/call_tracker.h"
#include "server/rpc/health.h"
#include "server/rpc/traffic.h"
#include "server/rpc/worker_pool.h"
#include "server/security/client_limiter.h"
#include "server/security/security.h"

namespace petit::serving {

struct Environment {
  RequestLimits limits;
  Registry* registry = nullptr;
  Metrics* metrics = nullptr;
  const Health* health = nullptr;
  CallTracker* calls = nullptr;
  Traffic* traffic = nullptr;
  // Makes answers of what replicas return, so that a replica's worker goes on stepping; keeps the timers of retries.
  WorkerPool* responders = nullptr;
  // Loads and unloads models; runs the methods of JobService.
  WorkerPool* admin = nullptr;
  // Null: the configuration has none.
  JobApi* jobs = nullptr;
  // Reads the events of watched jobs.
  WorkerPool* watchers = nullptr;
  // Of reference log-probabilities on the host.
  ByteBudget* score_budget = nullptr;
  // Who calls, and what each client may take.
  Security* security = nullptr;
  ClientLimiter* clients = nullptr;
  // GetServerInfo's, without its counts.
  v1::ServerInfo about;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_ENVIRONMENT_H_
