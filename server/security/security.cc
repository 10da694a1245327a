#include "server/security/security.h"

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "grpc/grpc.h"
#include "grpc/grpc_security.h"
#include "server/config/config.h"
#include "server/printable.h"
#include "server/security/authorizer.h"
#include "server/security/log_budget.h"
#include "server/security/method_access.h"
#include "server/security/tls_files.h"
#include "spdlog/spdlog.h"

namespace petit::serving {
namespace {

constexpr std::string_view kAuthorization = "authorization";
constexpr int kDenialsLogged = 10;  // a second

// For the log: what a call shows is its caller's to choose.
std::string Shown(std::string_view text) { return Printable({text.data(), text.size()}, 128); }

std::string_view View(const grpc_slice& slice) {
  return {reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)), GRPC_SLICE_LENGTH(slice)};
}

std::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

// Two of them are none: which one counts would be anybody's guess.
void AddAuthorization(std::string_view value, ShownCredentials* shown) {
  shown->authorization = shown->authorization ? std::string_view() : value;
}

void AddCertificate(const grpc_auth_context* context, ShownCredentials* shown) {
  const auto each = [context](const char* property, const auto& take) {
    grpc_auth_property_iterator at = grpc_auth_context_find_properties_by_name(context, property);
    while (const grpc_auth_property* found = grpc_auth_property_iterator_next(&at)) {
      take(std::string_view(found->value, found->value_length));
    }
  };
  each(GRPC_X509_SAN_PROPERTY_NAME, [&](std::string_view name) { shown->certificate_names.push_back(name); });
  each(GRPC_X509_SUBJECT_PROPERTY_NAME, [&](std::string_view subject) { shown->certificate_subject = subject; });
}

ShownCredentials ShownBy(const grpc::ServerContextBase& context, const grpc::AuthContext& auth) {
  ShownCredentials shown;
  const auto range =
      context.client_metadata().equal_range(grpc::string_ref(kAuthorization.data(), kAuthorization.size()));
  for (auto at = range.first; at != range.second; ++at) AddAuthorization(View(at->second), &shown);
  for (const grpc::string_ref& name : auth.FindPropertyValues(GRPC_X509_SAN_PROPERTY_NAME)) {
    shown.certificate_names.push_back(View(name));
  }
  for (const grpc::string_ref& subject : auth.FindPropertyValues(GRPC_X509_SUBJECT_PROPERTY_NAME)) {
    shown.certificate_subject = View(subject);
  }
  return shown;
}

// Credentials of gRPC's C interface for ServerBuilder.
class CoreCredentials final : public grpc::ServerCredentials {
 public:
  explicit CoreCredentials(grpc_server_credentials* core) : core_(core) {}
  ~CoreCredentials() override { grpc_server_credentials_release(core_); }
  CoreCredentials(const CoreCredentials&) = delete;
  CoreCredentials& operator=(const CoreCredentials&) = delete;

  // The processor is set below.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>& /*processor*/) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), core_);
  }

  grpc_server_credentials* const core_;
};

// The certificates that new connections get.
class Certificates {
 public:
  explicit Certificates(TlsFiles files) : files_(std::move(files)) {}

  // True if they differ from those that were there.
  bool Replace(TlsFiles files) {
    const absl::MutexLock lock(&mutex_);
    if (files.certificate_chain == files_.certificate_chain && files.key == files_.key &&
        files.client_ca == files_.client_ca) {
      return false;
    }
    files_ = std::move(files);
    fetched_ = false;
    return true;
  }

  // gRPC's fetcher: asked before each handshake.
  static grpc_ssl_certificate_config_reload_status Fetch(void* certificates,
                                                         grpc_ssl_server_certificate_config** config) {
    return static_cast<Certificates*>(certificates)->Fetch(config);
  }

 private:
  grpc_ssl_certificate_config_reload_status Fetch(grpc_ssl_server_certificate_config** config) {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(fetched_, true)) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {files_.key.c_str(), files_.certificate_chain.c_str()};
    // gRPC insists on authorities, even where no client is asked for a certificate; then these go unused.
    const std::string& authorities = files_.client_ca.empty() ? files_.certificate_chain : files_.client_ca;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  absl::Mutex mutex_;
  TlsFiles files_ ABSL_GUARDED_BY(mutex_);
  bool fetched_ ABSL_GUARDED_BY(mutex_) = false;
};

void LogCertificate(const TlsFiles& files, const std::string& path) {
  spdlog::info("tls: {} has serial {} and is good until {}", path, files.serial,
               absl::FormatTime(absl::RFC3339_sec, files.not_after, absl::UTCTimeZone()));
  if (files.not_after <= absl::Now()) spdlog::error("tls: {} has expired; clients will refuse it", path);
}

void LogClients(const std::vector<KnownClient>& clients) {
  spdlog::info("auth: known clients: {}",
               absl::StrJoin(clients, ", ", [](std::string* out, const KnownClient& client) { *out += client.name; }));
}

// Counts a call of gRPC's own services for as long as it lives.
class CountedCall final : public grpc::experimental::Interceptor {
 public:
  CountedCall(Security* security, grpc::ServerContextBase* context) : security_(security), context_(context) {}

  // First when the headers have come; before, the context has no call yet.
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (passed_ == nullptr) passed_.reset(new CallGate::Passed(security_->Pass(context_)));
    methods->Proceed();
  }

 private:
  Security* const security_;
  grpc::ServerContextBase* const context_;
  std::unique_ptr<CallGate::Passed> passed_;
};

// Ours count themselves: an intercepted call takes gRPC longer.
class CountedCalls final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit CountedCalls(Security* security) : security_(security) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(grpc::experimental::ServerRpcInfo* info) override {
    if (!std::string_view(info->method()).starts_with("/grpc.")) return nullptr;
    return new CountedCall(security_, info->server_context());
  }

 private:
  Security* const security_;
};

// Says a thing once while it stays the same.
class Changing {
 public:
  bool Is(const std::string& now) { return std::exchange(last_, now) != now; }

 private:
  std::string last_;
};

}  // namespace

struct Security::Impl {
  Impl(const ServerSettings& settings, Metrics* metrics)
      : tls(settings.tls), auth(settings.auth), metrics(metrics), gate(2 * settings.limits.max_connection_calls) {}

  static void Process(void* state, grpc_auth_context* context, const grpc_metadata* metadata, std::size_t count,
                      grpc_process_auth_metadata_done_cb done, void* user_data);
  grpc_server_credentials* MakeCore();

  const std::optional<TlsSettings> tls;
  const std::optional<AuthSettings> auth;
  Metrics* const metrics;
  CallGate gate;
  LogBudget denials{kDenialsLogged};
  std::optional<Certificates> certificates;  // with tls
  std::optional<Authorizer> authorizer;      // with auth

  absl::Mutex reload_mutex;
  Changing certificates_problem ABSL_GUARDED_BY(reload_mutex);
  Changing clients_problem ABSL_GUARDED_BY(reload_mutex);
};

// `context` is the connection's, shared by all its calls: what one call shows must not be written there.
void Security::Impl::Process(void* state, grpc_auth_context* context, const grpc_metadata* metadata, std::size_t count,
                             grpc_process_auth_metadata_done_cb done, void* user_data) {
  Impl& self = *static_cast<Impl*>(state);
  std::string_view path;
  ShownCredentials shown;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string_view key = View(metadata[i].key);
    if (key == ":path") path = View(metadata[i].value);
    if (key == kAuthorization) AddAuthorization(View(metadata[i].value), &shown);
  }
  const auto end = [&](const absl::Status& status) {
    const std::string message(status.message());
    done(user_data, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(status.code()), message.c_str());
  };
  // Nobody would count a call of an unknown method; none gets that far.
  if (AccessOf(path) && !self.gate.Open(context, absl::Now())) {
    self.metrics->CountDenied("max_connection_calls");
    return end(
        absl::ResourceExhaustedError("too many calls of this connection are not over (limits.max_connection_calls)"));
  }
  if (self.authorizer) AddCertificate(context, &shown);
  const Decision decision = self.authorizer ? self.authorizer->Decide(path, shown) : DecideForAnybody(path);
  if (!decision.status.ok()) {
    self.metrics->CountDenied(decision.reason);
    if (const std::optional<std::int64_t> left_out = self.denials.Take(absl::Now())) {
      if (*left_out > 0) spdlog::info("denied {} more calls that are not logged", *left_out);
      spdlog::info("denied {} client={} reason={}", Shown(path), self.authorizer ? self.authorizer->NameOf(shown) : "",
                   decision.reason);
    }
  }
  end(decision.status);
}

grpc_server_credentials* Security::Impl::MakeCore() {
  if (!tls) return grpc_insecure_server_credentials_create();
  const grpc_ssl_client_certificate_request_type request =
      tls->client_ca.empty()            ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
      : tls->require_client_certificate ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                        : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
  return grpc_ssl_server_credentials_create_with_options(
      grpc_ssl_server_credentials_create_options_using_config_fetcher(request, &Certificates::Fetch, &*certificates));
}

Security::Security(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Security::~Security() = default;

absl::StatusOr<std::unique_ptr<Security>> Security::Create(const ServerSettings& settings, Metrics* metrics) {
  if (absl::Status status = CheckExposure(settings); !status.ok()) return status;
  auto impl = std::make_unique<Impl>(settings, metrics);
  if (impl->tls) {
    absl::StatusOr<TlsFiles> files = LoadTlsFiles(*impl->tls);
    if (!files.ok()) return files.status();
    LogCertificate(*files, impl->tls->certificate);
    impl->certificates.emplace(*std::move(files));
  }
  if (impl->auth) {
    absl::StatusOr<std::vector<KnownClient>> clients = LoadClients(*impl->auth);
    if (!clients.ok()) return clients.status();
    LogClients(*clients);
    impl->authorizer.emplace(*impl->auth);
    impl->authorizer->SetClients(*std::move(clients));
  }
  return std::unique_ptr<Security>(new Security(std::move(impl)));
}

std::shared_ptr<grpc::ServerCredentials> Security::MakeCredentials() {
  grpc_server_credentials* core = impl_->MakeCore();
  grpc_server_credentials_set_auth_metadata_processor(
      core, {.process = &Impl::Process, .destroy = nullptr, .state = impl_.get()});
  return std::make_shared<CoreCredentials>(core);
}

CallGate::Passed Security::Pass(grpc::ServerContextBase* context) {
  // Which all calls of a connection share; its address will do.
  grpc_auth_context* const connection = grpc_call_auth_context(context->c_call());
  grpc_auth_context_release(connection);
  return {&impl_->gate, connection};
}

std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> Security::MakeInterceptors() {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<CountedCalls>(this));
  return factories;
}

int Security::open_calls() const { return impl_->gate.passed(); }

std::string Security::ClientOf(const grpc::ServerContextBase& context) const {
  if (impl_->tls || impl_->auth) {
    const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
    const ShownCredentials shown = ShownBy(context, *auth);
    if (impl_->authorizer) {
      if (std::string name = impl_->authorizer->NameOf(shown); !name.empty()) return name;
    }
    if (!shown.certificate_names.empty()) return "certificate:" + Shown(shown.certificate_names[0]);
    if (!shown.certificate_subject.empty()) return "certificate:" + Shown(shown.certificate_subject);
  }
  return AddressOf(context.peer());
}

void Security::ReloadCertificates() {
  if (!impl_->tls) return;
  absl::StatusOr<TlsFiles> files = LoadTlsFiles(*impl_->tls);
  const absl::MutexLock lock(&impl_->reload_mutex);
  const bool new_problem = impl_->certificates_problem.Is(files.ok() ? "" : std::string(files.status().message()));
  if (!files.ok()) {
    if (new_problem) spdlog::error("tls: {}; what was good before stays", std::string(files.status().message()));
    return;
  }
  const TlsFiles copy = *files;
  if (impl_->certificates->Replace(*std::move(files))) LogCertificate(copy, impl_->tls->certificate);
}

void Security::ReloadClients() {
  if (!impl_->auth || impl_->auth->clients_file.empty()) return;
  absl::StatusOr<std::vector<KnownClient>> clients = LoadClients(*impl_->auth);
  const absl::MutexLock lock(&impl_->reload_mutex);
  const bool new_problem = impl_->clients_problem.Is(clients.ok() ? "" : std::string(clients.status().message()));
  if (!clients.ok()) {
    if (new_problem) spdlog::error("auth: {}; the clients read before stay", std::string(clients.status().message()));
    return;
  }
  const std::vector<KnownClient> copy = *clients;
  if (impl_->authorizer->SetClients(*std::move(clients))) LogClients(copy);
}

std::string AddressOf(const std::string& peer) {
  absl::string_view address = peer;
  if (!absl::ConsumePrefix(&address, "ipv4:") && !absl::ConsumePrefix(&address, "ipv6:")) return peer;
  const std::string plain =
      absl::StrReplaceAll(address.substr(0, address.rfind(':')), {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  absl::string_view host = plain;
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  return std::string(host);
}

}  // namespace petit::serving
