#include "server/rpc/server.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/grpcpp.h"
#include "server/rpc/byte_budget.h"
#include "server/rpc/call_tracker.h"
#include "server/rpc/environment.h"
#include "server/rpc/job_service.h"
#include "server/rpc/listener.h"
#include "server/rpc/model_service.h"
#include "server/rpc/oip_service.h"
#include "server/rpc/server_info.h"
#include "server/rpc/traffic.h"
#include "server/rpc/translation_service.h"
#include "server/rpc/worker_pool.h"
#include "server/security/client_limiter.h"
#include "server/security/security.h"

namespace petit::serving {
namespace {

constexpr int kResponderThreads = 2;
constexpr int kAdminThreads = 4;
constexpr int kWatcherThreads = 2;
constexpr std::size_t kMaxAdminQueue = 32;
constexpr absl::Duration kTick = absl::Seconds(1);
constexpr absl::Duration kDrainTick = absl::Milliseconds(100);
// What connections without calls get to take leave of their clients; usually a round trip is enough.
constexpr absl::Duration kGoodbye = absl::Seconds(1);

// At least 1: gRPC takes 0 for "at once".
int Milliseconds(absl::Duration duration) {
  return static_cast<int>(std::max<std::int64_t>(1, absl::ToInt64Milliseconds(duration)));
}

// Bounds on what a connection may cost. gRPC's own are infinite where these are not set.
void SetConnectionLimits(const RequestLimits& limits, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(limits.max_message_bytes);
  builder->SetMaxSendMessageSize(-1);
  const std::pair<const char*, int> arguments[] = {
      {GRPC_ARG_MAX_METADATA_SIZE, limits.max_metadata_bytes},
      {GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.max_connection_calls},
      {GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 20'000},
      {GRPC_ARG_KEEPALIVE_TIME_MS, 60'000},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000},
      {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
      {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000},
      {GRPC_ARG_MAX_CONNECTION_IDLE_MS, Milliseconds(limits.max_connection_idle)},
      {GRPC_ARG_MAX_CONNECTION_AGE_MS, Milliseconds(limits.max_connection_age)},
      {GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, Milliseconds(limits.connection_age_grace)},
  };
  for (const auto& [name, value] : arguments) builder->AddChannelArgument(name, value);
  grpc::ResourceQuota quota("petit-server");
  quota.Resize(std::max<std::size_t>(std::size_t{512} << 20, std::size_t{32} * limits.max_message_bytes));
  builder->SetResourceQuota(quota);
}

}  // namespace

struct Server::Impl {
  Impl(const ServerSettings& settings, std::unique_ptr<Security> the_security, Registry* registry, Metrics* metrics,
       Health* health, JobApi* jobs)
      : health(health),
        security(std::move(the_security)),
        clients(settings.limits.client),
        budget(settings.limits.max_score_buffer_bytes),
        responders(kResponderThreads),
        admin(kAdminThreads, kMaxAdminQueue),
        watchers(jobs == nullptr ? 0 : kWatcherThreads),
        reloads(settings.tls || settings.auth ? 1 : 0),
        environment{.limits = settings.limits,
                    .registry = registry,
                    .metrics = metrics,
                    .health = health,
                    .calls = &calls,
                    .traffic = &traffic,
                    .responders = &responders,
                    .admin = &admin,
                    .jobs = jobs,
                    .watchers = &watchers,
                    .score_budget = &budget,
                    .security = security.get(),
                    .clients = &clients,
                    .about = DescribeServer()},
        translation(&environment),
        models(&environment),
        job_service(&environment),
        inference(&environment) {}

  void Tick() {
    calls.TickStreams(absl::Now());
    responders.PostAfter(kTick, [this] { Tick(); });
  }

  void ReloadCertificates(absl::Duration interval) {
    reloads.PostAfter(interval, [this, interval] {
      security->ReloadCertificates();
      ReloadCertificates(interval);
    });
  }

  void ReloadClients(absl::Duration interval) {
    reloads.PostAfter(interval, [this, interval] {
      security->ReloadClients();
      ReloadClients(interval);
    });
  }

  Health* health;
  std::unique_ptr<Security> security;
  ClientLimiter clients;
  CallTracker calls;
  Traffic traffic;
  ByteBudget budget;
  WorkerPool responders;
  WorkerPool admin;
  WorkerPool watchers;
  WorkerPool reloads;  // of files, whose disk may be slow
  Environment environment;
  TranslationServiceImpl translation;
  ModelServiceImpl models;
  JobServiceImpl job_service;
  InferenceServiceImpl inference;
  bool drained = false;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor;
  std::unique_ptr<grpc::Server> server;  // ends first: its calls use all of the above
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerSettings& settings, Registry* registry,
                                                      Metrics* metrics, Health* health, JobApi* jobs) {
  absl::StatusOr<std::unique_ptr<Security>> security = Security::Create(settings, metrics);
  if (!security.ok()) return security.status();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  // Reflection describes what is linked in; a descriptor that nobody mentions is not.
  grpc::health::v1::HealthCheckRequest::descriptor();
  auto impl = std::make_unique<Impl>(settings, *std::move(security), registry, metrics, health, jobs);
  grpc::ServerBuilder builder;
  absl::StatusOr<std::unique_ptr<Listener>> listener = Listener::Open(settings.listen);
  if (!listener.ok()) return listener.status();
  impl->acceptor = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD, impl->security->MakeCredentials());
  SetConnectionLimits(settings.limits, &builder);
  builder.experimental().SetInterceptorCreators(impl->security->MakeInterceptors());
  builder.RegisterService(&impl->translation);
  builder.RegisterService(&impl->models);
  builder.RegisterService(&impl->job_service);
  builder.RegisterService(&impl->inference);
  impl->server = builder.BuildAndStart();
  if (impl->server == nullptr) return absl::InternalError("gRPC could not start a server");
  impl->listener = *std::move(listener);
  health->Attach(impl->server->GetHealthCheckService());
  impl->Tick();
  if (settings.tls) impl->ReloadCertificates(settings.tls->reload);
  if (settings.auth && !settings.auth->clients_file.empty()) impl->ReloadClients(settings.auth->reload);
  impl->listener->Start([impl = impl.get(), most = settings.limits.max_open_calls](int from, int connection) {
    // Whoever has a connection is served before more come: under a flood of calls gRPC would read them all in turn.
    if (impl->security->open_calls() >= most) {
      impl->environment.metrics->CountDenied("max_open_calls");
      close(connection);
      return;
    }
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters parameters;
    parameters.listener_fd = from;
    parameters.fd = connection;
    impl->acceptor->HandleNewConnection(&parameters);
  });
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::~Server() {
  if (!impl_->drained) Drain(absl::Now());
  // gRPC is done with all calls. Timers of retries hold some, and so does for a moment the worker that answered them.
  impl_->responders.Stop();
  impl_->calls.WaitForNone(absl::InfiniteFuture());
}

const std::string& Server::address() const { return impl_->listener->address(); }

bool Server::Drain(absl::Time deadline) {
  impl_->drained = true;
  const absl::Time start = absl::Now();
  impl_->calls.StartDraining(start + (deadline - start) / 2);
  impl_->health->StartDraining();
  bool done = false;
  while (true) {
    const absl::Time now = absl::Now();
    impl_->calls.TickStreams(now);
    done = impl_->calls.WaitForNone(std::min(deadline, now + kDrainTick));
    if (done || absl::Now() >= deadline) break;
  }
  if (!done) impl_->calls.StopWaiting();
  impl_->health->Detach();
  impl_->listener->Stop();
  impl_->server->Shutdown(absl::ToChronoTime(absl::Now() + (done ? kGoodbye : absl::ZeroDuration())));
  impl_->server->Wait();
  return done;
}

}  // namespace petit::serving
