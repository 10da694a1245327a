// The gRPC server: all services of one process on one port.
#ifndef PETIT_SERVER_RPC_SERVER_H_
#define PETIT_SERVER_RPC_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/settings.h"
#include "server/jobs/job_api.h"
#include "server/metrics/metrics.h"
#include "server/registry/registry.h"
#include "server/rpc/health.h"

namespace petit::serving {

class Server {
 public:
  // Listens on settings.listen and answers from then on; models may load later. UNAVAILABLE: cannot listen there; the
  // message says why. INVALID_ARGUMENT: files of `tls` or `auth` cannot be used. Registry, metrics, health and
  // jobs must outlive the server. Without jobs (null) JobService answers FAILED_PRECONDITION.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerSettings& settings, Registry* registry,
                                                       Metrics* metrics, Health* health, JobApi* jobs);
  // Cancels what is in flight and waits until nothing of it is left.
  ~Server();

  // HOST:PORT as bound.
  const std::string& address() const;

  // Health says NOT_SERVING and new calls get UNAVAILABLE; those in flight go on, streams too (an idle one is ended).
  // Returns when none is left, or cancels what is left at the deadline. Then the port is closed. True if nothing had to
  // be cancelled.
  bool Drain(absl::Time deadline);

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_SERVER_H_
