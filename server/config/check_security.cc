#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/config/checks.h"
#include "server/config/config.h"

namespace petit::serving {
namespace {

using config::v1::AuthConfig;
using config::v1::ClientConfig;
using config::v1::ClientLimitsConfig;
using config::v1::ClientsFile;
using config::v1::ServerConfig;
using config::v1::TlsConfig;

constexpr double kMaxReloadSeconds = 86400;
constexpr double kMaxRequestsPerSecond = 1e6;
constexpr std::size_t kMaxNameBytes = 64;
constexpr std::size_t kDigestBytes = 32;

std::string ExposureProblem(const std::string& listen) {
  return absl::StrCat("listen is ", listen,
                      ", which other machines reach, and auth would have tokens travel there in plain text; add tls { "
                      "certificate: \"...\" key: \"...\" }, or listen on 127.0.0.1");
}

void CheckRole(int role, const Located& at, int field, int index, std::set<Role>* roles) {
  switch (role) {
    case config::v1::TRANSLATE:
      roles->insert(Role::kTranslate);
      return;
    case config::v1::SCORE:
      roles->insert(Role::kScore);
      return;
    case config::v1::OPERATE:
      roles->insert(Role::kOperate);
      return;
    case config::v1::TRAIN:
      roles->insert(Role::kTrain);
      return;
    default:
      at.ComplainAbout(field, index, absl::StrCat("role ", role, " is none; use TRANSLATE, SCORE, OPERATE or TRAIN"));
  }
}

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNameBytes && absl::ascii_isalpha(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.'; });
}

KnownClient CheckClient(const ClientConfig& client, const Located& at, bool with_certificates) {
  KnownClient known;
  known.name = client.name();
  if (!IsName(client.name())) {
    at.ComplainAbout(
        ClientConfig::kNameFieldNumber,
        absl::StrCat("client name \"", absl::CHexEscape(client.name()),
                     "\" must be a letter and then letters, digits, '-', '_' or '.', ", kMaxNameBytes, " at most"));
  }
  for (int i = 0; i < client.role_size(); ++i) {
    CheckRole(client.role(i), at, ClientConfig::kRoleFieldNumber, i, &known.roles);
  }
  for (int i = 0; i < client.token_sha256_size(); ++i) {
    const std::string& hex = client.token_sha256(i);
    if (hex.size() != 2 * kDigestBytes || !std::all_of(hex.begin(), hex.end(), absl::ascii_isxdigit)) {
      // Not quoted: it may be the token itself.
      at.ComplainAbout(ClientConfig::kTokenSha256FieldNumber, i,
                       absl::StrCat("token_sha256 must be the token's SHA-256 in 64 hexadecimal digits, not the token "
                                    "itself; `petit token new` makes both"));
      continue;
    }
    known.token_sha256.push_back(absl::HexStringToBytes(hex));
  }
  known.certificate_names.assign(client.certificate_name().begin(), client.certificate_name().end());
  known.certificate_subjects.assign(client.certificate_subject().begin(), client.certificate_subject().end());
  for (const auto& [field, values] :
       {std::pair{ClientConfig::kCertificateNameFieldNumber, &client.certificate_name()},
        std::pair{ClientConfig::kCertificateSubjectFieldNumber, &client.certificate_subject()}}) {
    if (!values->empty() && !with_certificates) {
      at.ComplainAbout(field,
                       "this server asks for no certificates; add tls { client_ca: \"FILE\" }, or use a token_sha256");
    }
    for (int i = 0; i < values->size(); ++i) {
      if ((*values)[i].empty()) at.ComplainAbout(field, i, "is empty; write the name as the certificate has it");
    }
  }
  if (client.token_sha256().empty() && client.certificate_name().empty() && client.certificate_subject().empty()) {
    at.Complain(absl::StrCat("client ", client.name(),
                             " cannot be known: add token_sha256 (`petit token new` makes one), certificate_name or "
                             "certificate_subject"));
  }
  return known;
}

// What only one client may have, by kind and value, and who has it.
class Taken {
 public:
  // Calls complain(field, sentence) for what another client has.
  template <class Complain>
  void Take(const KnownClient& client, const Complain& complain) {
    const auto take = [&](int field, const std::string& kind, const std::string& value, const std::string& name) {
      const auto [first, is_new] = owners_.emplace(std::pair(kind, value), client.name);
      if (!is_new) complain(field, absl::StrCat(name, " is that of client ", first->second, " too"));
    };
    take(ClientConfig::kNameFieldNumber, "name", client.name, absl::StrCat("name ", client.name));
    for (const std::string& digest : client.token_sha256) {
      take(ClientConfig::kTokenSha256FieldNumber, "token", digest,
           absl::StrCat("a token_sha256 of client ", client.name));
    }
    for (const std::string& name : client.certificate_names) {
      take(ClientConfig::kCertificateNameFieldNumber, "certificate_name", name,
           absl::StrCat("certificate_name ", name));
    }
    for (const std::string& subject : client.certificate_subjects) {
      take(ClientConfig::kCertificateSubjectFieldNumber, "certificate_subject", subject,
           absl::StrCat("certificate_subject ", subject));
    }
  }

 private:
  std::map<std::pair<std::string, std::string>, std::string> owners_;
};

template <class Message>
std::vector<KnownClient> CheckClients(const Message& message, const Located& at, bool with_certificates) {
  std::vector<KnownClient> clients;
  Taken taken;
  for (int i = 0; i < message.client_size(); ++i) {
    const Located here = at.Child(Message::kClientFieldNumber, message.client(i), i);
    clients.push_back(CheckClient(message.client(i), here, with_certificates));
    taken.Take(clients.back(), [&](int field, std::string what) { here.ComplainAbout(field, std::move(what)); });
  }
  return clients;
}

absl::StatusOr<std::vector<KnownClient>> LoadClientsFile(const std::string& path, bool with_certificates) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path, "file of clients");
  if (!text.ok()) return text.status();
  ClientsFile file;
  google::protobuf::TextFormat::ParseInfoTree tree;
  Complaints complaints(path);
  if (!ParseText(*text, &file, &tree, &complaints)) return complaints.ToStatus();
  std::vector<KnownClient> clients =
      CheckClients(file, Located(file, &tree, Position(), &complaints), with_certificates);
  if (absl::Status status = complaints.ToStatus(); !status.ok()) return status;
  return clients;
}

TlsSettings CheckTls(const TlsConfig& tls, const Located& at, const std::string& base_directory) {
  TlsSettings settings;
  for (const auto& [field, name, value, out] :
       {std::tuple{TlsConfig::kCertificateFieldNumber, "certificate", &tls.certificate(), &settings.certificate},
        std::tuple{TlsConfig::kKeyFieldNumber, "key", &tls.key(), &settings.key},
        std::tuple{TlsConfig::kClientCaFieldNumber, "client_ca", &tls.client_ca(), &settings.client_ca}}) {
    if (value->empty()) {
      if (field != TlsConfig::kClientCaFieldNumber) at.Complain(absl::StrCat("tls needs ", name, ": \"FILE\", in PEM"));
      continue;
    }
    *out = ResolvePath(base_directory, *value);
    if (const auto file = ReadWholeFile(*out, name); !file.ok()) {
      at.ComplainAbout(field, absl::StrCat(name, ": ", file.status().message()));
    }
  }
  if (tls.has_require_client_certificate() && tls.client_ca().empty()) {
    at.ComplainAbout(TlsConfig::kRequireClientCertificateFieldNumber,
                     "require_client_certificate needs client_ca: \"FILE\", the authorities of the clients");
  }
  settings.require_client_certificate =
      !tls.client_ca().empty() && (!tls.has_require_client_certificate() || tls.require_client_certificate());
  settings.reload =
      at.BoundedSeconds(TlsConfig::kReloadSecondsFieldNumber, tls.reload_seconds(), settings.reload, kMaxReloadSeconds);
  return settings;
}

AuthSettings CheckAuth(const AuthConfig& auth, const Located& at, const std::string& base_directory,
                       bool with_certificates) {
  AuthSettings settings;
  settings.with_certificates = with_certificates;
  settings.clients = CheckClients(auth, at, with_certificates);
  if (!auth.clients_file().empty()) {
    settings.clients_file = ResolvePath(base_directory, auth.clients_file());
    if (const auto all = LoadClients(settings); !all.ok()) {
      at.ComplainAbout(AuthConfig::kClientsFileFieldNumber, absl::StrCat("clients_file: ", all.status().message()));
    }
  }
  for (int i = 0; i < auth.anonymous_role_size(); ++i) {
    CheckRole(auth.anonymous_role(i), at, AuthConfig::kAnonymousRoleFieldNumber, i, &settings.anonymous_roles);
  }
  if (auth.client().empty() && auth.clients_file().empty() && auth.anonymous_role().empty()) {
    at.Complain("auth lets nobody in: add client { ... } (`petit token new` makes one) or clients_file");
  }
  if (auth.has_health_without_token()) settings.health_without_token = auth.health_without_token();
  settings.reload = at.BoundedSeconds(AuthConfig::kReloadSecondsFieldNumber, auth.reload_seconds(), settings.reload,
                                      kMaxReloadSeconds);
  return settings;
}

}  // namespace

bool IsLoopbackAddress(std::string_view address) {
  std::string host(address.substr(0, address.rfind(':')));
  if (host == "localhost") return true;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  in_addr v4 = {};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
  in6_addr v6 = {};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6) != 0;
}

absl::Status CheckExposure(const ServerSettings& settings) {
  const bool tokens = settings.auth && (!settings.auth->clients.empty() || !settings.auth->clients_file.empty());
  if (!tokens || settings.tls || IsLoopbackAddress(settings.listen)) return absl::OkStatus();
  return absl::InvalidArgumentError(ExposureProblem(settings.listen));
}

absl::StatusOr<std::vector<KnownClient>> LoadClients(const AuthSettings& auth) {
  std::vector<KnownClient> all = auth.clients;
  if (auth.clients_file.empty()) return all;
  absl::StatusOr<std::vector<KnownClient>> more = LoadClientsFile(auth.clients_file, auth.with_certificates);
  if (!more.ok()) return more.status();
  all.insert(all.end(), std::make_move_iterator(more->begin()), std::make_move_iterator(more->end()));
  Taken taken;
  std::string problem;
  for (const KnownClient& client : all) {
    taken.Take(client, [&](int /*field*/, const std::string& what) { problem = what; });
  }
  if (!problem.empty()) return absl::InvalidArgumentError(absl::StrCat(auth.clients_file, ": ", problem));
  return all;
}

ClientLimits CheckClientLimits(const ClientLimitsConfig& limits, const Located& at) {
  ClientLimits out;
  const double rate = limits.requests_per_second();
  if (!(rate >= 0 && rate <= kMaxRequestsPerSecond)) {
    at.ComplainAbout(ClientLimitsConfig::kRequestsPerSecondFieldNumber,
                     absl::StrCat("requests_per_second is ", rate, "; it must be above 0 and at most ",
                                  kMaxRequestsPerSecond, ", or absent for any number"));
  } else if (rate > 0) {
    out.requests_per_second = rate;
    out.burst = std::max(1, static_cast<int>(std::ceil(rate)));
  }
  if (limits.burst() != 0 && !out.requests_per_second) {
    at.ComplainAbout(ClientLimitsConfig::kBurstFieldNumber, "burst means nothing without requests_per_second");
  }
  out.burst = at.Bounded(ClientLimitsConfig::kBurstFieldNumber, limits.burst(), out.burst, 1, 1 << 24);
  const int texts =
      at.Bounded(ClientLimitsConfig::kMaxTextsInFlightFieldNumber, limits.max_texts_in_flight(), 0, 1, 1 << 24);
  if (texts > 0) out.max_texts_in_flight = texts;
  return out;
}

void CheckSecurity(const ServerConfig& config, const Located& at, const std::string& base_directory,
                   ServerSettings* settings) {
  if (config.has_tls()) {
    settings->tls = CheckTls(config.tls(), at.Child(ServerConfig::kTlsFieldNumber, config.tls()), base_directory);
  }
  if (!config.has_auth()) return;
  const bool with_certificates = settings->tls && !settings->tls->client_ca.empty();
  settings->auth = CheckAuth(config.auth(), at.Child(ServerConfig::kAuthFieldNumber, config.auth()), base_directory,
                             with_certificates);
  if (absl::Status status = CheckExposure(*settings); !status.ok()) {
    at.ComplainAbout(ServerConfig::kListenFieldNumber, std::string(status.message()));
  }
}

}  // namespace petit::serving
