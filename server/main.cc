// petit-server: serves the configured models over gRPC.

#include <jemalloc/jemalloc.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "models/torch/torch_executor.h"
#include "server/config/config.h"
#include "server/job_metrics.h"
#include "server/job_models.h"
#include "server/jobs/job_manager.h"
#include "server/jobs/launcher.h"
#include "server/loader.h"
#include "server/log.h"
#include "server/metrics/metrics.h"
#include "server/registry/registry.h"
#include "server/rpc/health.h"
#include "server/rpc/server.h"
#include "server/service_manager.h"
#include "server/shutdown_signals.h"
#include "spdlog/spdlog.h"

// What jemalloc reads its settings from. Freed memory goes back to the system after a while, of an idle server too.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "background_thread:true,muzzy_decay_ms:0";
}

namespace petit::serving {
namespace {

constexpr int kBadConfiguration = 2;

// What must end after drain_timeout at the latest, but for this.
constexpr absl::Duration kEndGrace = absl::Seconds(10);

// Logs what changed in a model's state.
class ModelLog {
 public:
  void OnModelStatus(const ModelStatus& status) {
    std::string line;
    for (const VersionStatus& version : status.versions) {
      if (version.state == VersionState::kLoading) absl::StrAppend(&line, " version ", version.version, " is loading;");
      if (version.state == VersionState::kUnloading)
        absl::StrAppend(&line, " version ", version.version, " is unloading;");
      if (version.state == VersionState::kFailed) {
        absl::StrAppend(&line, " version ", version.version, " failed to load: ", version.error, ";");
      }
      if (version.state == VersionState::kReady) {
        absl::StrAppend(&line, " version ", version.version, " is ready: ", version.info.executor, " ",
                        version.info.precision, " on ", version.info.device, ", ", version.info.parameters,
                        " parameters, ", version.info.weight_bytes, " bytes",
                        version.replicas > 1 ? absl::StrCat(", ", version.replicas, " replicas;") : ";");
      }
    }
    absl::StrAppend(&line, status.served_version == 0 ? " none is served"
                                                      : absl::StrCat(" version ", status.served_version, " is served"));
    if (!status.warning.empty()) absl::StrAppend(&line, "; ", status.warning);
    const std::lock_guard<std::mutex> lock(mutex_);
    std::string& last = last_[status.name];
    if (line == last) return;
    last = line;
    const bool bad = status.state == VersionState::kFailed || !status.warning.empty();
    spdlog::log(bad ? spdlog::level::err : spdlog::level::info, "model {}:{}", status.name, line);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> last_;
};

// What a model leaves behind goes back to the system at once.
void ReturnFreedMemory() {
  const std::string purge = absl::StrCat("arena.", MALLCTL_ARENAS_ALL, ".purge");
  mallctl(purge.c_str(), nullptr, nullptr, nullptr, 0);
}

// Says why the server does not start, before there is a log.
void Complain(const absl::string_view message) {
  const char* const priority = LogsToJournal() ? "<3>" : "";  // of each line
  for (const absl::string_view line : absl::StrSplit(message, '\n')) std::cerr << priority << line << "\n";
  std::cerr.flush();
}

int Fail(const ServerSettings& settings, const absl::Status& status) {
  if (settings.log_format == LogFormat::kJson) {
    spdlog::critical("{}", std::string(status.message()));  // standard error is to hold nothing but JSON
  } else {
    Complain(absl::StrCat("petit-server: ", status.message()));
  }
  return EXIT_FAILURE;
}

absl::Status ResolveDevices(ServerSettings* settings) {
  for (ModelSettings& model : settings->models) {
    absl::StatusOr<std::string> device = EffectiveDevice(model);
    if (!device.ok()) return device.status();
    if (*device == model.device) continue;
    spdlog::warn("model {}: device {} is not here; falling back to {}", model.name, model.device, *device);
    model.device = *std::move(device);
  }
  return absl::OkStatus();
}

// What runs the jobs, in the order that it is made in.
struct Jobs {
  std::optional<RegistryJobModels> models;
  std::optional<JobMetrics> metrics;
  std::unique_ptr<JobManager> manager;  // null where no jobs are configured
};

absl::Status StartJobs(const ServerSettings& settings, Registry* registry, Metrics* metrics, Jobs* jobs) {
  if (!settings.jobs) return absl::OkStatus();
  const bool slurm = settings.jobs->launcher == LauncherKind::kSlurm;
  jobs->models.emplace(registry, settings.models);
  jobs->metrics.emplace(metrics, settings.jobs->max_job_series);
  absl::StatusOr<std::unique_ptr<JobManager>> manager =
      JobManager::Start(*settings.jobs, &*jobs->models,
                        slurm ? MakeSlurmLauncher(*settings.jobs) : MakeLocalLauncher(*settings.jobs), &*jobs->metrics);
  if (!manager.ok()) return manager.status();
  jobs->manager = *std::move(manager);
  spdlog::info("jobs: in {}, with data below {}, run by {}", settings.jobs->root, settings.jobs->data_root,
               slurm ? "Slurm" : "this machine");
  return absl::OkStatus();
}

int Run(ServerSettings settings) {
  ShutdownSignals signals(settings.drain_timeout + kEndGrace);
  torch_executor::SetTorchThreads(settings.torch_threads);
  if (absl::Status status = ResolveDevices(&settings); !status.ok()) return Fail(settings, status);

  std::vector<std::string> names;
  for (const ModelSettings& model : settings.models) names.push_back(model.name);
  Metrics metrics(names);
  Health health(settings.models, /*with_jobs=*/settings.jobs.has_value());
  ModelLog log;
  Registry registry(settings.models, MakeModelLoader(&metrics), [&](const ModelStatus& status) {
    metrics.OnModelStatus(status);
    health.OnModelStatus(status);
    log.OnModelStatus(status);
    ReturnFreedMemory();
  });
  Jobs jobs;
  if (absl::Status status = StartJobs(settings, &registry, &metrics, &jobs); !status.ok())
    return Fail(settings, status);
  // Listening comes before loading: a port in use is found at once, and liveness can be asked for meanwhile.
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(settings, &registry, &metrics, &health, jobs.manager.get());
  if (!server.ok()) return Fail(settings, server.status());
  std::optional<std::string> metrics_address;
  if (!settings.metrics_listen.empty()) {
    absl::StatusOr<std::string> address = metrics.Listen(settings.metrics_listen);
    if (!address.ok()) return Fail(settings, address.status());
    metrics_address = *std::move(address);
  }
  // Before the models are there: systemd ends what is not ready in time, and large ones take theirs.
  TellServiceManager("READY=1\nSTATUS=loading models");
  registry.LoadConfigured();
  signals.Ready();
  TellServiceManager(health.ready() ? "STATUS=serving" : "STATUS=serving; not all models are loaded, see the log");
  std::cout << "listening on " << (*server)->address() << std::endl;
  if (metrics_address) std::cout << "metrics on " << *metrics_address << std::endl;

  signals.Wait();
  TellServiceManager("STOPPING=1\nSTATUS=draining");
  const absl::Time deadline = absl::Now() + settings.drain_timeout;
  const bool drained = (*server)->Drain(deadline);
  // Jobs' workers run on: the next server adopts them. Their manager ends before the registry refuses what it
  // publishes.
  server->reset();
  jobs.manager.reset();
  registry.Drain(deadline);
  if (drained) {
    spdlog::info("drained");
  } else {
    spdlog::warn("drain_timeout passed; calls in flight were cancelled");
  }
  TellServiceManager("STATUS=ended");
  return EXIT_SUCCESS;
}

// A connection is a descriptor, and the usual soft limit of 1,024 is there for programs that use select().
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Debian's Abseil looks for deadlocks at each lock, of gRPC's too, behind one lock of its own. Debug builds keep it.
void TrustLockOrder() {
#ifdef NDEBUG
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
#endif
}

int Main(int argc, char** argv) {
  TrustLockOrder();
  RaiseDescriptorLimit();
  CLI::App app("Serves T5-family translation models over gRPC.", "petit-server");
  std::string config;
  std::string listen;
  std::string metrics_listen;
  bool check = false;
  app.add_option("--config", config, "The configuration, a petit.config.v1.ServerConfig as text")
      ->required()
      ->type_name("FILE");
  app.add_option("--listen", listen, "In place of the configuration's `listen`")->type_name("HOST:PORT");
  app.add_option("--metrics-listen", metrics_listen, "In place of the configuration's `metrics_listen`")
      ->type_name("HOST:PORT");
  app.add_flag("--check", check, "Only check the configuration");
  app.set_version_flag("--version", "petit-server " PETIT_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? EXIT_SUCCESS : kBadConfiguration;
  }
  absl::StatusOr<ServerSettings> settings = LoadConfig(config);
  if (!settings.ok()) {
    Complain(settings.status().message());
    return kBadConfiguration;
  }
  if (check) {
    std::cout << config << " is good" << std::endl;
    return EXIT_SUCCESS;
  }
  if (!listen.empty()) settings->listen = listen;
  if (absl::Status status = CheckExposure(*settings); !status.ok()) {
    Complain(absl::StrCat("petit-server: ", status.message()));
    return kBadConfiguration;
  }
  if (!metrics_listen.empty()) settings->metrics_listen = metrics_listen;
  SetUpLog(settings->log_level, settings->log_format);
  std::signal(SIGPIPE, SIG_IGN);
  return Run(*std::move(settings));
}

}  // namespace
}  // namespace petit::serving

int main(int argc, char** argv) { return petit::serving::Main(argc, argv); }
